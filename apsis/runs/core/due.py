"""Scheduled runs whose time has come: they start, or are left out where they are too late for their schedule."""

from apsis.runs.core.rows import RunRow
from apsis.runs.core.starts import look
from apsis.runs.core.turn import Turn
from apsis.runs.states import State
from apsis.times import parse_time, to_micros


def begin(turn: Turn, run_id: str) -> None:
    """Start a scheduled run that is due; one that is not scheduled any more is no matter."""
    row = turn.book.rows.get(run_id)
    if row is None or row.run.state is not State.SCHEDULED:
        return
    reason = _left_out(turn, row)
    if reason:
        turn.move(row, State.SKIPPED, reason)
    else:
        look(turn, run_id)


def _left_out(turn: Turn, row: RunRow) -> str:
    """Return why a run that was made ahead does not run after all, or ""."""
    book, run = turn.book, row.run
    plan = book.plans.get((run.job_id, row.facts.schedule or ""))
    due = to_micros(parse_time(run.schedule_time or ""))
    late = (turn.micros - due) / 1e6
    if plan is None or late <= book.settings.late_grace:
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
