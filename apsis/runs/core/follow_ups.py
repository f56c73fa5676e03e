"""What a run's end brings about in the same transaction: its retry, `schedule` actions and successors."""

from apsis.actions import ScheduleAction, read_bound
from apsis.jobs.bind import complete_args
from apsis.programs.templated import BindError
from apsis.runs.core.alarms import at_end
from apsis.runs.core.making import new_row, reason_of
from apsis.runs.core.pauses import holds
from apsis.runs.core.retries import retry
from apsis.runs.core.rows import RunRow
from apsis.runs.core.starts import consider
from apsis.runs.core.turn import Turn
from apsis.runs.states import State


def follow_up(turn: Turn, row: RunRow) -> None:
    """Tell what was unusual about a run that has ended, try it again by its job's rule, and carry out its actions."""
    row = retry(turn, at_end(turn, row))
    for value in row.run.actions:
        if value.get("type") != ScheduleAction.type:
            continue  # the service for alerts carries those out, when it hears of the end
        action = read_bound(value)
        if _holds(turn, row, action):
            _make(turn, row, action)
    for action in turn.book.settings.actions:
        # one that follows on every end must not follow on its own, without end
        if action.job_id != row.run.job_id and _holds(turn, row, action):
            _make(turn, row, action)


def _holds(turn: Turn, row: RunRow, action: ScheduleAction) -> bool:
    run, when = row.run, action.when
    previous = _previous(turn, row) if when.first_failure or when.recovered else None
    return when.holds(
        run.state,
        exit_code=run.exit.code if run.exit else None,
        late="late" in run.raised,
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
    new = new_row(turn, job, args, None, automatic=True)
    reason = f"after {by} of {row.run.job_id}"
    if held := holds(turn.book, new):
        turn.move(new, State.SKIPPED, f"{held}; it was to run {reason}", actor=f"action:{by}")
    else:
        consider(turn, new, actor=f"action:{by}", reason=reason)


def row_now(turn: Turn, row: RunRow) -> RunRow:
    """Return the row of a run as it stands by now."""
    return turn.book.find(row.run.run_id) or row
