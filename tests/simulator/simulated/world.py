"""The simulated installation: from one seed, all that happens in it, up to the rest at its end."""

import random
from collections import Counter, deque
from dataclasses import dataclass

from simulated import faults, jobs, waits
from simulated.clock import Clock
from simulated.kernel import Truth
from simulated.machine import Machine
from simulated.network import Network
from simulated.people import People
from simulated.process import Process
from simulated.reader import Reader
from simulated.scheduler import Scheduler
from simulated.supervisor import Supervisor
from simulated.watcher import Broken, Watcher

from apsis.runs.states import FINISHED
from apsis.times import to_micros
from apsis_services.supervisor.facts import Key

#: deeds on the clock; a world that needs more does not come to rest
EVENTS_AT_MOST = 1500
#: from here on nothing new goes wrong
ENOUGH = 450
#: seconds of virtual time in which all must have come to rest after the faults
QUIET = 150.0


@dataclass
class Bugs:
    """Bugs that a test puts into what only the simulator has; all else is patched where it stands."""

    spawn_first: bool = False
    archive_not_looked_at: bool = False
    cursor_first: bool = False


class World:
    """Everything, and its clock."""

    def __init__(self, seed: int, *, tracing: bool = False, bugs: Bugs | None = None) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.tracing = tracing
        self.bugs = bugs or Bugs()
        self.clock = Clock()
        self.tally: Counter[str] = Counter()
        #: the faults that have come, for people
        self.history: list[str] = []
        #: what happened last, for people
        self.trace: deque[str] = deque(maxlen=4000)
        self.is_quiet = False
        #: the database was put back from a backup
        self.restored = False
        #: the number that it then had
        self.restored_from = 0
        self.fault_seconds = self.random.choice([8.0, 15.0, 25.0])
        #: job: [from, to) in microseconds, in which its schedules are in force
        self.planned: dict[str, list[list[int]]] = {}
        self.truths: dict[tuple[str, Key], Truth] = {}
        self.watcher = Watcher(self)
        #: seeds from `waits.FIRST` on are about what runs wait for
        self.waits = waits.Waits(self) if seed >= waits.FIRST else None
        self.network = Network(self)
        self.people = People(self)
        self.machines = {host: Machine(self, host) for host in ("local", "far")}
        self.scheduler = Scheduler(self)
        self.reader = Reader(self)
        self.processes: dict[str, Process] = {}
        for process in (self.scheduler, self.reader, *(Supervisor(self, m) for m in self.machines.values())):
            self.processes[process.name] = process

    def truth(self, host: str, key: Key) -> Truth:
        """Return the truth about a run on a host."""
        return self.truths.setdefault((host, key), Truth(key))

    def met(self, what: str) -> None:
        """Count something that happened, so that a test can see that it does happen."""
        self.tally[what] += 1

    def say(self, who: str, what: str) -> None:
        """Write something down for people."""
        if self.tracing:
            self.trace.append(f"{self.clock.now:8.3f} {who:18} {what}")

    # Schedules

    def plan(self, job_id: str) -> None:
        """Put a job with its schedules into the job directory."""
        self.scheduler.files[job_id] = True
        self._read_again()

    def unplan(self, job_id: str) -> None:
        """Take the schedules out of a job."""
        self.scheduler.files[job_id] = False
        self._read_again()

    def _read_again(self) -> None:
        if self.scheduler.alive:
            self.scheduler.guarded(self.scheduler.load)

    # The course of things

    def run(self) -> None:
        """Begin, let things go wrong, then let them come to rest.

        Raises:
            Broken: a promise is broken.
        """
        chance = self.random
        self.timed = set(chance.sample(list(jobs.TIMED), chance.randint(1, 3)))
        for job_id in (*(jobs.ASKED if self.waits is None else waits.JOBS), *sorted(self.timed)):
            self.scheduler.files[job_id] = True
        for process in self.processes.values():
            self.clock.after(chance.uniform(0.0, 0.5), process.start)
        for _ in range(chance.randint(3, 14)):
            self.clock.after(chance.uniform(0.2, self.fault_seconds), self.people.come)
        faults.plan(self)
        while self.clock.step(self.fault_seconds) and self.clock.count < ENOUGH:
            pass
        self._heal()
        self._come_to_rest()

    def _heal(self) -> None:
        self.is_quiet = True
        self.say("world", "nothing goes wrong any more")
        self.network.loss = self.network.double = self.network.slow = 0.0
        self.network.rise()
        for machine in self.machines.values():
            machine.zygote_fails = False

    def _come_to_rest(self) -> None:
        end = self.clock.now + QUIET
        self._pass(6.0)
        unplanned = False
        while self.clock.now < end:
            self._pass(1.0)
            if not unplanned and self._has_caught_up():
                unplanned = True
                for job_id in sorted(self.timed):
                    self.scheduler.files[job_id] = False
                self.ended_at = to_micros(self.clock.wall)
                self._read_again()
            elif unplanned and self._is_still():
                return

    def _pass(self, seconds: float) -> None:
        until = self.clock.now + seconds
        while self.clock.step(until):
            if self.clock.count > EVENTS_AT_MOST:
                raise Broken(f"the world comes to rest: it does not in {EVENTS_AT_MOST} events")

    def _has_caught_up(self) -> bool:
        tables = self.scheduler.tables
        return all(process.alive for process in self.processes.values()) and all(
            cursor.behind is None for cursor in tables.cursors.values()
        )

    def _is_still(self) -> bool:
        tables = self.scheduler.tables
        return (
            all(row.run.state in FINISHED for row in tables.runs.values())
            and self.people.asked.keys() == self.people.answers.keys()
            and not tables.commands
            and not any(host.forget for host in tables.hosts.values())
            and self.reader.cursor == len(tables.events)
            and all(not m.supervisor.alive or not m.supervisor.core.outbox._pending for m in self.machines.values())
        )
