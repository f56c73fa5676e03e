"""Scheduled runs whose time has come: they start, or are left out where they are too late for their schedule."""

from apsis.runs.core.missed import record
from apsis.runs.core.pauses import holds
from apsis.runs.core.rows import RunRow, due_of
from apsis.runs.core.starts import look
from apsis.runs.core.turn import Turn
from apsis.runs.states import State
from apsis.times import format_time, from_micros, parse_time, to_micros


def begin(turn: Turn, run_id: str) -> None:
    """Start a scheduled run that is due; one that is not scheduled any more, or for later by now, is no matter."""
    row = turn.book.rows.get(run_id)
    if row is None or row.run.state is not State.SCHEDULED or (due_of(row.run) or 0) > turn.micros:
        return
    if held := holds(turn.book, row):
        _hold(turn, row, held)
        return
    reason = _left_out(turn, row)
    if reason:
        turn.move(row, State.SKIPPED, reason)
    else:
        look(turn, run_id)


def _hold(turn: Turn, row: RunRow, reason: str) -> None:
    """Take back a run of a paused job that is due: when the job goes on, all that was due meanwhile is recorded."""
    run = row.run
    if not run.expected or run.schedule_time is None:
        turn.move(row, State.SKIPPED, reason)
        return
    key = row.facts.schedule or ""
    turn.withdraw(row, reason)
    plan = turn.book.plans.get((run.job_id, key))
    if plan is None or plan.behind is None or to_micros(parse_time(run.schedule_time)) <= plan.behind:
        # it was due before the pause, or is of a schedule that is no more: that record will not have it
        record(turn, run.job_id, key, first=run.schedule_time, last=run.schedule_time, count=1, reason=reason)


def _left_out(turn: Turn, row: RunRow) -> str:
    """Return why a run that was made ahead does not run after all, or ""."""
    book, run = turn.book, row.run
    if run.stop_time and to_micros(parse_time(run.stop_time)) <= turn.micros:
        return f"its stop time, {run.stop_time}, had passed before it could start"
    plan = book.plans.get((run.job_id, row.facts.schedule or ""))
    if plan is None or run.schedule_time is None:
        return ""
    due = to_micros(parse_time(run.schedule_time))
    late = (turn.micros - due) / 1e6
    if due < book.since:
        return f"it was due before {format_time(from_micros(book.since))}, given with --since"
    if late <= book.settings.late_grace:
        return ""
    terms = plan.schedule.terms
    age = terms.max_age if terms.max_age is not None else book.settings.max_age
    if age is not None and late > age:
        return f"the scheduler was away when it was due, and it would be {late:.0f} s late: max_age is {age:g} s"
    if terms.catch_up == "none":
        return "the scheduler was away when it was due; catch_up: none"
    if terms.catch_up == "last" and _later_one(turn, row, due):
        return "the scheduler was away when it was due; catch_up: last, and a later one is due too"
    return ""


def _later_one(turn: Turn, row: RunRow, due: int) -> bool:
    for (other, _), run_id in turn.book.made.get(row.run.job_id, {}).items():
        if due < other <= turn.micros and turn.book.rows[run_id].facts.schedule == row.facts.schedule:
            return True
    plan = turn.book.plans[row.run.job_id, row.facts.schedule or ""]
    return plan.until is not None and plan.until > due and any(True for _ in plan.missed(max(due, plan.behind or 0)))
