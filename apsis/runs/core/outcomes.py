"""What a host says of one run, applied to it: that its program runs, how it ended, that it is lost or was revoked."""

from typing import Final

from msgspec.structs import replace

from apsis.messages.dispatch import Finished, Lost, Revoked, Started, Stuck
from apsis.runs.core.hosts import MAYBE_STARTED
from apsis.runs.core.rows import RunRow
from apsis.runs.core.starts import late_by
from apsis.runs.core.turn import Turn
from apsis.runs.run import Exit
from apsis.runs.states import FINISHED, State
from apsis.times import parse_time, to_micros

JOURNAL_LOST: Final = "it had begun, and its host has lost its journal since: how it ended is not known"
_BEGUN: Final = frozenset({State.RUNNING, State.STOPPING})


def apply(turn: Turn, row: RunRow, report: Started | Stuck | Finished | Lost | Revoked, actor: str) -> RunRow:
    """Move a run to where its host says that it is.

    Raises:
        IllegalTransition: the table has no such step; nothing has changed.
    """
    if isinstance(report, Started):
        return _started(turn, row, report, actor)
    if isinstance(report, Finished):
        return _finished(turn, row, report, actor)
    if isinstance(report, Stuck):
        return _stuck(turn, row, report, actor)
    if isinstance(report, Lost):
        return turn.move(row, State.ERROR, report.reason, actor=actor, exit=Exit(error=report.reason), pid=None)
    if row.run.state in _BEGUN:
        # a cut of the power took the claim of its start, else nobody could have taken it again
        return turn.move(row, State.ERROR, JOURNAL_LOST, actor=actor, exit=Exit(error=JOURNAL_LOST), pid=None)
    if _is_of_the_past(turn, row):
        # the claim was taken in another spool or boot than its start was sent to: that one may have been obeyed there
        return turn.move(row, State.ERROR, MAYBE_STARTED, actor=actor, exit=Exit(error=MAYBE_STARTED), pid=None)
    return turn.move(row, State.SKIPPED, f"{row.run.reason or 'revoked'}; it had not started", actor=actor)


def _is_of_the_past(turn: Turn, row: RunRow) -> bool:
    facts, host = row.facts, turn.book.hosts.get(row.run.host or "")
    if host is None or facts.claimed or facts.booted is None:
        return False
    return (facts.epoch, facts.booted) != (host.row.epoch, host.row.boot)


def said(report: Started | Stuck | Finished | Lost | Revoked) -> str:
    """Return what a host reported, for a run's log."""
    how = ""
    if isinstance(report, Finished):
        exit_ = report.exit
        what = exit_.error or (f"exit {exit_.code}" if exit_.code is not None else f"signal {exit_.signal}")
        how = f" ({what}, at {report.end})"
    elif isinstance(report, Lost):
        how = f" ({report.reason})"
    return f"reported as {type(report).__name__.lower()}{how}"


def _stuck(turn: Turn, row: RunRow, report: Stuck, actor: str) -> RunRow:
    """Say why a run that was killed has not ended; it stays in its state until it has."""
    if row.run.state in FINISHED:
        return turn.note(row, f"{said(report)}: process {report.pid}", actor=actor, event="refused")
    why = "waits for the kernel, which no signal interrupts" if report.state == "D" else "does not end"
    text = f"process {report.pid} was killed and {why} (state {report.state})"
    reason = f"{row.run.reason}; {text}" if row.run.reason else text
    return turn.note(row, text, actor=actor, reason=reason)


def _started(turn: Turn, row: RunRow, report: Started, actor: str) -> RunRow:
    late = late_by(row, to_micros(parse_time(report.at)))
    stop_by = row.facts.stop_by
    facts = replace(row.facts, claimed=True, stop_by=None)
    if row.run.state is State.STOPPING:
        # the stop was ordered in between: there is no step back, but its process is known now
        return turn.note(
            row, f"its program runs as process {report.pid}", actor=actor, pid=report.pid, late_by=late, facts=facts
        )
    row = turn.move(row, State.RUNNING, actor=actor, facts=facts, entered=report.at, pid=report.pid, late_by=late)
    if stop_by is not None:
        verb = "killed" if facts.killed else "stopped"
        row = turn.move(row, State.STOPPING, f"{verb} by {stop_by}", actor=stop_by)
    return row


def _finished(turn: Turn, row: RunRow, report: Finished, actor: str) -> RunRow:
    state, reason = outcome(row, report)
    row = _as_started(row, report)
    if report.leftovers:
        reason = f"{reason}; {report.leftovers} of its descendants could not be ended".removeprefix("; ")
    return turn.move(
        row,
        state,
        reason,
        actor=actor,
        entered=report.end,
        exit=report.exit,
        elapsed=report.elapsed,
        rusage=report.rusage,
        outputs=report.outputs,
        pid=None,
        reachable=True,
    )


def _as_started(row: RunRow, report: Finished) -> RunRow:
    """Return the row with what `Started` would have said, where a short program has ended before that was sent."""
    run = row.run
    if report.start is None or State.RUNNING.value in run.timestamps or run.state in FINISHED:
        return row
    stamps = {**run.timestamps, State.RUNNING.value: report.start}
    late = late_by(row, to_micros(parse_time(report.start)))
    return RunRow(row.num, row.args_key, replace(run, timestamps=stamps, late_by=late), row.facts, row.log)


def outcome(row: RunRow, report: Finished) -> tuple[State, str]:
    """Decide how a run ended, and why: a status that counts as success, a stop that was obeyed, or the rest."""
    exit_, facts = report.exit, row.facts
    if exit_.error:
        return State.ERROR, exit_.error
    if report.timed_out:
        return State.FAILURE, exit_.killed_by or "timeout"
    stopping = report.stopped or row.run.state is State.STOPPING
    if exit_.code is not None and exit_.code in facts.success_codes:
        return State.SUCCESS, row.run.reason if stopping else ""
    if exit_.code is not None and exit_.code in facts.error_codes:
        return State.ERROR, f"exit {exit_.code}: it could not be carried out; its output says why"
    if exit_.signal is not None and stopping and not facts.killed and exit_.signal == facts.own_signal:
        return State.SUCCESS, row.run.reason
    if exit_.code is not None:
        return State.FAILURE, f"exit {exit_.code}"
    if exit_.signal is not None:
        by = exit_.killed_by or (row.run.reason if stopping else "")
        return State.FAILURE, f"signal {exit_.signal}{f' ({by})' if by else ''}"
    return State.ERROR, "its exit status is not known"
