"""What supervisors report: applied once and in order, refused where the state table says so, always acknowledged."""

from msgspec.structs import replace

from apsis.messages.dispatch import Counted, Finished, Held, Lost, Report, Reports, Revoked, Started, Stuck
from apsis.runs.core.book import BEFORE, Host
from apsis.runs.core.hosts import connected, forget
from apsis.runs.core.inventory import counted, held, owe
from apsis.runs.core.outcomes import apply, said
from apsis.runs.core.renewal import ask
from apsis.runs.core.rows import RunRow
from apsis.runs.core.turn import Turn
from apsis.runs.states import IllegalTransition


def reports(turn: Turn, message: Reports) -> None:
    """Apply those that come next. A gap is left: they come again from the last that is acknowledged."""
    book = turn.book
    host = book.hosts.get(message.host)
    if host is None or not host.greeted or host.row.epoch != message.epoch:
        # its HELLO, which it sends until it is answered, has not come yet in this life of ours, or the spool is gone
        return
    if message.boot == host.row.boot:
        connected(turn, host)
    for report in message.items:
        if report.seq == host.row.seq + 1:
            row = host.row
            # while it still tells what it holds, the time must stay: asked again, it would leave out what was missed
            heard = turn.at if row.journal == book.journal else row.heard
            turn.keep_host(host, replace(row, seq=report.seq, heard=heard))
            _apply(turn, host, report)
    turn.effects.acks.add(message.host)


def _apply(turn: Turn, host: Host, report: Report) -> None:
    if isinstance(report, Held):
        held(turn, host, report)
    elif isinstance(report, Counted):
        counted(turn, host, report)
    else:
        row = turn.book.find_held(host.row.host, report.journal, report.run_id)
        if row is None or row.run.state in BEFORE:
            _unknown(turn, host, report, row)
        else:
            _take(turn, host, row, report)


def _take(turn: Turn, host: Host, row: RunRow, report: Started | Stuck | Finished | Lost | Revoked) -> None:
    actor = f"supervisor/{host.row.host}"
    try:
        if row.run.host != host.row.host:
            turn.note(
                row, f"{said(report)} by host {host.row.host}, where it does not run", actor=actor, event="refused"
            )
        else:
            apply(turn, row, report, actor)
    except IllegalTransition as error:
        turn.note(row, f"{said(report)}; {error}", actor=actor, event="refused", reachable=True)
    if not isinstance(report, Started | Stuck):
        forget(turn, host, report.journal or turn.book.journal_of(row), report.run_id)


def _unknown(turn: Turn, host: Host, report: Started | Stuck | Finished | Lost | Revoked, row: RunRow | None) -> None:
    """Record a report about a run that the database lacks; what its host knows of it is asked for.

    One that has not begun here (`row`) was begun in a time that is lost, or is another one that got its number since.
    """
    turn.sys_event(
        "report", f"supervisor/{host.row.host}", run_id=report.run_id, report=type(report).__name__, known=False
    )
    journal = report.journal or turn.book.journal
    if isinstance(report, Revoked) and row is None:
        # it never started, and nobody here waits for it
        forget(turn, host, journal, report.run_id)
        return
    if not isinstance(report, Started | Stuck):
        owe(turn, host, journal, report.run_id)
    if host.counting is None:
        ask(turn, host)
