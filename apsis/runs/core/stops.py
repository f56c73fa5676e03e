"""Ending runs that have begun: the stop ladder by a command, a no-op at once."""

from msgspec.structs import replace

from apsis.messages.dispatch import Stop
from apsis.runs.core.rows import RunRow
from apsis.runs.core.turn import Turn
from apsis.runs.states import State

KILL = 9


def order_stop(turn: Turn, row: RunRow, by: str, *, kill: bool = False) -> None:
    """Have a starting, running or stopping run ended; `kill`: by force, without a grace period.

    A run whose host has not yet answered its start stays `starting`: the stop may overtake the start, and then
    the run ends skipped.
    """
    run = row.run
    if run.host is None:
        _end_no_op(turn, row, by, kill=kill)
        return
    signal, grace = (KILL, 0.0) if kill else (row.facts.own_signal, row.facts.own_grace)
    host = turn.book.hosts[run.host]
    turn.command(host, run.run_id, Stop, **turn.named(row), signal=signal, grace=grace, by=by)
    facts = replace(row.facts, killed=row.facts.killed or kill, ended_by=row.facts.ended_by or by)
    verb = "killed" if kill else "stopped"
    if run.state is State.STARTING and (not facts.claimed or facts.stop_by is not None):
        # claimed, and still to be stopped: the first stop has taken the claim, and that is about to be reported
        facts = replace(facts, stop_by=by)
        turn.note(row, f"to be {verb} by {by}", actor=by, facts=facts, reason=f"to be {verb} by {by}")
    elif run.state is State.STOPPING:
        turn.note(row, f"{verb} by {by}", actor=by, facts=facts, reason=f"{verb} by {by}")
    else:
        turn.move(row, State.STOPPING, f"{verb} by {by}", actor=by, facts=facts)


def order_again(turn: Turn, row: RunRow) -> None:
    """Repeat the order to end a run, which was taken back before its host answered it."""
    run, facts = row.run, row.facts
    host = turn.book.hosts[run.host or ""]
    signal, grace = (KILL, 0.0) if facts.killed else (facts.own_signal, facts.own_grace)
    turn.command(
        host, run.run_id, Stop, **turn.named(row), signal=signal, grace=grace, by=facts.stop_by or "the scheduler"
    )


def _end_no_op(turn: Turn, row: RunRow, by: str, *, kill: bool) -> None:
    verb = "killed" if kill else "stopped"
    facts = replace(row.facts, ended_by=by)
    if row.run.state is not State.STOPPING:
        row = turn.move(row, State.STOPPING, f"{verb} by {by}", actor=by, facts=facts)
    turn.move(row, State.FAILURE if kill else State.SUCCESS, f"{verb} by {by}", actor=by)
