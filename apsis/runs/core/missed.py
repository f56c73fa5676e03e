"""Due times that have passed without a run: which of them are caught up, and a record of those that are not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from apsis.jobs.bind import bind_args
from apsis.jobs.job import Job
from apsis.programs.templated import BindError
from apsis.runs.core.plans import Plan, due_micros
from apsis.runs.core.rows import CursorRow, args_key
from apsis.runs.core.turn import Turn
from apsis.schedules import Occurrence
from apsis.schedules.schedule import Schedule
from apsis.times import format_time, from_micros, parse_time, to_micros
from apsis.times.durations import show_duration

#: due times that are not run are counted up to here; beyond it is "more than"
COUNT_AT_MOST = 10_000
#: missed due times that are made into runs in one step, for one schedule
BATCH = 100
#: how far back the last due time before a moment is looked for, in microseconds
_WINDOWS = tuple(seconds * 1_000_000 for seconds in (60, 3600, 86_400, 32 * 86_400, 3700 * 86_400))
_AWAY = "the scheduler was away when they were due"

#: makes the run of a missed due time
Make = Callable[[Turn, Plan, Occurrence], None]


@dataclass(frozen=True, slots=True, order=True)
class _Cut:
    """Due times up to and with `at` (microseconds) do not run, for a reason."""

    at: int
    reason: str


def catch_up(turn: Turn, plan: Plan, make: Make) -> None:
    """Make runs of missed due times, as many as the schedule's policy and its waiting runs allow."""
    if plan.behind is None:
        return
    book = turn.book
    if book.pause_of(plan.job.job_id) is not None:
        # what is due meanwhile is recorded when it goes on
        return
    for cut in sorted(_cuts(turn, plan)):
        if plan.behind < cut.at:
            _record(turn, plan, cut.at, cut.reason)
            plan.behind = cut.at
    for made, occurrence in enumerate(plan.missed(plan.behind)):
        at = to_micros(occurrence.time)
        if at != plan.behind and book.stuck[plan.key] >= book.settings.max_ahead:
            # the rest has its turn when some of those that wait have started
            return
        if at != plan.behind and made >= BATCH:
            book.short[plan.key] = None
            return
        plan.behind = at
        turn.walked += 1
        make(turn, plan, occurrence)
    plan.caught_up()


def record_owed(turn: Turn, plan: Plan) -> None:
    """Record the due times that were left behind by a pause which is over."""
    if plan.why is None:
        return
    if plan.until is not None:
        _record(turn, plan, plan.until, plan.why)
    plan.caught_up()


def leave(turn: Turn, job: Job, schedule: Schedule, cursor: CursorRow, why: str) -> None:
    """Record what a schedule that is given up, or is another one from now on, still owes."""
    plan = Plan(job, schedule, cursor)
    record_owed(turn, plan)
    if (pause := turn.book.pause_of(job.job_id)) is not None:
        plan.let_go(turn.micros, f"{pause[1].says(pause[0])}, and {why}")
        record_owed(turn, plan)
        return
    first = plan.peek()
    if first is not None and to_micros(first.time) <= turn.micros:
        plan.fall_behind(turn.micros)
    if plan.until is not None:
        _record(turn, plan, plan.until, f"{_AWAY}, and {why}")


def _cuts(turn: Turn, plan: Plan) -> Iterator[_Cut]:
    """Yield until when missed due times do not run, and why not."""
    book, terms = turn.book, plan.schedule.terms
    if book.since:
        yield _Cut(book.since - 1, f"they were due before {format_time(from_micros(book.since))}, given with --since")
    age = terms.max_age if terms.max_age is not None else book.settings.max_age
    if age is not None:
        yield _Cut(turn.micros - int(age * 1e6), f"{_AWAY}; max_age is {show_duration(age)}")
    late = turn.micros - int(book.settings.late_grace * 1e6)
    if terms.catch_up == "none":
        yield _Cut(late, f"{_AWAY}; catch_up: none")
    elif terms.catch_up == "last":
        yield _Cut(min(late, _last(plan) - 1), f"{_AWAY}; catch_up: last")
    if terms.stop is not None:
        yield _Cut(_stopped(turn, plan), f"{_AWAY}, and the time to stop them has passed too")


def _stopped(turn: Turn, plan: Plan) -> int:
    """Return the last missed due time whose stop time has passed; the start of the range if there is none."""
    last = plan.behind or 0
    for occurrence in islice(plan.missed(last), COUNT_AT_MOST):
        stop = plan.schedule.stop_time(occurrence.time)
        if stop is None or to_micros(stop) > turn.micros:
            break
        last = to_micros(occurrence.time)
    return last


def _last(plan: Plan) -> int:
    """Return the last missed due time; the start of the range if there is none."""
    until, behind = plan.until or 0, plan.behind or 0
    for window in _WINDOWS:
        last = behind
        for occurrence in plan.missed(max(behind, until - window)):
            last = to_micros(occurrence.time)
        if last > behind or until - window <= behind:
            return last
    return behind


def _record(turn: Turn, plan: Plan, until: int, reason: str) -> None:
    """Record as one event that the due times in (behind, until] do not become runs."""
    behind = plan.behind or 0
    made = _made(turn, plan.job.job_id, behind, until)
    count, first, last = 0, None, None
    more = False
    for occurrence in plan.missed(behind):
        if to_micros(occurrence.time) > until:
            break
        turn.walked += 1
        if made and (due_micros(occurrence.time), _args(plan, occurrence)) in made:
            continue
        if count >= COUNT_AT_MOST:
            more, last = True, from_micros(until)
            break
        first = first or occurrence.time
        count, last = count + 1, occurrence.time
    if first is not None and last is not None:
        record(turn, plan.job.job_id, plan.key[1], first=format_time(first), last=format_time(last), count=count,
               more=more, reason=reason)  # fmt: skip


def record(
    turn: Turn, job_id: str, schedule: str, *, first: str, last: str, count: int, reason: str, more: bool = False
) -> None:
    """Record that due times of a schedule do not become runs: how many, from when to when, and why."""
    turn.sys_event(
        "not_run", job_id=job_id, schedule=schedule, first=first, last=last, count=count, more=more, reason=reason
    )


def _made(turn: Turn, job_id: str, after: int, until: int) -> set[tuple[int, str]]:
    """Return (due, args) of the runs that schedules of a job have made for times in (after, until]."""
    book = turn.book
    made = set(book.archive.made_between(job_id, after, until))
    made.update(key for key in book.made.get(job_id, {}) if after < key[0] <= until)
    for row in book.fresh.values():
        run = row.run
        if run.job_id == job_id and run.expected and run.schedule_time:
            made.add((to_micros(parse_time(run.schedule_time)), row.args_key))
    return made


def _args(plan: Plan, occurrence: Occurrence) -> str:
    try:
        return args_key(bind_args(plan.job, plan.schedule, occurrence))
    except BindError:
        return ""
