"""What runs on a host beside the supervisor: zygotes, shims, programs. And the truth about every program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulated.disk import Journal

from apsis.messages.dispatch import Start, Stop
from apsis.runs.run import Exit
from apsis.times import format_time
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.zygote.identity import Identity
from apsis_services.supervisor.zygote.records import Record, StopFacts
from apsis_services.supervisor.zygote.request import StartRequest, unstarted

if TYPE_CHECKING:
    from simulated.machine import Machine

NEVER = "never started: its shim was killed before"
DOUBTFUL = "exit status unknown: the shim was killed while it started the program"


@dataclass
class Truth:
    """What really became of a run, whoever knows it."""

    key: Key
    starts: int = 0
    claimed: bool = False
    #: the start that it was claimed for
    claim: Start | None = None
    #: how its program ended; None: it did not, or nobody can know any more
    exit: Exit | None = None
    #: why nobody can know
    unknowable: str = ""
    #: why it was settled without having been started
    unstarted: str = ""
    #: a stop of it was answered, and not with `none`
    stop_answered: bool = False


class Zygote:
    """Parent of shims; inherits the program of a shim that is killed."""

    def __init__(self) -> None:
        self.alive = True


@dataclass
class Keeper:
    """Who keeps a run: a shim, or the zygote that has adopted it. Holds the journal as long as it lives."""

    key: Key
    zygote: Zygote
    #: of the spool when its zygote was asked: a claim is taken in no other
    epoch: str
    journal: Journal | None = None
    program: Program | None = None
    is_shim: bool = True
    shim_alive: bool = True
    stop: Stop | None = None

    @property
    def alive(self) -> bool:
        """Whether it holds its lock."""
        return self.shim_alive if self.is_shim else self.zygote.alive


@dataclass
class Program:
    """A process, and whom its end is told to: its keeper, or nobody."""

    key: Key
    pid: int
    begun: float
    begun_at: str
    planned: Exit
    keeper: Keeper | None
    alive: bool = True
    #: called at its end: who watches an orphan
    watchers: list[Callable[[], None]] = field(default_factory=list)


class Kernel:
    """The processes of one boot of one host."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.world = machine.world
        self.zygotes: list[Zygote] = []
        self.keepers: dict[Key, Keeper] = {}
        self.programs: dict[Key, Program] = {}
        self.dead = False

    def _later(self, seconds: float, do: Callable[..., None], *args: Any) -> None:
        self.world.clock.after(seconds, self._do, do, args)

    def _do(self, do: Callable[..., None], args: tuple[Any, ...]) -> None:
        if not self.dead:
            do(*args)

    def _soon(self) -> float:
        chance = self.world.random
        return chance.uniform(0.0005, 0.003) if chance.random() < 0.8 else chance.uniform(0.003, 0.4)

    @property
    def _at(self) -> str:
        return format_time(self.world.clock.wall)

    # Starts

    def request(self, start: Start, key: Key, reply: Callable[[str, str], None]) -> None:
        """Hand a start to the zygote, and to both where there are two; `reply` hears how each went."""
        living = [zygote for zygote in self.zygotes if zygote.alive]
        if not living:
            living = [self.new_zygote()]
        for zygote in living:
            self._later(self._soon(), self._fork, Keeper(key, zygote, self.machine.disk.epoch), start, reply)

    def new_zygote(self) -> Zygote:
        """Start a zygote; others are left as they are."""
        self.zygotes.append(Zygote())
        return self.zygotes[-1]

    def _fork(self, keeper: Keeper, start: Start, reply: Callable[[str, str], None]) -> None:
        if not keeper.zygote.alive:
            reply("failed", "the zygote went away")
        elif self.machine.zygote_fails and self.world.random.random() < 0.8:
            self.world.met("zygote refuses")
            reply("failed", "the system has no room for a process")
        else:
            if self.world.bugs.spawn_first:
                self._spawn_unclaimed(keeper, start)
            self._later(self._soon(), self._claim, keeper, start, reply)

    def _spawn_unclaimed(self, keeper: Keeper, start: Start) -> None:
        self.truth(keeper.key).starts += 1
        self.world.watcher.started(self.truth(keeper.key))

    def _claim(self, keeper: Keeper, start: Start, reply: Callable[[str, str], None]) -> None:
        disk, key = self.machine.disk, keeper.key
        if keeper.epoch != disk.epoch:
            reply("failed", "it was ordered for another spool")
            return
        taken = key in disk.journals if self.world.bugs.archive_not_looked_at else disk.is_taken(key)
        if taken:
            reply("exists", "")
            return
        request = StartRequest(
            journal=key.journal, run_id=key.run_id, dispatch=start.dispatch, job_id=start.job_id,
            schedule_time=start.schedule_time, args=start.args, args_hash=start.args_hash, argv=start.process.argv,
            env={}, memo=start.memo, stop=StopFacts(signal=start.process.stop.signal, grace=start.process.stop.grace),
        )  # fmt: skip
        claim = request.claim(Identity(self.machine.next_pid(), 1), self.machine.boot, self._at)
        keeper.journal = Journal([(self.world.clock.now, dict(claim))], keeper)
        disk.journals[key] = keeper.journal
        truth = self.truth(key)
        truth.claimed, truth.claim = True, start
        self.keepers[key] = keeper
        self.world.say(self.machine.name, f"shim of {key.run_id} has its claim")
        reply("claimed", "")
        self._later(self._soon(), self._spawn, keeper)

    def _spawn(self, keeper: Keeper) -> None:
        if not keeper.alive or keeper.journal is None:
            return
        truth = self.truth(keeper.key)
        truth.starts += 1
        self.world.say(self.machine.name, f"program of {keeper.key.run_id} runs")
        self.world.watcher.started(truth)
        self.world.watcher.spawned(truth, ordered=keeper.key in self.machine.disk.stops)
        chance = self.world.random
        pick = chance.random()
        planned = Exit(code=0) if pick < 0.75 else Exit(code=chance.randint(1, 3)) if pick < 0.9 else Exit(signal=11)
        program = Program(
            keeper.key, self.machine.next_pid(), self.world.clock.now, self._at, planned, keeper
        )  # fmt: skip
        self.programs[keeper.key] = keeper.program = program
        lasts = chance.uniform(0.001, 0.05) if chance.random() < 0.3 else chance.uniform(0.05, 5.0)
        if self.world.is_quiet:
            lasts = min(lasts, 0.5)
        self._later(lasts, self.end, program, planned, "")
        self._later(0.0 if chance.random() < 0.7 else self._soon(), self._write_started, keeper)

    def _write_started(self, keeper: Keeper) -> None:
        program = keeper.program
        if not keeper.alive or program is None or keeper.journal is None:
            return
        if any(record["e"] == "started" for _, record in keeper.journal.lines):
            return
        self._write(keeper, self._started(program))
        if not program.alive:  # it ended before its shim had come to this line
            self._write_end(keeper, program)
        self.read_orders(keeper.key)

    def _started(self, program: Program) -> Record:
        return {"e": "started", "pid": program.pid, "ticks": 1, "boot": self.machine.boot, "at": program.begun_at,
                "mono": program.begun}  # fmt: skip

    def _write(self, keeper: Keeper, *records: Record) -> None:
        assert keeper.journal is not None
        keeper.journal.add(self.world.clock.now, *records)
        self.machine.changed(keeper.key)

    # Ends

    def end(self, program: Program, how: Exit, by: str) -> None:
        """A program ends; whoever keeps it writes that down."""
        if not program.alive:
            return
        program.alive = False
        truth = self.truth(program.key)
        keeper = program.keeper
        self.world.say(self.machine.name, f"program of {program.key.run_id} ends: {how.code} {how.signal}")
        if keeper is None or not keeper.alive:
            truth.unknowable = truth.unknowable or "it ended when neither shim nor zygote was there"
        else:
            truth.exit = how
            program.planned = Exit(code=how.code, signal=how.signal, killed_by=by)
            assert keeper.journal is not None
            if any(record["e"] == "started" for _, record in keeper.journal.lines):
                self._write_end(keeper, program)
        for watcher in program.watchers:
            watcher()

    def _write_end(self, keeper: Keeper, program: Program) -> None:
        how = program.planned
        result: Record = {
            "e": "result", "code": how.code, "signal": how.signal, "error": "", "killed_by": how.killed_by,
            "stopped": keeper.stop is not None, "timed_out": False, "start": program.begun_at, "end": self._at,
            "elapsed": round(self.world.clock.now - program.begun, 6), "rusage": {}, "maxrss_floor": 0,
        }  # fmt: skip
        if self.world.random.random() < 0.75:
            self._write(keeper, result, self._done())
            self.keepers.pop(keeper.key, None)
        else:
            self._write(keeper, result)
            self._later(self.world.random.uniform(0.1, 1.0), self._write_done, keeper)

    def _done(self) -> Record:
        return {"e": "done", "at": self._at, "rusage": {}, "leftovers": 0, "left": 0, "outputs": {}}

    def _write_done(self, keeper: Keeper) -> None:
        if keeper.alive and keeper.journal is not None and not keeper.journal.state.settled:
            self._write(keeper, self._done())
            self.keepers.pop(keeper.key, None)

    def finish(self, key: Key) -> None:
        """Write `done` where shim and zygote are gone: the supervisor does it."""
        journal = self.machine.disk.journals.get(key)
        if journal is not None and not journal.state.locked and journal.state.phase == "result":
            journal.add(self.world.clock.now, self._done())
            self.machine.changed(key)

    # Orders

    def read_orders(self, key: Key) -> None:
        """The keeper of a run takes the stop that lies for it, and climbs the ladder."""
        keeper, order = self.keepers.get(key), self.machine.disk.stops.get(key)
        if order is None:
            return
        if keeper is None or not keeper.alive:
            self._bypass(key, order)
        elif keeper.program is not None and keeper.program.alive:
            keeper.stop = order
            self._ladder(keeper.program, order)

    def _bypass(self, key: Key, order: Stop) -> None:
        program = self.programs.get(key)
        if program is not None and program.alive:
            self._ladder(program, order)

    def _ladder(self, program: Program, order: Stop) -> None:
        chance = self.world.random
        by = f"stop by {order.by}"
        if chance.random() < 0.6:
            how = Exit(code=0) if chance.random() < 0.2 and order.signal != 9 else Exit(signal=order.signal)
            self._later(chance.uniform(0.001, 0.3), self.end, program, how, by)
        self._later(order.grace + 0.01, self.end, program, Exit(signal=9), by)

    def signal(self, key: Key, number: int) -> None:
        """Send a signal to a program, which may end by it."""
        keeper = self.keepers.get(key)
        if keeper is not None and keeper.alive and keeper.program is not None and self.world.random.random() < 0.5:
            self._later(0.001, self.end, keeper.program, Exit(signal=number), "signal")

    # Deaths

    def kill_shim(self, key: Key) -> None:
        """Kill a shim; its zygote adopts what it leaves, unless that is dead too."""
        keeper = self.keepers.get(key)
        if keeper is None or not keeper.is_shim or not keeper.alive:
            return
        self.world.say(self.machine.name, f"shim of {key.run_id} is killed")
        keeper.shim_alive = False
        if keeper.zygote.alive:
            self._later(self._soon(), self._adopt, keeper)
        else:
            self._orphan(keeper)
        self.machine.changed(key)

    def kill_zygote(self, zygote: Zygote) -> None:
        """Kill a zygote; its shims go on alone, what it had adopted is an orphan."""
        zygote.alive = False
        self.world.say(self.machine.name, "the zygote is killed")
        for keeper in [*self.keepers.values()]:
            if keeper.zygote is zygote and not keeper.is_shim:
                self._orphan(keeper)
                self.machine.changed(keeper.key)

    def _orphan(self, keeper: Keeper) -> None:
        truth = self.truth(keeper.key)
        if keeper.journal is not None and keeper.journal.state.phase in ("claim", "started"):
            truth.unknowable = truth.unknowable or "shim and zygote died"
        if keeper.program is not None:
            keeper.program.keeper = None
        self.keepers.pop(keeper.key, None)

    def _adopt(self, keeper: Keeper) -> None:
        if not keeper.zygote.alive or keeper.journal is None:
            self._orphan(keeper)
            return
        state = keeper.journal.state
        if state.settled:
            return
        keeper.is_shim = False
        self.world.say(self.machine.name, f"the zygote adopts {keeper.key.run_id}")
        adopted: Record = {"e": "adopted", "pid": 2, "ticks": 1, "at": self._at}
        truth, program = self.truth(keeper.key), keeper.program
        if state.phase == "result":
            self._write(keeper, adopted)
            self._later(0.01, self._write_done, keeper)
        elif program is None:
            truth.unstarted = NEVER
            self._write(keeper, adopted, *unstarted(NEVER, self._at))
            self.keepers.pop(keeper.key, None)
        elif program.alive:
            found = () if state.phase == "started" else (self._started(program),)
            self._write(keeper, adopted, *found)
            self.read_orders(keeper.key)
        elif state.phase == "started":
            truth.exit = program.planned
            truth.unknowable = ""
            self._write(keeper, adopted)
            self._write_end(keeper, program)
        else:
            truth.unknowable = "it ended before anybody had written down that it ran"
            self._write(keeper, adopted, *unstarted(DOUBTFUL, self._at))
            self.keepers.pop(keeper.key, None)

    def power_off(self) -> None:
        """All processes are gone."""
        self.dead = True
        for zygote in self.zygotes:
            zygote.alive = False
        for keeper in self.keepers.values():
            keeper.shim_alive = False
        for program in self.programs.values():
            if program.alive:
                program.alive = False
                self._doubt(program.key, "the machine went down while it ran")
        for key, journal in self.machine.disk.journals.items():
            if journal.state.phase in ("claim", "started"):
                self._doubt(key, "the machine went down before its end was written")

    def _doubt(self, key: Key, why: str) -> None:
        truth = self.truth(key)
        truth.unknowable = truth.unknowable or why

    def truth(self, key: Key) -> Truth:
        """Return the truth about a run."""
        return self.world.truth(self.machine.host, key)
