"""The core: it is told what happened, and says what is to be done. It alone decides what runs."""

from datetime import datetime, timedelta
from heapq import heappop

from apsis.messages.dispatch import Answers, HostHello
from apsis.messages.requests import ReloadJobs
from apsis.runs.core import ahead, changes, hosts
from apsis.runs.core.book import HOLDING, Book
from apsis.runs.core.deeds import answer_reload, do, repeated
from apsis.runs.core.due import begin
from apsis.runs.core.effects import Effects
from apsis.runs.core.follow_ups import follow_up
from apsis.runs.core.inputs import Asked, Began, HostLost, HostSaid, Input, JobsLoaded, Noted, RoomSeen
from apsis.runs.core.ports import Archive, ParsesJob
from apsis.runs.core.renewal import renew
from apsis.runs.core.reports import reports
from apsis.runs.core.rows import Stored
from apsis.runs.core.settings import Settings
from apsis.runs.core.starts import look
from apsis.runs.core.stops import order_stop
from apsis.runs.core.turn import Turn
from apsis.runs.core.waiting import ForClock
from apsis.runs.states import State
from apsis.times import from_micros

#: a clock that is this far behind the last commit stands wrong, and nothing is started by it
CLOCK_BACK = timedelta(hours=1)


class Core:
    """Made from what was committed; `step` changes it. After each commit of what it returned, call `committed`."""

    def __init__(self, stored: Stored, archive: Archive, settings: Settings, parse: ParsesJob) -> None:
        self.book = Book(stored, archive, settings, parse)

    @property
    def head(self) -> int:
        """The id of the last event."""
        return self.book.head

    @property
    def looks(self) -> int:
        """How often a run was looked at for whether it may start."""
        return self.book.looks

    @property
    def held(self) -> str:
        """Why the last reload was not applied, or ""."""
        return self.book.held

    def clock_is_back(self, now: datetime) -> bool:
        """Say whether the clock is so far behind the last commit that nothing is started."""
        return now < from_micros(self.book.latest) - CLOCK_BACK

    def step(self, event: Input, now: datetime) -> Effects:
        """Decide what an input brings about, and what has become due by `now`."""
        turn = Turn(self.book, now)
        self.book.clock_is_back = self.clock_is_back(now)
        self._take(turn, event)
        if self.book.clock_is_back:
            self._settle(turn)
        else:
            self.book.latest = max(self.book.latest, turn.micros)
            self.book.agenda.extend(self.book.waiting.all_of(ForClock()))
            self._pass_time(turn)
        turn.effects.wake = self._wake(turn)
        return turn.effects

    def committed(self) -> None:
        """Forget what was only kept because the archive did not show it yet."""
        self.book.fresh.clear()
        self.book.fresh_answers.clear()

    def _take(self, turn: Turn, event: Input) -> None:
        if isinstance(event, Began):
            turn.sys_event("started", term=self.book.term)
            if self.book.restored:
                renew(turn, f"it was put back from a backup at {self.book.restored}")
        elif isinstance(event, Asked):
            do(turn, event)
        elif isinstance(event, JobsLoaded):
            self._load(turn, event)
        elif isinstance(event, HostLost):
            hosts.lost(turn, event.host)
        elif isinstance(event, RoomSeen):
            hosts.see_room(turn, event)
        elif isinstance(event, Noted):
            turn.sys_event(event.kind, **event.detail)
        elif isinstance(event, HostSaid):
            message = event.message
            if isinstance(message, HostHello):
                hosts.hello(turn, message)
            elif isinstance(message, Answers):
                hosts.answers(turn, message)
            else:
                reports(turn, message)

    def _load(self, turn: Turn, loaded: JobsLoaded) -> None:
        asked = loaded.asked
        difference = changes.differ(turn, loaded)
        dry = asked is not None and isinstance(asked.request.do, ReloadJobs) and asked.request.do.dry_run
        if asked is not None and repeated(turn, asked):
            return
        if not dry:
            changes.apply(turn, loaded, difference, asked.request.actor if asked else "scheduler")
        if asked is not None:
            answer_reload(turn, asked, difference, loaded.errors)

    def _pass_time(self, turn: Turn) -> None:
        book = self.book
        for _, run_id in book.ends.pop_due(turn.micros):
            _end_no_op(turn, run_id)
        for _, run_id in book.stops.pop_due(turn.micros):
            row = book.rows.get(run_id)
            if row is not None and row.run.state in HOLDING and row.run.state is not State.STOPPING:
                order_stop(turn, row, "its stop schedule")
        for _, run_id in book.give_up.pop_due(turn.micros):
            row = book.rows.get(run_id)
            if row is not None and row.run.state is State.WAITING:
                turn.move(row, State.ERROR, f"waited longer than {row.facts.max_wait:g} s; {row.run.reason}")
        hosts.mark_unreachable(turn)
        if book.loaded:
            for _, run_id in book.due.pop_due(turn.micros):
                begin(turn, run_id)
        self._settle(turn)
        self._refill(turn)
        self._settle(turn)
        hosts.send_forgets(turn)

    def _settle(self, turn: Turn) -> None:
        """Look at everyone whom the steps of this turn have let go on, until nobody is left."""
        book = self.book
        while book.agenda or book.free or book.ended:
            while book.ended:
                follow_up(turn, book.ended.popleft())
            while book.agenda:
                look(turn, book.agenda.popleft())
            while book.free:
                need = next(iter(book.free))
                first = book.waiting.first_of(need)
                if first is not None:
                    look(turn, first)
                if first is None or book.waiting.need(first) == need:
                    # there is nobody, or no place even for the first: the others need not be looked at
                    book.free.pop(need, None)

    def _refill(self, turn: Turn) -> None:
        book = self.book
        if not book.loaded or hosts.is_counting(book):
            return
        while book.refills and book.refills[0][0] <= turn.micros:
            _, key = heappop(book.refills)
            book.short[key] = None
        short, book.short = book.short, {}
        for key in short:
            plan = book.plans.get(key)
            if plan is not None:
                ahead.refill(turn, plan)

    def _wake(self, turn: Turn) -> datetime | None:
        book = self.book
        if book.clock_is_back:
            return turn.now + timedelta(seconds=60)
        if book.short and book.loaded and not hosts.is_counting(book):
            return turn.now
        firsts = [book.ends.first(), book.stops.first(), book.give_up.first()]
        if book.loaded:
            firsts += [book.due.first(), book.refills[0][0] if book.refills and not hosts.is_counting(book) else None]
        times = [micros for micros in firsts if micros is not None]
        times += [int(seconds * 1e6) for seconds in hosts.next_wake(book)]
        return from_micros(min(times)) if times else None


def _end_no_op(turn: Turn, run_id: str) -> None:
    row = turn.book.rows.get(run_id)
    if row is None or row.run.state is not State.RUNNING:
        return
    run = row.run
    success = run.program.get("success", True)
    state = State.ERROR if success is None else State.SUCCESS if success else State.FAILURE
    reason = "" if success else f"a no-op that is to end in {state.value}"
    turn.move(row, state, reason, elapsed=float(run.program.get("duration", 0.0)))
