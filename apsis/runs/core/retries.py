"""The auto-rerun rule: a run that ended badly is made again, in the transaction of its end."""

from datetime import timedelta

from msgspec.structs import replace

from apsis.jobs.bind import complete_args
from apsis.jobs.policies import Retry
from apsis.programs.templated import BindError
from apsis.runs.core.making import new_row, reason_of, schedule_run
from apsis.runs.core.pauses import holds
from apsis.runs.core.rows import RunRow
from apsis.runs.core.starts import consider
from apsis.runs.core.turn import Turn
from apsis.runs.states import State
from apsis.times import format_time, parse_time, to_micros
from apsis.times.durations import show_duration


def retry(turn: Turn, row: RunRow) -> RunRow:
    """Make the retry that is due to a run which has just ended; return the run as it stands then.

    What never came to its start is not tried again: nothing would be otherwise.
    """
    run = row.run
    if run.state not in {State.FAILURE, State.ERROR} or State.STARTING not in run.timestamps:
        return row
    job = turn.book.version(run.job_version, run.job_id)
    rule = job.retry if job is not None else None
    if job is None or rule is None or not _applies(rule, row):
        return row
    if reason := _why_not(turn, row, rule):
        return turn.note(row, f"not tried again: {reason}")
    number = run.attempt + 1
    job = turn.book.jobs.get(run.job_id, job)
    try:
        args = complete_args(job, run.args)
    except BindError as error:
        return turn.note(row, f"not tried again: its job has changed; {reason_of(error)}")
    delay = rule.delay_before(number)
    again = new_row(
        turn,
        job,
        args,
        parse_time(run.schedule_time) if run.schedule_time else None,
        stop=parse_time(run.stop_time) if run.stop_time else None,
        retry_of=run.run_id,
        attempt=number,
        not_before=turn.now + timedelta(seconds=delay),
    )
    which = f"retry {number} of {rule.count} of {run.run_id}"
    when = f" in {show_duration(round(delay, 3))}" if delay else ""
    row = turn.note(
        row,
        f"tried again as {again.run.run_id}{when}: retry {number} of {rule.count}",
        reruns=[*run.reruns, again.run.run_id],
    )
    if held := holds(turn.book, again):
        turn.move(again, State.SKIPPED, f"{held}; it was to be {which}")
    elif delay:
        schedule_run(turn, again, reason=f"{which}, at {again.run.not_before}")
    else:
        consider(turn, again, reason=which)
    return row


def clock_set(turn: Turn, by: float) -> None:
    """Let retries that wait, and no-ops that run, do so for as long as they were to, whatever the clock shows."""
    book, shift = turn.book, timedelta(seconds=by)
    for row in list(book.rows.values()):
        run, ends = row.run, row.facts.ends
        if run.state is State.SCHEDULED and run.retry_of and run.not_before:
            moved = parse_time(run.not_before) + shift
            text = f"the clock was set by {by:+.0f} s: it starts at {format_time(moved)}"
            turn.note(row, text, reason=text, not_before=format_time(moved))
            book.due.put(to_micros(moved), run.run_id)
        elif ends is not None:
            moved = parse_time(ends) + shift
            turn.keep(row, replace(row.facts, ends=format_time(moved)))
            book.ends.put(to_micros(moved), run.run_id)


def _applies(rule: Retry, row: RunRow) -> bool:
    run = row.run
    if not rule.count or run.state.value not in rule.on:
        return False
    return rule.exit_codes is None or (run.exit is not None and run.exit.code in rule.exit_codes)


def _why_not(turn: Turn, row: RunRow, rule: Retry) -> str:
    run = row.run
    if row.facts.ended_by:
        return f"it was ended by {row.facts.ended_by}"
    if run.attempt >= rule.count:
        return f"all {rule.count} retries are used up"
    delay = rule.delay_before(run.attempt + 1)
    if run.stop_time and format_time(turn.now + timedelta(seconds=delay)) >= run.stop_time:
        return f"its stop time, {run.stop_time}, would have passed"
    return ""
