"""The scheduler's process: the real core and outbox, in a shell that commits first and then sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulated import jobs
from simulated.process import Process

from apsis.messages.dispatch import Ack, Answers, HostHello, Reports
from apsis.messages.events import Event, Heartbeat, Page, Replay
from apsis.messages.requests import Request
from apsis.runs.core.effects import Effects
from apsis.runs.core.inputs import Asked, Began, HostLost, HostSaid, Input, JobsLoaded, Tick
from apsis.runs.core.machine import Core
from apsis.runs.core.memory import MemoryTables
from apsis.runs.core.outbox import Outbox
from apsis.times import format_time

if TYPE_CHECKING:
    from simulated.world import World

HEARTBEAT = 5.0
#: at most one more heartbeat in this time, with what was committed
SOONEST = 1.0
#: events of one page: few, so that there are pages
PAGE = 16


class Scheduler(Process):
    """What survives it is in `tables`."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "scheduler")
        self.tables = MemoryTables(journal=world.random.getrandbits(32))
        #: what stands in the job directory
        self.files: dict[str, bool] = {}
        #: events at or below are deleted
        self.floor = 0
        self.backup: tuple[MemoryTables, int] | None = None

    def begin(self) -> None:
        """Start from what was committed."""
        stored = self.tables.begin_term(self.world.random.getrandbits(32) or 1)
        self.core = Core(stored, self.tables, jobs.SETTINGS, jobs.parse)
        self.outbox = Outbox(stored.journal, stored.term, stored.life)
        for host in stored.hosts:
            self.outbox.know(host.host, host.dispatch)
        for command in stored.commands:
            self.outbox.put(command)
        self._inbox: list[Input] = []
        self._planned = False
        self._alarm = self._resend = self._turns = 0
        self._last_beat = -SOONEST
        self._beat_planned = False
        self.linked = False
        self.feed(Began())
        self.later(self.world.random.uniform(0.01, 0.3), self.load)
        if self.world.network.up:
            self.later(0.02, self.find_hub)
        self.later(HEARTBEAT, self._beat_again)

    def load(self) -> None:
        """Read the job directory."""
        read = {job_id: jobs.job(job_id, timed=timed) for job_id, timed in self.files.items()}
        known = self.core.book.jobs
        same = frozenset(id_ for id_, job in read.items() if id_ in known and known[id_].version == job.version)
        new = {job_id: job for job_id, job in read.items() if job_id not in same}
        self.feed(JobsLoaded(new, same=same, force=True))

    # Backups

    def back_up(self) -> None:
        """Copy the database."""
        self.backup = _copy(self.tables), self.floor

    def put_back(self) -> None:
        """Kill the scheduler, and give it the copy, as `apsisctl db restore` does."""
        if self.backup is None:
            return
        self.kill("to have its database put back")
        self.tables, self.floor = _copy(self.backup[0]), self.backup[1]
        self.tables.meta["restored"] = format_time(self.world.clock.wall)
        self.world.restored, self.world.restored_from = True, self.tables.journal
        self.world.watcher.put_back(self.tables)

    # The hub

    def find_hub(self) -> None:
        """Make itself known, so that supervisors say hello."""
        if self.alive and self.world.network.up:
            self.linked = True
            self._beat()
            self._probe()

    def disconnect(self) -> None:
        """The hub is gone."""
        self.linked = False

    def unroutable(self, name: str) -> None:
        """The hub says that a supervisor is not there."""
        if self.alive and self.linked:
            self.feed(HostLost(name.partition("/")[2]))

    def hear(self, message: Any) -> None:
        """Take a message."""
        if isinstance(message, HostHello | Answers | Reports):
            self.feed(HostSaid(message))
        elif isinstance(message, Request):
            self.feed(Asked(message, message.request_id))
        else:
            number, replay = message
            self._say("reader", (number, self._page(replay)))

    def _page(self, replay: Replay) -> Page | str:
        events = self.tables.events
        if replay.since < self.floor:
            return "floor"
        found = events[replay.since : replay.since + PAGE]
        last = found[-1].id if found else max(replay.since, len(events))
        return Page(journal=self.tables.journal, last=last, head=len(events), events=found)

    def _say(self, to: str, message: Any) -> None:
        if self.linked:
            self.world.network.send(self.name, to, message)

    # One turn

    def feed(self, event: Input) -> None:
        """Have an input decided in the next turn, with all else that has come by then."""
        self._inbox.append(event)
        if not self._planned:
            self._planned = True
            self.later(0.0, self._turn)

    def _turn(self) -> None:
        self._planned = False
        inbox, self._inbox = self._inbox, []
        now = self.world.clock.wall
        effects = Effects()
        for event in inbox:
            effects.add(self.core.step(event, now))
        self.reach("before the commit")
        self.carry_out(effects)

    def carry_out(self, effects: Effects) -> None:
        """Commit, then send."""
        self.commit(effects)
        self.reach("between commit and send")
        self.core.committed()
        self.tell(effects)
        self._set_alarm(effects)

    def commit(self, effects: Effects) -> None:
        """Make it last."""
        if effects.durable:
            self.tables.commit(effects)
            self.world.watcher.committed(effects)

    def tell(self, effects: Effects) -> None:
        """Send and publish what was committed."""
        if effects.journal is not None:
            self.outbox.journal = effects.journal
        for host in sorted(effects.greeted):
            self.outbox.greet(host)
        for command in effects.commands:
            self.outbox.put(command)
        for host, dispatch in effects.settled:
            self.outbox.settle(host, dispatch)
        for host in sorted(effects.acks):
            self._ack(host)
            self.reach("after an ack")
        self._dispatch()
        if self.world.waits is not None:
            self.world.waits.asked(self, effects.questions)
        for reply in effects.replies:
            self._say("people", (reply.token, reply.body))
            self.reach("after a reply")
        for event in effects.events:
            self._publish(event)
        if effects.events:
            self._beat_soon()

    def _publish(self, event: Event) -> None:
        self.world.watcher.published(event)
        self._say("reader", (event, self.tables.journal))
        self.reach("while it published")

    def _ack(self, host: str) -> None:
        known = self.core.book.hosts[host]
        row, hello = known.row, known.nonce
        self.world.watcher.acked(row)
        journal, term, life = self.outbox.journal, self.outbox.term, self.outbox.life
        ack = Ack(journal=journal, term=term, epoch=row.epoch, seq=row.seq, life=life, hello=hello)
        self._say(f"supervisor/{host}", ack)

    def _dispatch(self) -> None:
        for host, message in self.outbox.due(self.world.clock.now):
            self.world.watcher.ordered(host, message)
            self._say(f"supervisor/{host}", message)
            self.reach("after a command")
        at = self.outbox.next()
        self._resend += 1
        if at is not None:
            self.later(max(0.0, at - self.world.clock.now), self._dispatch_again, self._resend)

    def _dispatch_again(self, number: int) -> None:
        if number == self._resend:
            self._dispatch()

    def _set_alarm(self, effects: Effects) -> None:
        self._alarm += 1
        if effects.wake is not None:
            self.later(self.world.clock.seconds_until(effects.wake), self._ring, self._alarm)

    def _ring(self, number: int) -> None:
        if number == self._alarm:
            self.feed(Tick())

    # Heartbeats

    def _beat_again(self) -> None:
        self._beat()
        self._probe()
        self.later(HEARTBEAT, self._beat_again)

    def _beat_soon(self) -> None:
        wait = self._last_beat + SOONEST - self.world.clock.now
        if wait <= 0:
            self._beat()
        elif not self._beat_planned:
            self._beat_planned = True
            self.later(wait, self._beat)

    def _beat(self) -> None:
        self._beat_planned = False
        self._last_beat = self.world.clock.now
        beat = Heartbeat(
            journal=self.outbox.journal, term=self.outbox.term, head=len(self.tables.events), floor=self.floor,
            now=format_time(self.world.clock.wall), life=self.outbox.life,
        )  # fmt: skip
        for name in self.world.processes:
            if name != self.name:
                self._say(name, beat)

    def _probe(self) -> None:
        for name, host in self.core.book.hosts.items():
            if host.connected:
                self._ack(name)


def _copy(tables: MemoryTables) -> MemoryTables:
    """Return tables that hold the same rows; rows themselves never change."""
    copied = MemoryTables(tables.journal)
    for name, value in vars(tables).items():
        if name == "_same":
            value = {key: dict(numbers) for key, numbers in value.items()}
        setattr(copied, name, value.copy() if isinstance(value, dict | list) else value)
    return copied
