"""The protocol of a host, pure: commands, journals and acks go in as events, what is to be done comes out.

No socket, clock, file or process is known here; time is an argument. A run is started at most once because
a start goes to the zygote only if its number is above the floor, it is bound to this spool and boot, and
neither a journal nor an archived journal of it exists; and the zygote's claim decides the rest.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from apsis.messages.dispatch import (
    Answer,
    Commands,
    Forget,
    Inventory,
    Lost,
    Revoke,
    Signal,
    Start,
    Stop,
)
from apsis_services.supervisor import protocol as p
from apsis_services.supervisor.deeds import TABLE, Do, RunCommand
from apsis_services.supervisor.entries import Order, Run, known_of
from apsis_services.supervisor.facts import ENDED, IN_FLIGHT, Facts, Key, Phase
from apsis_services.supervisor.inventory import Teller
from apsis_services.supervisor.outbox import BATCH, FIRST_DELAY, LAST_DELAY, Ledger, Outbox
from apsis_services.supervisor.tidings import Told, claim_of, differs, report_of, stuck_report
from apsis_services.supervisor.zygote.journal import is_run_id

#: times that a start is handed to the zygote before the run is ended with the zygote's reason
START_ATTEMPTS: Final = 5


class Core:
    """What a supervisor knows and decides. `step` takes one event; the end of each turn is a `p.Tick`."""

    def __init__(
        self, epoch: str, boot: str, ledger: Ledger, orders: Mapping[int, tuple[int, ...]], nonce: int = 0
    ) -> None:
        """Begin with what the files say; `orders`: by database its term, its floor and the life of that term.

        `nonce` is random, and tells this life of ours from those before it.
        """
        self._nonce = nonce
        self.epoch = epoch
        self.boot = boot
        self.outbox = Outbox(ledger)
        self.runs: dict[Key, Run] = {}
        self.orders = {journal: Order(*order) for journal, order in orders.items()}
        self.journal: int | None = None
        #: by database and dispatch; `_asking` is the database whose commands are being obeyed
        self._answers: dict[tuple[int, int], Answer] = {}
        self._asking = 0
        self._retries: set[Key] = set()
        self._teller = Teller(self.outbox, self.runs)
        self._linked = False
        self._hello_at: float | None = None
        self._hello_delay = FIRST_DELAY

    def step(self, event: p.Event, now: float) -> list[p.Effect]:
        """Take one event at `now` (monotonic seconds) and return what is to be done, in this order."""
        return _HANDLERS[type(event)](self, event, now)

    def next_tick(self) -> float | None:
        """Return when the next `p.Tick` is due, if nothing happens before."""
        times = [self._hello_at, self.outbox.next_due(), *(self.runs[key].retry_at for key in self._retries)]
        return min((time for time in times if time is not None), default=None)

    # The link

    def _link_up(self, _: p.LinkUp, now: float) -> list[p.Effect]:
        self._linked = True
        self.outbox.shut()
        self._hello_at, self._hello_delay = now, FIRST_DELAY
        return []

    def _link_down(self, _: p.LinkDown, _now: float) -> list[p.Effect]:
        self._linked = False
        self._hello_at = None
        self.outbox.shut()
        return []

    def _heard(self, event: p.Heard, now: float) -> list[p.Effect]:
        """A new life of the scheduler, or another database: greet it, so that it hears what we hold.

        One that is older than what we know is greeted too: it does not know that its database was put back.
        """
        if self._is_past(event.journal, event.term, event.life):
            self._greet(now)
            return []
        if event.journal != self.journal or event.term != self._order(event.journal).term:
            self._greet(now)
        return self._advance(event.journal, event.term, 0, event.life)

    def _greet(self, now: float) -> None:
        if self._linked:
            self._hello_at, self._hello_delay = now, FIRST_DELAY

    def _acked(self, event: p.Acked, now: float) -> list[p.Effect]:
        ack = event.ack
        if ack.epoch != self.epoch or self._is_past(ack.journal, ack.term, ack.life):
            return []
        if ack.hello != self._nonce:
            # it answers the HELLO of a life before this one, and its number may be an old one
            if self._hello_at is None:
                self._greet(now)
            return []
        self._hello_at = None
        if ack.seq < self.outbox.acked:
            # it has lost what it had taken (a restored backup), and waits for a report that is here no more
            self._greet(now)
        return [*self._advance(ack.journal, ack.term, 0, ack.life), *self.outbox.ack(ack.seq)]

    def _is_past(self, journal: int, term: int, life: int) -> bool:
        order = self.orders.get(journal)
        return order is not None and order.is_past(term, life)

    def _order(self, journal: int) -> Order:
        return self.orders.setdefault(journal, Order())

    def _advance(self, journal: int, term: int, floor: int, life: int) -> list[p.Effect]:
        """Note a term or floor that has grown; it is written down before anything is done on its account."""
        order = self._order(journal)
        self.journal = journal
        grown = life if term > order.term else order.life or life
        if term <= order.term and floor <= order.floor and grown == order.life:
            return []
        order.term, order.floor, order.life = max(term, order.term), max(floor, order.floor), grown
        return [p.KeepFloor(journal, order.term, order.floor, order.life)]

    # Commands

    def _ordered(self, event: p.Ordered, now: float) -> list[p.Effect]:
        commands = event.commands
        if self._is_past(commands.journal, commands.term, commands.life):
            # its database may have been put back: an answer would end runs in error, and HELLO tells it what is true
            self._greet(now)
            return []
        if (self.journal, commands.term) != (commands.journal, self._order(commands.journal).term):
            self._greet(now)
        effects = self._advance(commands.journal, commands.term, commands.floor, commands.life)
        self._asking = commands.journal
        floor = self.orders[commands.journal].floor
        for command in commands.items:
            if command.dispatch <= floor:
                self._answer(command.dispatch, getattr(command, "run_id", ""), Phase.SETTLED)
            elif isinstance(command, Forget):
                effects += self._forget(command, commands.journal)
            elif isinstance(command, Inventory):
                effects += self._take_inventory(command, commands.journal)
            else:
                effects += self._receive(command, commands, event.archived, now)
        return effects

    def _receive(
        self, command: RunCommand, commands: Commands, archived: frozenset[str] | frozenset[Key], now: float
    ) -> list[p.Effect]:
        if not is_run_id(command.run_id):
            return self._answer(command.dispatch, command.run_id, "refused", "this is no run id")
        key = Key(command.journal or commands.journal, command.run_id)
        if key in self.runs:
            return self._obey(key, command, now)
        if key in archived or command.run_id in archived:
            return self._answer(command.dispatch, command.run_id, Phase.SETTLED)
        if (commands.epoch, commands.boot) != (self.epoch, self.boot):
            return self._answer(
                command.dispatch, command.run_id, "unknown", "bound to another spool or boot, and no journal is here"
            )
        return self._obey(key, command, now)

    def _obey(self, key: Key, command: RunCommand, now: float) -> list[p.Effect]:
        run = self.runs.get(key)
        phase = run.phase if run else Phase.NONE
        return _DEEDS[TABLE[type(command), phase]](self, key, command, now)

    def _answer(self, dispatch: int, run_id: str, state: str, reason: str = "") -> list[p.Effect]:
        """Answer with the end of this turn; the same command many times in a turn is answered once."""
        self._answers[self._asking, dispatch] = Answer(
            dispatch=dispatch, run_id=run_id, state=str(state), reason=reason
        )
        return []

    def _do_answer(self, key: Key, command: RunCommand, _now: float) -> list[p.Effect]:
        run = self.runs.get(key)
        return self._answer(command.dispatch, key.run_id, run.phase if run else Phase.NONE)

    def _do_compare(self, key: Key, command: RunCommand, now: float) -> list[p.Effect]:
        facts = self.runs[key].facts
        assert isinstance(command, Start)
        if facts is not None and differs(command, facts):
            return self._answer(
                command.dispatch,
                key.run_id,
                "conflict",
                "the claim is of another job, time or args; nothing was started",
            )
        return self._do_answer(key, command, now)

    def _do_wait(self, key: Key, command: RunCommand, _now: float) -> list[p.Effect]:
        run = self.runs[key]
        run.waiting.setdefault((self._asking, command.dispatch), command)
        if run.retry_at is not None and isinstance(command, Stop | Revoke):
            return self._claim_instead(key, run, command)
        return []

    def _claim_instead(self, key: Key, run: Run, command: Stop | Revoke) -> list[p.Effect]:
        """A start that failed and waits for its next attempt is overtaken by a stop."""
        run.phase, run.start, run.retry_at = Phase.CLAIMING, None, None
        self._retries.discard(key)
        return [p.TakeClaim(key, command.dispatch)]

    def _do_begin(self, key: Key, command: RunCommand, _now: float) -> list[p.Effect]:
        assert isinstance(command, Start)
        run = self._run(key)
        run.phase, run.start, run.attempts = Phase.STARTING, command, 1
        run.waiting.setdefault((self._asking, command.dispatch), command)
        return [p.StartProgram(key, command)]

    def _do_claim(self, key: Key, command: RunCommand, _now: float) -> list[p.Effect]:
        run = self._run(key)
        run.phase = Phase.CLAIMING
        run.waiting.setdefault((self._asking, command.dispatch), command)
        return [p.TakeClaim(key, command.dispatch)]

    def _do_stop(self, key: Key, command: RunCommand, now: float) -> list[p.Effect]:
        assert isinstance(command, Stop)
        self._do_answer(key, command, now)
        return [p.OrderStop(key, command)] if self._is_new(key, command.dispatch) else []

    def _do_signal(self, key: Key, command: RunCommand, now: float) -> list[p.Effect]:
        assert isinstance(command, Signal)
        self._do_answer(key, command, now)
        return [p.SendSignal(key, command)] if self._is_new(key, command.dispatch) else []

    def _is_new(self, key: Key, dispatch: int) -> bool:
        run = self.runs[key]
        journal, last = run.acted
        if run.lost or (journal == self._asking and dispatch <= last):
            return False
        run.acted = (self._asking, dispatch)
        return True

    def _run(self, key: Key) -> Run:
        return self.runs.setdefault(key, Run())

    def _forget(self, command: Forget, journal: int) -> list[p.Effect]:
        gone: list[Key] = []
        kept: list[str] = []
        for run_id in command.run_ids:
            key = Key(command.journal or journal, run_id)
            run = self.runs.get(key)
            if run is None:
                continue
            if run.phase not in ENDED and not run.lost:
                kept.append(run_id)
                continue
            gone.append(key)
            self._drop(key)
        if kept:
            self._answer(command.dispatch, "", "refused", f"not ended: {', '.join(kept)}")
        else:
            self._answer(command.dispatch, "", Phase.SETTLED)
        return [p.Archive(gone)] if gone else []

    def _drop(self, key: Key) -> None:
        del self.runs[key]
        self.outbox.forget(key)

    def _take_inventory(self, command: Inventory, journal: int) -> list[p.Effect]:
        """Tell all that is held; it is answered when that is done, so that it comes again if we die meanwhile."""
        if self._teller.is_over(journal, command.dispatch):
            return self._answer(command.dispatch, "", Phase.SETTLED)
        return self._teller.begin(command, journal)

    def _from_archive(self, event: p.FromArchive, _now: float) -> list[p.Effect]:
        return self._teller.take(event)

    # What became of runs

    def _claimed(self, event: p.Claimed, now: float) -> list[p.Effect]:
        run = self.runs.get(event.key)
        if run is None or run.phase is not Phase.STARTING or run.start is None:
            return []
        return self._settle_phase(event.key, run, claim_of(run.start), now)

    def _seen(self, event: p.Seen, now: float) -> list[p.Effect]:
        run = self._run(event.key)
        if run.phase in ENDED:
            return []
        return self._settle_phase(event.key, run, event.facts, now)

    def _settle_phase(self, key: Key, run: Run, facts: Facts, now: float) -> list[p.Effect]:
        run.phase, run.facts, run.start, run.retry_at = facts.phase, facts, None, None
        self._retries.discard(key)
        effects = self._report(key, facts)
        waiting, run.waiting = run.waiting, {}
        for (journal, _), command in sorted(waiting.items(), key=lambda item: item[0]):
            self._asking = journal
            effects += self._obey(key, command, now)
        is_settled = facts.phase is Phase.SETTLED
        effects += self._teller.settle(key, None if is_settled else run)
        if is_settled:
            self._drop(key)
        return effects

    def _start_failed(self, event: p.StartFailed, now: float) -> list[p.Effect]:
        """Try again a few times; then the run ends with the reason, in a journal of its own like any other."""
        key = event.key
        run = self.runs.get(key)
        if run is None or run.phase is not Phase.STARTING or run.start is None:
            return []
        stop = next((c for c in run.waiting.values() if isinstance(c, Stop | Revoke)), None)
        if stop is not None:
            return self._claim_instead(key, run, stop)
        run.retry_at = now + min(FIRST_DELAY * 2 ** (run.attempts - 1), LAST_DELAY)
        run.attempts += 1
        run.failure = event.reason
        self._retries.add(key)
        return []

    def _missing(self, event: p.Missing, _now: float) -> list[p.Effect]:
        run = self._run(event.key)
        if run.lost or run.phase in ENDED or run.phase in IN_FLIGHT:
            return []
        run.lost = Lost(seq=0, run_id=event.key.run_id, at=event.at, reason=event.reason)
        return self.outbox.tell(event.key, run.lost, Told.LOST)

    def _report(self, key: Key, facts: Facts) -> list[p.Effect]:
        found = report_of(key, facts)
        if found is None:
            return []
        report, what = found
        told = self.outbox.told.get(key, Told.NOTHING)
        effects = [] if what is Told.STARTED and told else self.outbox.tell(key, report, what)
        stuck = stuck_report(key, facts)
        return effects if stuck is None else effects + self.outbox.tell(key, stuck, Told.STUCK)

    # The end of a turn

    def _tick(self, _: p.Tick, now: float) -> list[p.Effect]:
        effects: list[p.Effect] = []
        for key in [key for key in self._retries if (self.runs[key].retry_at or 0) <= now]:
            run = self.runs[key]
            self._retries.discard(key)
            run.retry_at = None
            if run.start is None:
                continue
            if run.attempts > START_ATTEMPTS:
                effects.append(p.SettleStart(key, run.start, run.failure))
            else:
                effects.append(p.StartProgram(key, run.start))
        journal = self.journal or 0
        # to another database the number of a command says nothing
        answers = [answer for (asked, _), answer in self._answers.items() if asked == journal]
        self._answers = {}
        if self._linked:
            effects += [p.SendAnswers(answers[i : i + BATCH], journal) for i in range(0, len(answers), BATCH)]
            if self._hello_at is not None and now >= self._hello_at:
                effects.append(self._hello())
                self._hello_at = now + self._hello_delay
                self._hello_delay = min(self._hello_delay * 2, LAST_DELAY)
        return effects + self.outbox.due(now)

    def _hello(self) -> p.SendHello:
        # of all databases: until one is heard, we do not know whose numbers are to go on above it
        floor = max((order.floor for order in self.orders.values()), default=0)
        known = known_of(self.orders, self.runs, self.journal)
        return p.SendHello(self.outbox.last, self.outbox.acked, floor, known, self._nonce)


_DEEDS: Final[Mapping[Do, Callable[[Core, Key, RunCommand, float], list[p.Effect]]]] = MappingProxyType(
    {
        Do.ANSWER: Core._do_answer,
        Do.COMPARE: Core._do_compare,
        Do.WAIT: Core._do_wait,
        Do.BEGIN: Core._do_begin,
        Do.CLAIM: Core._do_claim,
        Do.STOP: Core._do_stop,
        Do.SIGNAL: Core._do_signal,
    }
)
_HANDLERS: Final[Mapping[type[p.Event], Callable[[Core, Any, float], list[p.Effect]]]] = MappingProxyType(
    {
        p.LinkUp: Core._link_up,
        p.LinkDown: Core._link_down,
        p.Heard: Core._heard,
        p.Ordered: Core._ordered,
        p.Acked: Core._acked,
        p.Claimed: Core._claimed,
        p.StartFailed: Core._start_failed,
        p.Seen: Core._seen,
        p.Missing: Core._missing,
        p.FromArchive: Core._from_archive,
        p.Tick: Core._tick,
    }
)
