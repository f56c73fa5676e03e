"""The scheduler: decides what runs, and is the only writer of a run's state. Here is only the shell."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final

from apsis.config import Config
from apsis.failpoints import reach
from apsis.home import Home
from apsis.messages.alerts import AlertNotes
from apsis.messages.body import encode
from apsis.messages.dispatch import Ack, Answers, HostHello, HostRoom, Reports
from apsis.messages.events import Heartbeat, Replay, SysEvent
from apsis.messages.requests import ArchiveRuns, Failed, FreePages, ReloadJobs, Request
from apsis.messages.snapshots import Consumed, Snap
from apsis.room import DiskWatch
from apsis.runs.core.effects import Effects, Reply
from apsis.runs.core.inputs import AlertsSaid, Asked, ClockSet, HostLost, HostSaid, Input, Noted, RoomSeen, Tick
from apsis.runs.core.machine import Core
from apsis.runs.core.outbox import Outbox
from apsis.times import format_time, to_micros
from apsis_bus import topics
from apsis_bus.peer import Delivery, Peer, Refused
from apsis_bus.service import Service
from apsis_services.scheduler.answering import Answering
from apsis_services.scheduler.beginning import began, has_begun
from apsis_services.scheduler.checkpoint import Checkpointer
from apsis_services.scheduler.clock import Alarm, ClockWatch, now
from apsis_services.scheduler.conditions.asking import Asking
from apsis_services.scheduler.housekeeping import Housekeeping
from apsis_services.scheduler.loading import Loading
from apsis_services.scheduler.problems import cannot_write, problems, warnings
from apsis_services.scheduler.publishing import publish
from apsis_services.scheduler.refusals import explain
from apsis_services.scheduler.reloading import Reloading, collecting_later
from apsis_services.scheduler.replay import Replayer
from apsis_services.scheduler.replies import answer
from apsis_services.scheduler.settings import settings_of
from apsis_services.scheduler.tables import Tables
from apsis_services.scheduler.upkeep import Upkeep

HEARTBEAT: Final = 5.0
#: at most one more heartbeat in this time, with what was committed
HEARTBEAT_SOONEST: Final = 1.0
HOUSEKEEPING: Final = 60.0
#: one that is started anew each minute must come to it as well; what was missed is started before
HOUSEKEEPING_FIRST: Final = 1.0
#: seconds before a commit that failed is tried again, doubling up to the last
RETRY_FIRST: Final = 0.2
RETRY_LAST: Final = 5.0
#: from this pause on it is no passing lock, and those who wait are told
RETRY_LONG: Final = 0.8
#: what people are told: of what was decided already, and of what was not
KEPT: Final = "it was taken up, and is done as soon as it can be written, unless Apsis is stopped before; look then"
AGAIN: Final = "make room on its disk, or mend it, then ask again; what runs goes on, and nothing is lost"
#: SQLite's codes for what may pass: busy, locked, read-only, I/O error, full, cannot open
_MAY_PASS: Final = frozenset({5, 6, 8, 10, 13, 14})


class Scheduler(Service):
    """Feeds the core, commits what it decides, and then sends and publishes it."""

    name = "scheduler"

    def __init__(self, home: Home, config: Config, host: str = "local") -> None:
        super().__init__(home, config, host)
        self._inbox: list[Input] = []
        self._planned = False
        #: effects that could not be committed yet, and why; until they are, nothing is decided
        self._stuck: Effects | None = None
        self._why_stuck = ""
        self._retry = RETRY_FIRST
        self._resend: asyncio.TimerHandle | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._last_beat = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = False

    async def start(self) -> None:
        """Open the database, join the bus, read the jobs, and begin."""
        config = self.config
        self._loop = asyncio.get_running_loop()
        path = Path(config.database)
        self._tables = Tables(path, f"the scheduler of {self.home.root}")
        self._loading = Loading(Path(config.job_dir), path, config.extensions)
        self._reloading = Reloading(self._loading, Path(config.job_dir), self._feed)
        with collecting_later():
            stored = self._tables.begin_term()
            reading = await self._reloading.begin()
            self._core = Core(stored, self._tables, settings_of(config), self._loading.parse)
        self._journal, self._term, self._life = stored.journal, stored.term, stored.life
        self.facts["instance"] = f"{stored.journal:016x}"
        self._house = Housekeeping(self._tables, lambda kind, detail: self._feed(Noted(kind, detail)))
        self._conditions = Asking(f"{self.home.root}:{self.name}", self._feed, self._spawn)
        self._upkeep = Upkeep(self.home.root, self._tables, self._spawn, self._feed)
        self._outbox = Outbox(stored.journal, stored.term, stored.life)
        for host in stored.hosts:
            self._outbox.know(host.host, host.dispatch)
        for command in stored.commands:
            self._outbox.put(command)
        self._replayer = Replayer(path, stored.journal)
        self._answering = Answering(self._replayer, self._spawn)
        self._checkpointer = Checkpointer(path)
        self._disk = DiskWatch("the database", path.parent, config.disk)
        self._alarm, self._watch = Alarm(lambda: self._feed(Tick())), ClockWatch()
        self._peer = Peer(self.home, self.name)
        self._open = True
        self._checkpointer.start()
        self._peer.handle(self.take)
        self._peer.on_connected.append(self._joined)
        self._peer.on_refused = self._refused
        await self._peer.connect()
        self._look_at_disk()
        self._feed(began(self.home, config, now()))
        with collecting_later():
            await self._reloading.first(reading, self._core, stored.jobs)
        self._spawn(self._reloading.follow(self._core))
        has_begun(self.home)
        self._every("beat", HEARTBEAT, self._beat)
        self._every("housekeeping", HOUSEKEEPING, self._tidy)
        self._timers["tidy"] = self._loop.call_later(HOUSEKEEPING_FIRST, self._tidy)

    async def stop(self) -> None:
        """Close everything; what is not committed was not answered, and comes again."""
        if not self._open:
            return
        self._open = False
        for timer in (*self._timers.values(), self._resend):
            if timer is not None:
                timer.cancel()
        await self._conditions.stop()
        for task in self._tasks:
            task.cancel()
        self._alarm.close()
        await self._peer.close()
        await asyncio.to_thread(self._checkpointer.stop)
        await asyncio.to_thread(self._replayer.close)
        self._tables.close()

    # What it hears

    def on_host(self, message: HostHello | Answers | Reports, delivery: Delivery) -> None:
        """Take what a supervisor says; it may only speak for its own host."""
        if delivery.sender != f"supervisor/{message.host}":
            self.log.warning(
                "%s speaks for host %s and is not heard", delivery.sender, message.host, extra={"event": "denied"}
            )
            return
        # while nothing can be committed it is dropped: it comes again until it is acknowledged
        if self._stuck is None:
            self._feed(HostSaid(message))

    def on_room(self, message: HostRoom, delivery: Delivery) -> None:
        """Take note of whether a host has room for new runs; what is not answered comes again."""
        if delivery.sender == f"supervisor/{message.host}" and self._stuck is None:
            self._feed(RoomSeen(message.host, message.lack))
            delivery.ok(message)

    def on_alerts(self, message: AlertNotes, delivery: Delivery) -> None:
        """Have notes on alerts written into the logs of their runs; what is not answered comes again."""
        if delivery.sender == "alerts" and self._stuck is None:
            self._feed(AlertsSaid(message, delivery))

    def on_request(self, message: Request, delivery: Delivery) -> None:
        """Do what people ask for, through the web service."""
        if delivery.sender.startswith("client/"):
            failed = Failed(code="denied", message="requests are made by REST", hint="see `apsis --help`")
            delivery.no(failed.code, failed)
        elif self._stuck is not None:
            failed = Failed(code="unavailable", message=cannot_write(self._why_stuck), hint=AGAIN)
            delivery.no(failed.code, failed)
        elif isinstance(message.do, ReloadJobs):
            self._spawn(self._reload(Asked(message, delivery), force=message.do.force))
        elif isinstance(message.do, ArchiveRuns | FreePages):
            self._upkeep.take(message, message.do, delivery, to_micros(now()))
        else:
            self._feed(Asked(message, delivery))

    def on_question(self, message: Replay | Snap, delivery: Delivery) -> None:
        """Hand out what was committed, or what there is."""
        self._answering.take(message, delivery)

    def on_consumed(self, message: Consumed, delivery: Delivery) -> None:
        """Keep for a service the events that it has not come to yet."""
        self._house.hear(message, delivery, self._journal, self._core.head, to_micros(now()))

    def _refused(self, refused: Refused) -> None:
        """Take note of a host that is not on the bus."""
        kind, _, host = refused.to.partition("/")
        if kind == "supervisor" and refused.code == "unroutable":
            if self._stuck is None:
                self._feed(HostLost(host))
        elif refused.code != "unroutable":
            self.log.warning(
                "%s did not get a message (%s): %s",
                refused.to,
                refused.code,
                refused.message,
                extra={"event": "refused"},
            )

    def _joined(self) -> None:
        """Make ourselves known on the bus, so that supervisors say HELLO."""
        self._beat_now()
        self._probe()

    # One turn

    def _feed(self, event: Input) -> None:
        """Have an input decided in the next turn, with all else that has come by then: they are one commit."""
        self._inbox.append(event)
        if not self._planned and self._stuck is None:
            self._planned = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._planned = False
        if self._stuck is not None or not self._open:
            return
        inbox, self._inbox = self._inbox, []
        time = now()
        if by := self._watch.moved():
            inbox.insert(0, ClockSet(by))
        effects = Effects()
        for event in inbox:
            effects.add(self._core.step(event, time))
        self._carry_out(effects)

    def _carry_out(self, effects: Effects) -> None:
        """Commit, then send: never the other way round."""
        if effects.durable:
            reach("scheduler.decided")
        try:
            written = self._tables.commit(effects) if effects.durable else []
        except sqlite3.OperationalError as error:
            if (error.sqlite_errorcode or 0) & 0xFF not in _MAY_PASS:
                raise
            self._hold(effects, explain(error, self._tables.path))
            return
        if self._stuck is not None:
            self.log.info("the database can be written again", extra={"event": "unstuck"})
            self._stuck, self._why_stuck, self._retry = None, "", RETRY_FIRST
        if effects.durable:
            reach("scheduler.committed")
        self._core.committed()
        if effects.journal is not None:
            self._take_number(effects.journal)
        self._send(effects)
        if effects.commands:
            reach("scheduler.sent")
        self._reloading.committed()
        self._conditions.take(effects.questions)
        for reply in effects.replies:
            answer(reply)
        publish(self._peer, self._journal, written, effects.events)
        if written:
            self._beat_soon()
            self._log(effects)
        self._alarm.set(effects.wake)
        if self._inbox:
            self._planned = True
            self._loop.call_soon(self._turn)

    def _hold(self, effects: Effects, why: str) -> None:
        """Keep what was decided until it can be committed; nothing more is decided meanwhile."""
        if self._stuck is None:
            self.log.error(
                "the database cannot be written: %s; nothing is started until it can", why, extra={"event": "stuck"}
            )
        self._stuck, self._why_stuck = effects, why
        if self._retry >= RETRY_LONG:
            # who asked is told why nothing comes, and not left to find out that we are "away"
            for reply in effects.replies:
                answer(Reply(reply.token, Failed(code="unavailable", message=cannot_write(why), hint=KEPT)))
            effects.replies.clear()
        self._timers["retry"] = self._loop.call_later(self._retry, self._carry_out, effects)
        self._retry = min(RETRY_LAST, self._retry * 2)

    def _take_number(self, journal: int) -> None:
        """Speak for the database under its new number, from the commit on that gave it."""
        self._journal = self._outbox.journal = self._replayer.journal = journal
        self.facts["instance"] = f"{journal:016x}"

    def _send(self, effects: Effects) -> None:
        for host in effects.greeted:
            self._outbox.greet(host)
        for command in effects.commands:
            self._outbox.put(command)
        for host, dispatch in effects.settled:
            self._outbox.settle(host, dispatch)
        for host in effects.acks:
            self._ack(host)
        self._dispatch()

    def _dispatch(self) -> None:
        """Send the commands that are new or overdue, and plan the next time."""
        for host, message in self._outbox.due(self._loop.time()):
            self._peer.send(f"supervisor/{host}", message)
        if self._resend is not None:
            self._resend.cancel()
        at = self._outbox.next()
        self._resend = self._loop.call_at(at, self._dispatch) if at is not None else None

    def _ack(self, host: str) -> None:
        known = self._core.book.hosts[host]
        epoch, seq, hello = known.row.epoch, known.row.seq, known.nonce
        ack = Ack(journal=self._journal, term=self._term, epoch=epoch, seq=seq, life=self._life, hello=hello)
        self._peer.send(f"supervisor/{host}", ack)

    # From time to time

    def _every(self, name: str, seconds: float, do: Callable[[], None]) -> None:
        def again() -> None:
            do()
            self._every(name, seconds, do)

        self._timers[name] = self._loop.call_later(seconds, again)

    def _look_at_disk(self) -> None:
        if self._stuck is None and self._disk.look() != self._core.book.no_room.get("", ""):
            self._feed(RoomSeen("", self._disk.lack))

    def _beat(self) -> None:
        self._look_at_disk()
        self._beat_now()
        self._probe()

    def _beat_soon(self) -> None:
        """Name the new head, once a second at most: who has missed the last event finds out by it."""
        wait = self._last_beat + HEARTBEAT_SOONEST - self._loop.time()
        if wait <= 0:
            self._beat_now()
        elif "soon" not in self._timers:
            self._timers["soon"] = self._loop.call_later(wait, self._beat_now)

    def _log(self, effects: Effects) -> None:
        """Log what happened to the installation; what happens to runs stands in their own logs."""
        for event in effects.events:
            if isinstance(event, SysEvent):
                self.log.info("%s: %s", event.kind, event.detail, extra={"event": event.kind})

    def _beat_now(self) -> None:
        self._last_beat = self._loop.time()
        if (soon := self._timers.pop("soon", None)) is not None:
            soon.cancel()
        time = now()
        beat = Heartbeat(
            journal=self._journal,
            term=self._term,
            head=self._core.head - (len(self._stuck.events) if self._stuck else 0),
            floor=self._house.floor,
            now=format_time(time),
            problems=problems(self._core, time, self._why_stuck),
            warnings=[*self._checkpointer.warnings(), *self._reloading.warnings(), *warnings(self._core)],
            life=self._life,
        )
        self._peer.publish(topics.HEARTBEAT, 0, self._journal, encode(beat))

    def _probe(self) -> None:
        """Repeat the last acknowledgement to each host that has greeted us: one that is gone is found out by it.

        To no other: a supervisor takes an acknowledgement for the answer to its HELLO, says none any more, and
        would never be known to be here.
        """
        for name, host in self._core.book.hosts.items():
            if host.connected:
                self._ack(name)

    def _tidy(self) -> None:
        """Delete what is past its time, some rows at a time."""
        if self._stuck is not None:
            return
        try:
            if self._house.tidy(to_micros(now())):
                self._timers["tidy"] = self._loop.call_later(0.1, self._tidy)
        except sqlite3.OperationalError as error:
            self.log.warning("old events cannot be deleted: %s", error, extra={"event": "prune"})

    # Jobs

    async def _reload(self, asked: Asked, *, force: bool) -> None:
        await self._reloading.read(self._core, asked, force=force)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        # what was not foreseen ends the process: everything it knows is in the database
        task = self.background(work, "work")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
