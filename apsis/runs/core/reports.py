"""What supervisors report: applied once and in order, refused where the state table says so, always acknowledged."""

from msgspec.structs import replace

from apsis.messages.dispatch import Finished, Held, Lost, Report, Reports, Started
from apsis.runs.core.book import Host
from apsis.runs.core.hosts import connected, forget
from apsis.runs.core.rows import RunRow
from apsis.runs.core.starts import late_by
from apsis.runs.core.turn import Turn
from apsis.runs.run import Exit
from apsis.runs.states import FINISHED, IllegalTransition, State
from apsis.times import parse_time, to_micros


def reports(turn: Turn, message: Reports) -> None:
    """Apply those that come next. A gap is left: they come again from the last that is acknowledged."""
    host = turn.book.hosts.get(message.host)
    if host is None or host.row.epoch != message.epoch:
        # its HELLO, which it sends until it is answered, has not come yet, or the spool is one of the past
        return
    if message.boot == host.row.boot:
        connected(turn, host)
    for report in message.items:
        if report.seq == host.row.seq + 1:
            turn.keep_host(host, replace(host.row, seq=report.seq))
            _apply(turn, host, report)
    turn.effects.acks.add(message.host)


def _apply(turn: Turn, host: Host, report: Report) -> None:
    row = turn.book.find(report.run_id)
    actor = f"supervisor/{host.row.host}"
    if row is None or isinstance(report, Held):
        turn.sys_event("report", actor, run_id=report.run_id, report=type(report).__name__, known=row is not None)
        return
    try:
        if row.run.host != host.row.host:
            turn.note(
                row, f"{_said(report)} by host {host.row.host}, where it does not run", actor=actor, event="refused"
            )
        elif isinstance(report, Started):
            _started(turn, row, report, actor)
        elif isinstance(report, Finished):
            _finished(turn, row, report, actor)
        elif isinstance(report, Lost):
            turn.move(row, State.ERROR, report.reason, actor=actor, exit=Exit(error=report.reason), pid=None)
        else:
            turn.move(row, State.SKIPPED, f"{row.run.reason or 'revoked'}; it had not started", actor=actor)
    except IllegalTransition as error:
        turn.note(row, f"{_said(report)}; {error}", actor=actor, event="refused")
    if not isinstance(report, Started):
        forget(turn, host, row)


def _said(report: Report) -> str:
    how = ""
    if isinstance(report, Finished):
        exit_ = report.exit
        how = f" ({exit_.error or (f'exit {exit_.code}' if exit_.code is not None else f'signal {exit_.signal}')})"
    return f"reported as {type(report).__name__.lower()}{how}"


def _started(turn: Turn, row: RunRow, report: Started, actor: str) -> None:
    late = late_by(row, to_micros(parse_time(report.at)))
    stop_by = row.facts.stop_by
    facts = replace(row.facts, claimed=True, stop_by=None)
    if row.run.state is State.STOPPING:
        # the stop was ordered in between: there is no step back, but its process is known now
        turn.note(
            row, f"its program runs as process {report.pid}", actor=actor, pid=report.pid, late_by=late, facts=facts
        )
        return
    row = turn.move(
        row, State.RUNNING, actor=actor, facts=facts, entered=report.at, pid=report.pid, late_by=late
    )  # fmt: skip
    if stop_by is not None:
        verb = "killed" if facts.killed else "stopped"
        turn.move(row, State.STOPPING, f"{verb} by {stop_by}", actor=stop_by)


def _finished(turn: Turn, row: RunRow, report: Finished, actor: str) -> None:
    state, reason = outcome(row, report)
    row = _as_started(row, report)
    if report.leftovers:
        reason = f"{reason}; {report.leftovers} of its descendants could not be ended".removeprefix("; ")
    turn.move(
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
    if exit_.signal is not None and stopping and not facts.killed and exit_.signal == facts.own_signal:
        return State.SUCCESS, row.run.reason
    if exit_.code is not None:
        return State.FAILURE, f"exit {exit_.code}"
    if exit_.signal is not None:
        by = exit_.killed_by or (row.run.reason if stopping else "")
        return State.FAILURE, f"signal {exit_.signal}{f' ({by})' if by else ''}"
    return State.ERROR, "its exit status is not known"
