"""The core: it is told what happened, and says what is to be done. It alone decides what runs."""

from datetime import datetime, timedelta
from heapq import heappop
from typing import Any

from apsis.messages.dispatch import Answers, HostHello
from apsis.messages.requests import ReloadJobs
from apsis.runs.core import ahead, alarms, changes, hosts
from apsis.runs.core.alert_notes import take_notes
from apsis.runs.core.answers import hear, questions
from apsis.runs.core.archiving import let_go
from apsis.runs.core.book import HOLDING, Book
from apsis.runs.core.deeds import answer_reload, do, repeated
from apsis.runs.core.due import begin
from apsis.runs.core.effects import Effects
from apsis.runs.core.follow_ups import follow_up
from apsis.runs.core.inputs import (
    AlertsSaid,
    Asked,
    Began,
    ClockSet,
    ConditionSaid,
    Copied,
    HostLost,
    HostSaid,
    Input,
    JobsLoaded,
    Noted,
    RoomSeen,
    Tick,
)
from apsis.runs.core.ports import Archive, ParsesJob
from apsis.runs.core.renewal import renew
from apsis.runs.core.reports import reports
from apsis.runs.core.retries import clock_set
from apsis.runs.core.rows import Stored
from apsis.runs.core.settings import Settings
from apsis.runs.core.starts import in_order, look
from apsis.runs.core.stops import order_stop
from apsis.runs.core.turn import SCHEDULER, Turn
from apsis.runs.core.waiting import ForClock
from apsis.runs.states import State
from apsis.times import format_time, from_micros

#: due times that are walked through in one step, to make runs or to record that there are none
WALK_AT_MOST = 5_000
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

    @property
    def reloading(self) -> bool:
        """Say whether a reload is being taken over, some jobs at a time; no other may be told meanwhile."""
        return self.book.reload is not None

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
        turn.effects.questions = questions(self.book)
        turn.effects.wake = self._wake(turn)
        return turn.effects

    def committed(self) -> None:
        """Forget what was only kept because the archive did not show it yet."""
        self.book.forget_fresh()

    def _take(self, turn: Turn, event: Input) -> None:
        if isinstance(event, Began):
            _begin(turn, event)
            if self.book.restored:
                renew(turn, f"it was put back from a backup at {self.book.restored}")
        elif isinstance(event, Asked):
            do(turn, event)
        elif isinstance(event, JobsLoaded):
            self._load(turn, event)
        elif isinstance(event, Tick) and self.book.reload is not None:
            reload = self.book.reload
            changes.go_on(turn)
            self._answer(turn, reload)
        elif isinstance(event, Copied):
            let_go(turn, event)
        elif isinstance(event, AlertsSaid):
            take_notes(turn, event.message, event.token)
        elif isinstance(event, Noted):
            turn.sys_event(event.kind, **event.detail)
        else:
            self._hear(turn, event)

    def _hear(self, turn: Turn, event: Input) -> None:
        if isinstance(event, HostLost):
            hosts.lost(turn, event.host)
        elif isinstance(event, RoomSeen):
            hosts.see_room(turn, event)
        elif isinstance(event, ClockSet):
            clock_set(turn, event.by)
        elif isinstance(event, ConditionSaid):
            hear(turn, event)
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
        if asked is not None and repeated(turn, asked):
            return
        reload = changes.compare(turn, loaded, asked.request.actor if asked else SCHEDULER)
        if asked is not None and isinstance(asked.request.do, ReloadJobs) and asked.request.do.dry_run:
            changes.rehearse(turn, reload)
            answer_reload(turn, asked, reload)
            return
        changes.begin(turn, reload)
        self._answer(turn, reload)

    def _answer(self, turn: Turn, reload: changes.Reload) -> None:
        """Answer whoever asked for a reload, once all of it is done."""
        if self.book.reload is None and reload.loaded.asked is not None:
            answer_reload(turn, reload.loaded.asked, reload)

    def _pass_time(self, turn: Turn) -> None:
        book = self.book
        for _, run_id in book.ends.pop_due(turn.micros):
            _end_no_op(turn, run_id)
        for _, run_id in book.stops.pop_due(turn.micros):
            _stop_by_schedule(turn, run_id)
        for _, run_id in book.give_up.pop_due(turn.micros):
            row = book.rows.get(run_id)
            if row is not None and row.run.state is State.WAITING:
                turn.move(row, State.ERROR, f"waited longer than {row.facts.max_wait:g} s; {row.run.reason}")
        hosts.mark_unreachable(turn)
        alarms.pass_time(turn)
        if book.loaded:
            for run_id in in_order(book, [run_id for _, run_id in book.due.pop_due(turn.micros)]):
                begin(turn, run_id)
        self._settle(turn)
        self._refill(turn)
        self._settle(turn)
        hosts.send_forgets(turn)

    def _settle(self, turn: Turn) -> None:
        """Look at everyone whom the steps of this turn have let go on, until nobody is left."""
        book = self.book
        while book.agenda or book.free or book.ended or book.waiting.stirred:
            while book.ended:
                follow_up(turn, book.ended.popleft())
            woken = in_order(book, book.agenda)
            book.agenda.clear()
            for run_id in woken:
                look(turn, run_id)
            book.free.update(book.waiting.stirred)
            book.waiting.stirred.clear()
            while book.free:
                need = next(iter(book.free))
                first = book.waiting.first_of(need)
                if first is not None:
                    look(turn, first)
                if first is None or book.waiting.first_of(need) == first:
                    # there is nobody, or no place even for the first: the others need not be looked at
                    book.free.pop(need, None)
                    book.waiting.stirred.pop(need, None)

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
            if plan is None:
                continue
            if turn.walked >= WALK_AT_MOST:
                # the rest has its turn in the next step, after what is due by then
                book.short[key] = None
            else:
                ahead.refill(turn, plan)

    def _wake(self, turn: Turn) -> datetime | None:
        book = self.book
        if book.reload is not None:
            return turn.now
        if book.clock_is_back:
            return turn.now + timedelta(seconds=60)
        if book.short and book.loaded and not hosts.is_counting(book):
            return turn.now
        firsts = [book.ends.first(), book.stops.first(), book.give_up.first()]
        firsts.append(book.late.first(lambda run_id: alarms.counts_as_late(book, run_id)))
        firsts.append(book.long.first(lambda run_id: alarms.counts_as_long(book, run_id)))
        if book.loaded:
            firsts += [book.due.first(), book.refills[0][0] if book.refills and not hosts.is_counting(book) else None]
        times = [micros for micros in firsts if micros is not None]
        times += [int(seconds * 1e6) for seconds in hosts.next_wake(book)]
        return from_micros(min(times)) if times else None


def _begin(turn: Turn, began: Began) -> None:
    book = turn.book
    detail: dict[str, Any] = {"term": book.term}
    if began.since > book.since:
        book.since = began.since
        turn.effects.meta["since"] = str(began.since)
        detail["since"] = format_time(from_micros(began.since))
    turn.sys_event("started", **detail)
    book.zones_now = began.zones or book.zones


def _stop_by_schedule(turn: Turn, run_id: str) -> None:
    row = turn.book.rows.get(run_id)
    if row is None:
        return
    if row.run.state is State.WAITING and not row.facts.forced:
        turn.move(row, State.SKIPPED, f"its stop time, {row.run.stop_time}, has come; {row.run.reason}")
    elif row.run.state in HOLDING and row.run.state is not State.STOPPING:
        order_stop(turn, row, "its stop schedule")


def _end_no_op(turn: Turn, run_id: str) -> None:
    row = turn.book.rows.get(run_id)
    if row is None or row.run.state is not State.RUNNING or (row.facts.ends or "") > turn.at:
        return
    run = row.run
    success = run.program.get("success", True)
    state = State.ERROR if success is None else State.SUCCESS if success else State.FAILURE
    reason = "" if success else f"a no-op that is to end in {state.value}"
    turn.move(row, state, reason, elapsed=float(run.program.get("duration", 0.0)))
