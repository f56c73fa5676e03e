"""Letting go of finished runs that lie in an archive by now. Nothing goes that has changed since it was copied."""

from apsis.runs.core.deeds import answer, repeated
from apsis.runs.core.inputs import Copied
from apsis.runs.core.turn import Turn
from apsis.runs.states import FINISHED


def let_go(turn: Turn, copied: Copied) -> None:
    """Delete the rows of runs that were copied, and tell everybody."""
    if repeated(turn, copied.asked):
        return
    book = turn.book
    owed = {name for host in book.hosts.values() for name in (*host.row.forget, *host.row.owed)}
    gone = []
    for num, rev in copied.runs:
        row = book.find(f"r{num}")
        if row is None or row.run.state not in FINISHED or row.run.rev != rev:
            # somebody has marked it since, or it was let go of before: what stands in the archive is replaced later
            continue
        name = f"{book.journal_of(row)}:{row.run.held_as or row.run.run_id}"
        if name in owed or row.run.run_id in book.rows:
            # its host still is to be told that it may forget it; a report of it must find it here
            continue
        turn.effects.withdrawn.append(num)
        gone.append(row.run.run_id)
    if gone:
        turn.sys_event("archived", copied.asked.request.actor, runs=gone, path=copied.path)
    # those that have to stay are no reason to ask for the others again
    more = copied.more and bool(gone)
    answer(turn, copied.asked, {"archived": len(gone), "more": more, "path": copied.path})
