"""Runs made ahead of their time, up to a horizon, and the catching-up of due times that were missed."""

from collections.abc import Iterator
from heapq import heappush
from itertools import islice

from msgspec.structs import replace

from apsis.jobs.bind import bind_args
from apsis.programs.templated import BindError
from apsis.runs.core.making import new_row, schedule_run
from apsis.runs.core.plans import Plan, due_micros
from apsis.runs.core.rows import args_key
from apsis.runs.core.starts import consider
from apsis.runs.core.turn import Turn
from apsis.schedules import Occurrence
from apsis.times import format_time, from_micros, to_micros

#: due times that are not run are counted up to here; beyond it is "more than"
COUNT_AT_MOST = 10_000
#: missed due times that are made into runs in one step, for one schedule
BATCH = 100
#: how far back the last due time before a moment is looked for, in microseconds
_WINDOWS = tuple(seconds * 1_000_000 for seconds in (60, 3600, 86_400, 32 * 86_400, 3700 * 86_400))


def refill(turn: Turn, plan: Plan) -> None:
    """Make the runs that a plan lacks, and move its cursor."""
    book = turn.book
    before = plan.row
    first = plan.peek()
    if first is not None and to_micros(first.time) <= turn.micros:
        plan.fall_behind(turn.micros)
    _catch_up(turn, plan)
    length = int(book.settings.horizon * 1e6)
    while (occurrence := plan.peek()) is not None:
        at = to_micros(occurrence.time)
        if at > turn.micros + length:
            if plan.refill_at != at - length:
                plan.refill_at = at - length
                heappush(book.refills, (at - length, plan.key))
            break
        # occurrences of one instant are taken together, because the cursor knows only instants
        if at != plan.at and _full(turn, plan):
            break
        _make(turn, plan, plan.take())
    cursors = book.cursors.setdefault(plan.job.job_id, {})
    if plan.row != before or cursors.get(plan.key[1]) != plan.row:
        cursors[plan.key[1]] = plan.row
        turn.effects.cursors[plan.key] = plan.row


def _full(turn: Turn, plan: Plan) -> bool:
    book = turn.book
    have = book.scheduled[plan.key]
    return have >= book.settings.max_ahead or (have >= 1 and book.ahead >= book.settings.total_ahead)


def _make(turn: Turn, plan: Plan, occurrence: Occurrence, *, missed: bool = False) -> None:
    """Make the run of one occurrence, unless there is one with this job, due time and args."""
    book, job = turn.book, plan.job
    try:
        args = bind_args(job, plan.schedule, occurrence)
    except BindError:
        # it is made all the same, says why it will not run, and ends in error when it is due
        offered = {**occurrence.offered, **plan.schedule.args}
        args = {name: offered[name] for name in job.params if name in offered}
    due = due_micros(occurrence.time)
    key = args_key(args)
    same = book.made.get(job.job_id, {}).get((due, key))
    if same is not None:
        book.take_back(same)
        row = book.rows[same]
        if row.facts.schedule != plan.key[1]:
            turn.keep(row, replace(row.facts, schedule=plan.key[1]))
        return
    if book.archive.made(job.job_id, due, key) or _freshly_made(turn, job.job_id, due, key):
        return
    time = from_micros(due)
    row = new_row(turn, job, args, time, schedule=plan.key[1], stop=plan.schedule.stop_time(time))
    if missed:
        consider(turn, row, reason="caught up")
    else:
        schedule_run(turn, row)


def _freshly_made(turn: Turn, job_id: str, due: int, key: str) -> bool:
    text = format_time(from_micros(due))
    return any(
        row.run.expected and row.run.schedule_time == text and row.args_key == key and row.run.job_id == job_id
        for row in turn.book.fresh.values()
    )


def _catch_up(turn: Turn, plan: Plan) -> None:
    """Make runs of missed due times, as many as the schedule's policy and its waiting runs allow."""
    if plan.behind is None:
        return
    book = turn.book
    oldest = _oldest(turn, plan)
    if oldest > plan.behind:
        _not_run(turn, plan, oldest)
        plan.behind = oldest
    for made, occurrence in enumerate(plan.missed(plan.behind)):
        at = to_micros(occurrence.time)
        if at != plan.behind and book.stuck[plan.key] >= book.settings.max_ahead:
            # the rest has its turn when some of those that wait have started
            return
        if at != plan.behind and made >= BATCH:
            book.short[plan.key] = None
            return
        plan.behind = at
        _make(turn, plan, occurrence, missed=True)
    plan.behind = plan.until = None


def _oldest(turn: Turn, plan: Plan) -> int:
    """Return the time (microseconds) after which missed due times still run."""
    behind = plan.behind or 0
    settings, terms = turn.book.settings, plan.schedule.terms
    age = terms.max_age if terms.max_age is not None else settings.max_age
    oldest = behind if age is None else max(behind, turn.micros - int(age * 1e6))
    late = turn.micros - int(settings.late_grace * 1e6)
    if terms.catch_up == "none":
        return max(oldest, late)
    if terms.catch_up == "last":
        return max(oldest, min(late, _last(plan) - 1))
    return oldest


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


def _not_run(turn: Turn, plan: Plan, oldest: int) -> None:
    """Record that the due times in (behind, oldest] do not become runs."""
    behind = plan.behind or 0
    left_out = list(islice(_until(plan.missed(behind), oldest), COUNT_AT_MOST + 1))
    if not left_out:
        return
    terms = plan.schedule.terms
    turn.sys_event(
        "not_run",
        job_id=plan.job.job_id,
        schedule=plan.key[1],
        first=format_time(left_out[0].time),
        last=format_time(left_out[-1].time) if len(left_out) <= COUNT_AT_MOST else format_time(from_micros(oldest)),
        count=min(len(left_out), COUNT_AT_MOST),
        more=len(left_out) > COUNT_AT_MOST,
        reason="the scheduler was away; " + ("catch_up: " + terms.catch_up if terms.catch_up != "all" else "max_age"),
    )


def _until(occurrences: Iterator[Occurrence], oldest: int) -> Iterator[Occurrence]:
    for occurrence in occurrences:
        if to_micros(occurrence.time) > oldest:
            return
        yield occurrence
