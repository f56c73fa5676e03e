"""A database that was put back from a backup: how that is noticed, its new number, and what hosts are asked then.

Until a host has told all that it holds, nothing is dispatched to it: what it ran after the backup was made is
not known here, and would be run again. What it tells is taken over in `inventory`.
"""

import hashlib
from collections.abc import Iterable
from datetime import timedelta

from msgspec.structs import replace

from apsis.messages.dispatch import Forget, HostHello, Inventory, Start
from apsis.runs.core.book import Book, Host
from apsis.runs.core.rows import CommandRow, HostRow
from apsis.runs.core.turn import Turn
from apsis.times import format_time, parse_time

#: what a host archived this long before its last report was committed here is not asked for; clocks may differ
MARGIN = timedelta(days=1)
#: numbers pass through JSON readers that know only floats
_BITS = 53


def notice(book: Book, message: HostHello, row: HostRow) -> str:
    """Return why a host's HELLO says that our database is not the newest, or ""; `row`: what is stored of it."""
    host = message.host
    for known in message.known:
        if known.journal == book.journal:
            if known.term > book.term:
                return f"host {host} has heard term {known.term} of this database, whose term is {book.term}"
            if known.term == book.term and known.life and book.life and known.life != book.life:
                return f"host {host} has heard another life of term {known.term} of this database"
        elif known.journal not in book.past:
            return f"host {host} knows database {known.journal:016x}, whose runs are not known here"
    if row.epoch in {"", message.epoch} and message.acked > row.seq:
        return f"host {host} has {message.acked} reports acknowledged, of which {row.seq} are known here"
    return ""


def owes(book: Book, message: HostHello, row: HostRow) -> bool:
    """Say whether a host that has told this database nothing may hold runs that it does not know."""
    if row.journal or (row.epoch and book.past):
        return True
    return any(known.journal != book.journal for known in message.known)


def renew(turn: Turn, why: str, foreign: Iterable[int] = (), *, but: Host | None = None) -> None:
    """Give the database a new number, take back all commands, and ask every host that is here for what it holds.

    `foreign`: numbers of others whose runs are taken over; `but`: a host that is asked by the caller.
    """
    book = turn.book
    old = book.journal
    book.past = tuple(dict.fromkeys((*book.past, old, *foreign)))
    book.journal = turn.effects.journal = _another(book, turn.micros)
    book.restored = ""
    numbers = " ".join(str(number) for number in book.past)
    turn.effects.meta |= {"journal": str(book.journal), "past": numbers, "restored": ""}
    turn.sys_event("journal", journal=f"{book.journal:016x}", before=f"{old:016x}", reason=why)
    for host in book.hosts.values():
        host.counting = None
        for command in list(book.commands.get(host.row.host, {}).values()):
            _take_back(turn, host, command, old)
        if host.connected and host is not but:
            ask(turn, host)


def _another(book: Book, micros: int) -> int:
    """Return a number that no database has; drawn from what no two restores have in common."""
    while True:
        text = f"{book.past} {book.term} {book.life} {micros}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> (64 - _BITS)
        if number and number not in book.past:
            return number
        micros += 1


def _take_back(turn: Turn, host: Host, command: CommandRow, old: int) -> None:
    """Settle a command that was ordered under the old number: the host may have obeyed it long ago."""
    turn.settle(command)
    order = command.command
    row = turn.book.rows.get(command.run_id)
    if isinstance(order, Start) and row is not None:
        # not claimed, as it turns out? then it is ordered anew, and if its spool is another one by then, it is lost
        turn.keep(row, replace(row.facts, process=order.process, epoch=command.epoch, boot=command.boot))
    elif isinstance(order, Forget):
        names = [f"{order.journal or old}:{run_id}" for run_id in order.run_ids]
        turn.keep_host(host, replace(host.row, forget=[*host.row.forget, *names]))


def has_settled(book: Book, host: Host) -> bool:
    """Say whether a host has answered a start as settled, and what became of its run is not known yet."""
    open_ = {row.run_id for row in book.commands.get(host.row.host, {}).values() if isinstance(row.command, Start)}
    rows = (book.rows[run_id] for run_id in host.busy - open_)
    return any(not row.facts.claimed and row.facts.process is None for row in rows)


def ask(turn: Turn, host: Host, *, everything: bool = False) -> None:
    """Ask a host for every run that it holds; of its archive only what may not be known here, or `everything`.

    What was settled before its start came again may lie there for long: then everything is asked for, in any case.
    """
    for command in list(turn.book.commands.get(host.row.host, {}).values()):
        if isinstance(command.command, Inventory):
            turn.settle(command)
    since = ""
    if host.row.heard and not everything and not has_settled(turn.book, host):
        since = format_time(parse_time(host.row.heard) - MARGIN)
    host.told.clear()
    # one whose start is not answered yet may be claimed while the host counts, and is not told then
    starts = {
        row.run_id for row in turn.book.commands.get(host.row.host, {}).values() if isinstance(row.command, Start)
    }
    host.asked = host.busy - starts
    host.counting = turn.command(host, "", Inventory, since=since).dispatch
