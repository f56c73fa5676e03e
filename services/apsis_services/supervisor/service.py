"""The supervisor of one host: takes the scheduler's commands, reports what becomes of runs, carries their output.

It is nobody's parent: programs belong to shims, and those to the zygote. What it knows it reads from the
journals, so that it may be killed at any moment. It needs neither the database nor the manager.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Final

from apsis.errors import Unavailable
from apsis.failpoints import reach
from apsis.messages.body import decode
from apsis.messages.dispatch import Ack, Commands, Forget, Inventory
from apsis.messages.events import Heartbeat
from apsis.messages.live import SAMPLES, AskLive
from apsis.messages.outputs import OutputAck, ToStore
from apsis_bus import topics
from apsis_bus.peer import Delivery, Peer, Published, Refused
from apsis_bus.service import Service
from apsis_services.supervisor import protocol as p
from apsis_services.supervisor.core import Core
from apsis_services.supervisor.facts import Facts, Key, Phase
from apsis_services.supervisor.figures.figures import Figures
from apsis_services.supervisor.figures.series import SeriesBook
from apsis_services.supervisor.limits import open_many_files
from apsis_services.supervisor.outputs.carried import terms_of
from apsis_services.supervisor.outputs.pump import Pump
from apsis_services.supervisor.outputs.remover import Remover
from apsis_services.supervisor.outputs.sparing import Guard
from apsis_services.supervisor.outputs.spoolfile import can_punch
from apsis_services.supervisor.spool.archive import ArchiveReader
from apsis_services.supervisor.spool.reports import Floors, ReportsLog, take_epoch
from apsis_services.supervisor.spool.room import RoomTeller
from apsis_services.supervisor.spool.spool import Spool
from apsis_services.supervisor.starting.starter import Starter
from apsis_services.supervisor.stopper import Stopper
from apsis_services.supervisor.tidings import Told
from apsis_services.supervisor.voice import SCHEDULER, Voice
from apsis_services.supervisor.watching.verdicts import facts_of, streams_of
from apsis_services.supervisor.watching.watch import Watch
from apsis_services.supervisor.zygote.client import ZygoteClient, ZygoteError
from apsis_services.supervisor.zygote.identity import boot_id
from apsis_services.supervisor.zygote.journal import JournalState, read_journal
from apsis_services.supervisor.zygote.stamps import stamp_now

STORE: Final = "store"
#: seconds to wait for the hub before the supervisor says that it is ready all the same
HUB_PATIENCE: Final = 5.0
DAY: Final = 86_400.0


class Supervisor(Service):
    """Owns the spool of one host: journals, epoch, floors and reports."""

    name = "supervisor"

    async def start(self) -> None:
        """Take up every run that the spool holds, then join the bus; the hub may come later."""
        self._loop = asyncio.get_running_loop()
        self._turn_due = False
        self._timer: asyncio.TimerHandle | None = None
        open_many_files()
        self._remember()
        self.core = Core(self.epoch, self.boot, self.log_of_reports.ledger, self.floors.orders, secrets.randbits(63))
        self.remover = Remover()
        self.archive = ArchiveReader(self.spool, self._feed)
        self.pump = Pump(self.host, self.spool.runs, self._send_output, self.remover.remove)
        self.pump.punching = can_punch(self.spool.root)
        self.facts["holes"] = "yes" if self.pump.punching else "no"  # for health
        self.guard = Guard(self.pump, self.config.output.spare)
        self.watch = Watch(self.spool.root, self.boot, self.epoch, self)
        self.stopper = Stopper(self.spool.root, self.epoch, self.watch)
        zygote = ZygoteClient(self.home.spool, self.home.run, log_file=self.home.service_log("zygote"))
        self.starter = Starter(
            self.home, self.spool.root, self.epoch, self.boot, zygote, self, secrets=self.config.secrets
        )
        self.peer = Peer(self.home, f"supervisor/{self.host}", bulk=True, epoch=self.epoch)
        self.voice = Voice(self.host, self.epoch, self.boot, self.peer, self.log_of_reports, self._wake)
        self.room = RoomTeller(self.host, self.spool.root, self.config.disk, self.peer)
        self.figures = Figures(self.host, self.watch, SeriesBook(self.spool.runs), self._publish_figures)
        self._take_up()
        self._join()
        self._zygote_task = self._loop.create_task(self._warm(zygote))
        self._daily()
        await asyncio.wait({self._hub_task}, timeout=HUB_PATIENCE)
        if self._hub_task.done():
            self._hub_task.result()
        else:
            self._hub_task.add_done_callback(lambda task: None if task.cancelled() else task.result())

    async def stop(self) -> None:
        """Leave the bus; programs, shims and the zygote go on."""
        if not hasattr(self, "_zygote_task"):
            return
        for task in (self._hub_task, self._zygote_task, self.room.task):
            task.cancel()
        self.figures.close()
        self.archive.close()
        self.stopper.close()
        self._turn()
        if self._timer is not None:
            self._timer.cancel()
        await self.starter.close()
        await self.peer.close()
        self.watch.close()
        self.remover.close()
        self.guard.close()
        self.log_of_reports.close()

    # Beginning

    def _remember(self) -> None:
        self.spool = Spool(self.home.spool)
        self.spool.make()
        try:
            self.epoch, self.boot = take_epoch(self.spool.root), boot_id()
            self.log_of_reports = ReportsLog(self.spool.root / "reports.log")
            self.floors = Floors(self.spool.root / "floor")
        except OSError as error:
            raise Unavailable(
                f"the spool {self.spool.root} cannot be read and written: {error}",
                hint="Make room or repair it; programs that run go on, and are taken up afterwards.",
            ) from None

    def _take_up(self) -> None:
        """Read all journals, and find the folders whose journal is archived but whose output is not yet kept."""
        began = time.monotonic()
        self._starting = True
        self.watch.begin(self._output_grew)
        self._starting = False
        for key, watched in self.watch.runs.items():
            if watched.state.phase in ("claim", "started"):
                self.stopper.resume(key)
        self.core.outbox.keep_only(self.watch.runs.keys())
        for key in self.spool.folders():
            if key not in self.watch.runs:
                self._take_up_archived(key)
        self.log.info(
            "%d runs taken up in %.3f s", len(self.watch.runs), time.monotonic() - began,
            extra={"event": "taken_up", "runs": len(self.watch.runs)},
        )  # fmt: skip

    def _take_up_archived(self, key: Key) -> None:
        state = read_journal(self.spool.archived(key))
        if state.claim is not None:
            self.pump.open(key, (*streams_of(state), SAMPLES), terms_of(state), found=True)
            self.pump.finish(key, state.done["outputs"] if state.done else {})
        self.pump.forget(key)

    def _join(self) -> None:
        self.peer.handle(self.take)
        self.peer.on_connected.append(self._connected)
        self.peer.on_lost.append(self._disconnected)
        self.peer.on_refused = self._refused
        self.peer.subscribe(topics.HEARTBEAT, self._heartbeat)
        self.peer.subscribe(topics.topic("hello", STORE), self._store_came)
        self._hub_task = self._loop.create_task(self.peer.connect())

    async def _warm(self, zygote: ZygoteClient) -> None:
        """Have a zygote before the first start asks for one."""
        try:
            await zygote.ensure()
        except (ZygoteError, OSError) as error:
            self.log.warning("no zygote yet: %s", error, extra={"event": "no_zygote"})

    def _daily(self) -> None:
        self.spool.clean_archive(time.time())
        self._loop.call_later(DAY, self._daily)

    # The bus

    def on_commands(self, message: Commands, delivery: Delivery) -> None:
        """The scheduler's commands; answered with the end of this turn, or when the zygote has answered."""
        if self._is_from(delivery, SCHEDULER):
            reach("supervisor.heard")
            orders = [item for item in message.items if not isinstance(item, Forget | Inventory)]
            keys = {Key(item.journal or message.journal, item.run_id) for item in orders}
            self._feed(p.Ordered(message, self.spool.archived_among(keys - self.core.runs.keys())))

    def on_ack(self, message: Ack, delivery: Delivery) -> None:
        """The scheduler has committed reports."""
        if self._is_from(delivery, SCHEDULER):
            self._feed(p.Acked(message))
            reach("supervisor.acked")

    def on_output_ack(self, message: OutputAck, delivery: Delivery) -> None:
        """The store has written output."""
        if self._is_from(delivery, STORE):
            self.pump.acked(message.items, self._loop.time())
            self._wake()

    def on_ask_live(self, message: AskLive, delivery: Delivery) -> None:
        """Somebody wants the last figures."""
        delivery.ok(self.figures.report(message.run_id))

    def _is_from(self, delivery: Delivery, name: str) -> bool:
        if delivery.sender == name:
            return True
        delivery.no("denied", f"only {name} sends that")
        return False

    def _heartbeat(self, published: Published) -> None:
        heartbeat: Heartbeat = decode(Heartbeat, published.body)
        self._feed(p.Heard(heartbeat.journal, heartbeat.term, heartbeat.life))

    def _store_came(self, _: Published) -> None:
        self.pump.lost(self._loop.time())
        self.pump.back()
        self._wake()

    def _connected(self) -> None:
        self.pump.lost(self._loop.time())
        self.pump.back()
        self._feed(p.LinkUp())

    def _disconnected(self) -> None:
        self.pump.lost(self._loop.time())
        self._feed(p.LinkDown())

    def _refused(self, refused: Refused) -> None:
        """What is for the scheduler comes again by itself; for the store one message at a time is tried."""
        if refused.to == STORE:
            self.pump.lost(self._loop.time())
            self._wake()
        self.log.debug("%s was not reached: %s", refused.to, refused.code, extra={"event": "refused"})

    # What the journals say (`Hears`) and how starts went (`HearsStarts`)

    def journal_seen(self, key: Key, state: JournalState) -> None:
        """A run has come further."""
        if state.claim is not None and state.phase != "claim":
            self._follow_output(key, state)
        self._feed(p.Seen(key, facts_of(state)))
        if state.phase == "started":
            self.figures.wake()

    def run_missing(self, key: Key, reason: str) -> None:
        """A run is lost; what it printed is not."""
        self.log.error("run %s: %s", key.run_id, reason, extra={"event": "run_lost", "run": key.run_id})
        self._feed(p.Missing(key, reason, stamp_now()))
        state = self.watch.runs[key].state
        if state.claim is not None:
            self.pump.open(key, (*streams_of(state), SAMPLES), terms_of(state))
            self.pump.finish(key, {})
        self.watch.unwatch_output(key)

    def run_abandoned(self, key: Key, state: JournalState) -> None:
        """The program has ended, and nobody else is there to finish."""
        self.stopper.finish(key, state)

    def start_claimed(self, key: Key) -> None:
        """The zygote has claimed a run for us."""
        self._feed(p.Claimed(key))

    def start_exists(self, key: Key) -> None:
        """There was a journal; what it says answers the start."""
        if self.watch.look(key).phase == "none":
            self._feed(p.Seen(key, Facts(phase=Phase.SETTLED)))

    def start_failed(self, key: Key, reason: str) -> None:
        """The zygote could not start a run."""
        self.log.warning("run %s: %s", key.run_id, reason, extra={"event": "start_failed", "run": key.run_id})
        self._feed(p.StartFailed(key, reason))

    def _follow_output(self, key: Key, state: JournalState) -> None:
        found = self._starting and state.done is not None
        self.pump.open(key, (*streams_of(state), SAMPLES), terms_of(state), found=found)
        if state.done is not None:
            self.watch.unwatch_output(key)
            self.pump.finish(key, state.done["outputs"])
        elif self.watch.watch_output(key, str(self.spool.folder(key))):
            self._output_grew(key)

    def _output_grew(self, key: Key) -> None:
        self.pump.grew(key)
        self.guard.wake()
        self._wake()

    # The turn

    def _feed(self, event: p.Event) -> None:
        self._carry_out(self.core.step(event, self._loop.time()))
        self._wake()

    def _wake(self) -> None:
        """End this turn of the loop with one look at what is to be sent, however much has come in."""
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        now = self._loop.time()
        self._carry_out(self.core.step(p.Tick(), now))
        self.voice.write()
        again = self.pump.pump(now) if self.peer.connected else None
        times = [at for at in (again, self.core.next_tick()) if at is not None]
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(max(min(times), now + 0.001), self._wake) if times else None

    def _carry_out(self, effects: list[p.Effect]) -> None:
        for effect in effects:
            _DEEDS[type(effect)](self, effect)

    def _send_hello(self, effect: p.SendHello) -> None:
        self.voice.hello(effect, {"punch_hole": self.pump.punching})

    def _send_answers(self, effect: p.SendAnswers) -> None:
        self.voice.answer(effect)

    def _send_reports(self, effect: p.SendReports) -> None:
        self.voice.report(effect)

    def _start_program(self, effect: p.StartProgram) -> None:
        self.starter.begin(effect.key, effect.start)

    def _settle_start(self, effect: p.SettleStart) -> None:
        self._loop.call_soon(self.starter.settle, effect.key, effect.start, effect.reason)

    def _take_claim(self, effect: p.TakeClaim) -> None:
        self._loop.call_soon(self._revoke, effect)

    def _revoke(self, effect: p.TakeClaim) -> None:
        try:
            self.spool.revoke(effect.key, effect.dispatch)
        except OSError as error:
            self.log.warning(
                "run %s cannot be revoked yet: %s", effect.key.run_id, error.strerror, extra={"event": "revoke_failed"}
            )
            self._loop.call_later(1.0, self._revoke, effect)
            return
        self.start_exists(effect.key)

    def _order_stop(self, effect: p.OrderStop) -> None:
        self.stopper.stop(effect.key, effect.stop)

    def _send_signal(self, effect: p.SendSignal) -> None:
        self.stopper.send(effect.key, effect.signal)

    def _archive(self, effect: p.Archive) -> None:
        for key in effect.keys:
            self.watch.drop(key)
            self.spool.archive(key)
            self.pump.forget(key)

    def _read_archive(self, effect: p.ReadArchive) -> None:
        self.archive.read(effect)

    def _keep_report(self, effect: p.KeepReport) -> None:
        self.log_of_reports.keep(effect, self.core.outbox.told.get(effect.key, Told.NOTHING))

    def _keep_acked(self, effect: p.KeepAcked) -> None:
        self.voice.keep_acked(effect, self.core.outbox.told)

    def _keep_floor(self, effect: p.KeepFloor) -> None:
        try:
            self.floors.keep(effect.journal, effect.term, effect.floor, effect.life)
        except OSError as error:
            # The archive of journals guards what the floor would; it is written with the next change.
            self.log.warning("the floor cannot be written: %s", error.strerror, extra={"event": "spool_full"})

    def _send_output(self, message: ToStore, payload: bytes | None) -> None:
        self.peer.send(STORE, message, payload=payload, bulk=True)

    def _publish_figures(self, body: bytes) -> None:
        if self.peer.connected:
            self.peer.publish(topics.live_host(self.host), 0, 0, body)


_DEEDS: Final[dict[type[p.Effect], Callable[..., None]]] = {
    p.SendHello: Supervisor._send_hello,
    p.SendAnswers: Supervisor._send_answers,
    p.SendReports: Supervisor._send_reports,
    p.StartProgram: Supervisor._start_program,
    p.SettleStart: Supervisor._settle_start,
    p.TakeClaim: Supervisor._take_claim,
    p.OrderStop: Supervisor._order_stop,
    p.SendSignal: Supervisor._send_signal,
    p.Archive: Supervisor._archive,
    p.ReadArchive: Supervisor._read_archive,
    p.KeepReport: Supervisor._keep_report,
    p.KeepAcked: Supervisor._keep_acked,
    p.KeepFloor: Supervisor._keep_floor,
}
