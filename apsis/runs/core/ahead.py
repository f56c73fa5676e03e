"""Runs made ahead of their time, up to a horizon; what was missed is the affair of `missed`."""

from heapq import heappush

from msgspec.structs import replace

from apsis.jobs.bind import bind_args
from apsis.programs.templated import BindError
from apsis.runs.core.making import new_row, schedule_run
from apsis.runs.core.missed import catch_up, record_owed
from apsis.runs.core.pauses import keep
from apsis.runs.core.plans import Plan, due_micros
from apsis.runs.core.rows import args_key
from apsis.runs.core.starts import consider
from apsis.runs.core.turn import Turn
from apsis.schedules import Occurrence
from apsis.times import format_time, from_micros, to_micros


def refill(turn: Turn, plan: Plan, *, catching_up: bool = True) -> None:
    """Make the runs that a plan lacks, and move its cursor; what was missed may be left until what is due has begun."""
    book = turn.book
    before = plan.row
    record_owed(turn, plan)
    if book.pause_of(plan.job.job_id) is not None:
        plan.hold(turn.micros)
    first = plan.peek()
    if first is not None and to_micros(first.time) <= turn.micros:
        plan.fall_behind(turn.micros)
    if catching_up:
        catch_up(turn, plan, _make_missed)
    elif plan.behind is not None:
        book.short[plan.key] = None
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
        turn.walked += 1
        _make(turn, plan, plan.take())
    if plan.row != before or book.cursors.get(plan.job.job_id, {}).get(plan.key[1]) != plan.row:
        keep(turn, plan)


def _full(turn: Turn, plan: Plan) -> bool:
    book = turn.book
    have = book.scheduled[plan.key]
    return have >= book.settings.max_ahead or (have >= 1 and book.ahead >= book.settings.total_ahead)


def _make_missed(turn: Turn, plan: Plan, occurrence: Occurrence) -> None:
    _make(turn, plan, occurrence, missed=True)


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
