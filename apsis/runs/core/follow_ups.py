"""What a run's end brings about in the same transaction: `schedule` actions and successors."""

from apsis.actions import ScheduleAction, read_bound
from apsis.jobs.bind import complete_args
from apsis.programs.templated import BindError
from apsis.runs.core.making import new_row, reason_of
from apsis.runs.core.rows import RunRow
from apsis.runs.core.starts import consider
from apsis.runs.core.turn import Turn
from apsis.runs.states import State


def follow_up(turn: Turn, row: RunRow) -> None:
    """Carry out the actions of a run that has ended."""
    for value in row.run.actions:
        action = read_bound(value)
        if _holds(turn, row, action):
            _make(turn, row, action)


def _holds(turn: Turn, row: RunRow, action: ScheduleAction) -> bool:
    run, when = row.run, action.when
    previous = _previous(turn, row) if when.first_failure or when.recovered else None
    return when.holds(
        run.state,
        exit_code=run.exit.code if run.exit else None,
        late=run.late_by is not None and run.late_by > row.facts.late_after,
        previous=previous,
    )


def _previous(turn: Turn, row: RunRow) -> State | None:
    """Return how the run of this job and these args before this one has ended."""
    run = row.run
    fresh = [
        other
        for other in turn.book.fresh.values()
        if other.run.job_id == run.job_id and other.args_key == row.args_key and other.num < row.num
    ]
    stored = turn.book.archive.previous(run.job_id, row.args_key, row.num)
    latest = max(fresh, key=lambda other: other.num, default=None)
    if latest is not None and (stored is None or latest.num >= stored[0]):
        return latest.run.state
    return stored[1] if stored else None


def _make(turn: Turn, row: RunRow, action: ScheduleAction) -> None:
    by = row.run.run_id
    job = turn.book.jobs.get(action.job_id)
    if job is None:
        turn.note(row_now(turn, row), f"cannot schedule {action.job_id}: there is no such job")
        return
    try:
        args = complete_args(job, action.args)
    except BindError as error:
        turn.note(row_now(turn, row), f"cannot schedule {action.job_id}: {reason_of(error)}")
        return
    consider(turn, new_row(turn, job, args, None), actor=f"action:{by}", reason=f"after {by} of {row.run.job_id}")


def row_now(turn: Turn, row: RunRow) -> RunRow:
    """Return the row of a run as it stands by now."""
    return turn.book.find(row.run.run_id) or row
