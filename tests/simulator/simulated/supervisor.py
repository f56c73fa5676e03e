"""The supervisor's process: the real protocol core, with what the real one does around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulated.clock import BEGIN
from simulated.disk import Disk, Journal
from simulated.jobs import CORES
from simulated.machine import Machine
from simulated.process import Killed, Process

from apsis.messages.dispatch import Ack, Answers, Commands, Forget, HostHello, Inventory, Reports, Start
from apsis.messages.events import Heartbeat
from apsis.times import format_time, parse_time
from apsis_services.supervisor import protocol as p
from apsis_services.supervisor.core import Core
from apsis_services.supervisor.facts import Facts, Key, Phase
from apsis_services.supervisor.spool import reports
from apsis_services.supervisor.spool.guarded import seal
from apsis_services.supervisor.tidings import Told
from apsis_services.supervisor.watching.verdicts import ADOPTION, LOST_IN_REBOOT, REASONS, Situation, Verdict, facts_of
from apsis_services.supervisor.zygote.request import unstarted

if TYPE_CHECKING:
    from simulated.world import World

SWEEP = 10.0


@dataclass
class Watched:
    """One run that has a journal here, as the watch knows it."""

    phase: str = "none"
    free_since: float | None = None
    over: bool = False
    searching: bool = False


class Supervisor(Process):
    """Serves one machine; everything in it goes with it."""

    def __init__(self, world: World, machine: Machine) -> None:
        super().__init__(world, f"supervisor/{machine.host}")
        self._lives = 0
        self.machine = machine
        machine.supervisor = self

    @property
    def disk(self) -> Disk:
        """The spool."""
        return self.machine.disk

    def begin(self) -> None:
        """Take up every run that the spool holds, then join the bus."""
        self._lives += 1
        self.core = Core(self.disk.epoch, self.machine.boot, self.disk.ledger(), self.disk.floors, self._lives)
        self.linked = self._planned = False
        self._watched: dict[Key, Watched] = {}
        self._buffer: list[bytes] = []
        self._tick = 0
        self._scan()
        self.core.outbox.keep_only(self._watched.keys())
        if self.world.network.up:
            self.later(0.03, self.find_hub)
        self.later(SWEEP, self._sweep)

    def revive(self) -> None:
        """Come back, unless the host is away."""
        if self.machine.is_up:
            self.start()

    # The bus

    def find_hub(self) -> None:
        """Connect."""
        if self.alive and self.world.network.up and not self.linked:
            self.linked = True
            self.guarded(self._feed, p.LinkUp())

    def disconnect(self) -> None:
        """The hub is gone."""
        if self.alive and self.linked:
            self.linked = False
            self.guarded(self._feed, p.LinkDown())

    def hear(self, message: Any) -> None:
        """Take a message."""
        if isinstance(message, Commands):
            orders = [item for item in message.items if not isinstance(item, Forget | Inventory)]
            keys = {Key(item.journal or message.journal, item.run_id) for item in orders}
            self._feed(p.Ordered(message, frozenset(key for key in keys if self._is_archived(key))))
        elif isinstance(message, Ack):
            self._feed(p.Acked(message))
        elif isinstance(message, Heartbeat):
            self._feed(p.Heard(message.journal, message.term, message.life))

    def _is_archived(self, key: Key) -> bool:
        return key not in self.core.runs and key in self.disk.archive

    # Journals

    def notice(self, key: Key) -> None:
        """Hear that a journal has changed."""
        if self.alive:
            self.later(self.world.random.uniform(0.0005, 0.003), self._look, key)

    def overflow(self) -> None:
        """Hear that something has changed, and not what."""
        if self.alive:
            self.later(self.world.random.uniform(0.001, 1.0), self._scan)

    def _scan(self) -> None:
        for key in list(self.disk.journals):
            self._look(key)

    def _look(self, key: Key) -> str:
        journal = self.disk.journals.get(key)
        if journal is None:
            return "none"
        watched = self._watched.setdefault(key, Watched())
        state = journal.state
        if watched.phase in ("done", "revoked"):
            return watched.phase
        now = self.world.clock.now
        watched.free_since = None if state.locked else (now if watched.free_since is None else watched.free_since)
        changed, watched.phase = state.phase != watched.phase, state.phase
        if changed:
            self._feed(p.Seen(key, facts_of(state)))
        if not state.locked and not state.settled and not watched.over:
            self._judge(key, watched, Situation(state, self.machine.boot, now - (watched.free_since or 0.0)).verdict)
        return state.phase

    def _judge(self, key: Key, watched: Watched, verdict: Verdict) -> None:
        if verdict is Verdict.WAIT:
            self.later(ADOPTION + 0.05, self._look, key)
        elif verdict is Verdict.SEARCH and not watched.searching:
            watched.searching = True
            self.later(0.001, self._search, key)
        elif verdict is Verdict.FINISH:
            watched.over = True
            self.later(self.world.random.uniform(0.01, 0.5), self.machine.kernel.finish, key)
        elif verdict is Verdict.LOST_IN_REBOOT:
            self._lose(key, watched, LOST_IN_REBOOT)

    def _search(self, key: Key) -> None:
        watched, journal = self._watched.get(key), self.disk.journals.get(key)
        if watched is None or journal is None or journal.state.locked or journal.state.settled:
            return
        program = self.machine.kernel.programs.get(key)
        if program is not None and program.alive:
            life = self.life
            program.watchers.append(lambda: self._orphan_ended(key, life))
        else:
            self._lose(key, watched, REASONS[journal.state.phase])

    def _orphan_ended(self, key: Key, life: int) -> None:
        if self.alive and self.life == life:
            self.later(0.001, self._search, key)

    def _lose(self, key: Key, watched: Watched, reason: str) -> None:
        watched.over = True
        self.world.met("run lost")
        self._feed(p.Missing(key, reason, self._at))

    def _sweep(self) -> None:
        for key, watched in list(self._watched.items()):
            if watched.phase not in ("done", "revoked") and not watched.over:
                self._look(key)
        self.later(SWEEP, self._sweep)

    @property
    def _at(self) -> str:
        return format_time(self.world.clock.wall)

    # The turn

    def _feed(self, event: p.Event) -> None:
        self._carry_out(self.core.step(event, self.world.clock.now))
        if not self._planned:
            self._planned = True
            self.later(0.0, self._turn)

    def _turn(self) -> None:
        self._planned = False
        now = self.world.clock.now
        self._carry_out(self.core.step(p.Tick(), now))
        self._flush()
        at = self.core.next_tick()
        self._tick += 1
        if at is not None:
            self.later(max(0.001, at - now), self._tick_again, self._tick)

    def _tick_again(self, number: int) -> None:
        if number == self._tick and not self._planned:
            self._turn()

    def _carry_out(self, effects: list[p.Effect]) -> None:
        for effect in effects:
            self.reach(f"before {type(effect).__name__}")
            _DEEDS[type(effect)](self, effect)

    def _flush(self) -> None:
        data, self._buffer = b"".join(self._buffer), []
        if not data:
            return
        try:
            self.reach("while it wrote its log")
        except Killed:
            self.disk.write(self.world.clock.now, data[: self.world.random.randrange(len(data))])
            raise
        self.disk.write(self.world.clock.now, data)

    def _say(self, message: Any) -> None:
        if self.linked:
            self.world.network.send(self.name, "scheduler", message)

    def _who(self) -> dict[str, Any]:
        return {"host": self.machine.host, "epoch": self.core.epoch, "boot": self.core.boot}

    def _send_hello(self, effect: p.SendHello) -> None:
        self._say(
            HostHello(
                **self._who(),
                seq=effect.seq,
                acked=effect.acked,
                floor=effect.floor,
                known=list(effect.known),
                nonce=effect.nonce,
                version="1",
                cores=CORES,
            )
        )

    def _send_answers(self, effect: p.SendAnswers) -> None:
        self.world.watcher.answered(self.machine, effect.items)
        self._say(Answers(**self._who(), items=effect.items, journal=effect.journal))

    def _send_reports(self, effect: p.SendReports) -> None:
        self._flush()
        self.world.watcher.reported(self.machine.host, self.core.epoch, effect.items)
        self._say(Reports(**self._who(), items=effect.items))

    def _start_program(self, effect: p.StartProgram) -> None:
        key, life = effect.key, self.life

        def reply(how: str, why: str) -> None:
            if self.alive and self.life == life:
                self.later(0.001, self._start_went, key, how, why)

        self.machine.kernel.request(effect.start, key, reply)

    def _start_went(self, key: Key, how: str, why: str) -> None:
        if how == "claimed":
            self._feed(p.Claimed(key))
            self.notice(key)
        elif how == "failed":
            self._feed(p.StartFailed(key, why))
        elif self._look(key) == "none":
            self._feed(p.Seen(key, Facts(phase=Phase.SETTLED)))

    def _settle_start(self, effect: p.SettleStart) -> None:
        self.later(0.001, self._settle, effect.key, effect.start, effect.reason)

    def _settle(self, key: Key, start: Start, reason: str) -> None:
        if not self.disk.is_taken(key):
            claim = {
                "e": "claim", "dispatch": start.dispatch, "job_id": start.job_id, "schedule_time": start.schedule_time,
                "args_hash": start.args_hash, "args": start.args, "boot": self.machine.boot, "at": self._at,
                "memo": start.memo,
            }  # fmt: skip
            journal = self.disk.journals[key] = Journal()
            journal.add(self.world.clock.now, claim, *unstarted(reason, self._at))
            self.world.truth(self.machine.host, key).claimed = True
            self.world.truth(self.machine.host, key).unstarted = reason
        self._start_went(key, "exists", "")

    def _take_claim(self, effect: p.TakeClaim) -> None:
        self.later(0.001, self._revoke, effect.key, effect.dispatch)

    def _revoke(self, key: Key, dispatch: int) -> None:
        if not self.disk.is_taken(key):
            journal = self.disk.journals[key] = Journal()
            journal.add(self.world.clock.now, {"e": "revoked", "dispatch": dispatch, "at": self._at})
            self.world.truth(self.machine.host, key).claimed = True
            self.world.met("stop overtook start")
        self._start_went(key, "exists", "")

    def _order_stop(self, effect: p.OrderStop) -> None:
        self.disk.stops[effect.key] = effect.stop
        self.world.met("stop ordered")
        self.machine.kernel.read_orders(effect.key)

    def _send_signal(self, effect: p.SendSignal) -> None:
        self.world.met("signal sent")
        self.machine.kernel.signal(effect.key, effect.signal.signal)

    def _archive(self, effect: p.Archive) -> None:
        for key in effect.keys:
            self._watched.pop(key, None)
            host = self.world.scheduler.tables.hosts.get(self.machine.host)
            last_order = host.dispatch if host is not None else 1 << 32
            self.disk.move_to_archive(self.world.clock.now, key, last_order)

    def _keep_report(self, effect: p.KeepReport) -> None:
        told = self.core.outbox.told.get(effect.key, Told.NOTHING)
        self._buffer.append(seal(reports._Made(journal=effect.key.journal, report=effect.report, told=int(told))))

    def _keep_acked(self, effect: p.KeepAcked) -> None:
        self._buffer.append(seal(reports._AckedTo(acked=effect.seq, last=effect.last)))
        self._flush()

    def _keep_floor(self, effect: p.KeepFloor) -> None:
        self.disk.keep_floor(self.world.clock.now, effect.journal, effect.term, effect.floor, effect.life)

    def _read_archive(self, effect: p.ReadArchive) -> None:
        since = (parse_time(effect.since) - BEGIN).total_seconds() if effect.since else 0.0
        found = [(key, facts_of(journal.state)) for key, (at, journal) in self.disk.archive.items() if at >= since]
        self.later(0.01, self._tell_archive, effect, found)

    def _tell_archive(self, effect: p.ReadArchive, found: list[tuple[Key, Facts]]) -> None:
        half = len(found) // 2
        for part in (found[:half], found[half:]):
            self._feed(p.FromArchive(effect.journal, effect.dispatch, part, last=False))
        self._feed(p.FromArchive(effect.journal, effect.dispatch, [], last=True))


_DEEDS: dict[type[p.Effect], Callable[..., None]] = {
    p.SendHello: Supervisor._send_hello,
    p.SendAnswers: Supervisor._send_answers,
    p.SendReports: Supervisor._send_reports,
    p.StartProgram: Supervisor._start_program,
    p.SettleStart: Supervisor._settle_start,
    p.TakeClaim: Supervisor._take_claim,
    p.OrderStop: Supervisor._order_stop,
    p.SendSignal: Supervisor._send_signal,
    p.Archive: Supervisor._archive,
    p.KeepReport: Supervisor._keep_report,
    p.KeepAcked: Supervisor._keep_acked,
    p.KeepFloor: Supervisor._keep_floor,
    p.ReadArchive: Supervisor._read_archive,
}
