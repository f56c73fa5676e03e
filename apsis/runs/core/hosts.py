"""Supervisors: their coming and going, and their answers to commands."""

from datetime import timedelta
from itertools import groupby

from msgspec.structs import replace

from apsis.messages.dispatch import Answer, Answers, Forget, HostHello, Start, Stop
from apsis.runs.core.book import BEFORE, Book, Host
from apsis.runs.core.inputs import RoomSeen
from apsis.runs.core.renewal import ask, has_settled, notice, owes, renew
from apsis.runs.core.rows import CommandRow, HostRow, RunRow
from apsis.runs.core.turn import Turn
from apsis.runs.core.waiting import ForHost, ForRoom, ForSlot
from apsis.runs.states import State

#: finished runs are forgotten in batches: this many, or after this many seconds
FORGET_AT = 64
FORGET_AFTER = 1.0
MAYBE_STARTED = "may have started before the host was lost"


def hello(turn: Turn, message: HostHello) -> None:
    """Take note of a supervisor that has (re)connected; it may know that our database was put back from a backup."""
    book = turn.book
    host = book.hosts.get(message.host)
    if host is None:
        host = book.hosts[message.host] = Host(HostRow(host=message.host))
    row = host.row
    why = notice(book, message, row)
    if why:
        renew(turn, why, [known.journal for known in message.known], but=host)
        row = host.row
    # a new spool counts its reports from 1; one that lost its tail goes on from what we have, and we from what it
    # has no more, should our database have been restored
    seq = max(row.seq if row.epoch == message.epoch else 0, message.acked)
    dispatch = max(row.dispatch, message.floor)
    new = replace(row, epoch=message.epoch, boot=message.boot, seq=seq, dispatch=dispatch, cores=message.cores)
    if new != row:
        turn.keep_host(host, new)
        turn.sys_event("host", host=message.host, epoch=message.epoch, boot=message.boot, cores=message.cores)
    if row.epoch not in ("", message.epoch):
        _lose_spool(turn, host, row.epoch)
    elif row.boot not in {"", message.boot} or (host.counting is None and _may_have_lost(book, host)):
        # a cut of the power may have taken journals, and brought back some that were archived
        ask(turn, host)
    elif host.counting is None and has_settled(book, host):
        # we were killed after that answer, before all was told that was asked for on its account
        ask(turn, host)
    if host.row.journal != book.journal and host.counting is None:
        if why or owes(book, message, row):
            ask(turn, host)
        else:
            turn.keep_host(host, replace(host.row, journal=book.journal))
    host.greeted, host.nonce = True, message.nonce
    connected(turn, host)
    turn.effects.acks.add(message.host)
    turn.effects.greeted.add(message.host)


def connected(turn: Turn, host: Host) -> None:
    """Let go on what waited for this host."""
    if host.connected:
        return
    host.connected = True
    host.away_since = None
    name = host.row.host
    for run_id in sorted(host.busy):
        row = turn.book.rows[run_id]
        if not row.run.reachable:
            turn.note(row, f"host {name} can be reached again", reachable=True, reason="")
    turn.book.agenda.extend(turn.book.waiting.all_of(ForHost(name)))
    turn.book.free[ForSlot(name)] = None


def lost(turn: Turn, name: str) -> None:
    """Take note that a supervisor cannot be reached; its runs are marked when that lasts."""
    host = turn.book.hosts.get(name)
    if host is not None and host.connected:
        host.connected = False
        host.away_since = turn.now


def see_room(turn: Turn, seen: RoomSeen) -> None:
    """Take note of whether a disk has room for new runs; those who waited for it are looked at."""
    book = turn.book
    if book.no_room.get(seen.host, "") == seen.lack:
        return
    if seen.lack:
        book.no_room[seen.host] = seen.lack
    else:
        del book.no_room[seen.host]
    turn.sys_event("room", host=seen.host, lack=seen.lack)
    book.agenda.extend(book.waiting.all_of(ForRoom(seen.host)))


def mark_unreachable(turn: Turn) -> None:
    """Mark the runs of hosts that have been away for the grace."""
    grace = timedelta(seconds=turn.book.settings.away_grace)
    for host in turn.book.hosts.values():
        if host.away_since is None or turn.now < host.away_since + grace:
            continue
        host.away_since = None
        for run_id in sorted(host.busy):
            row = turn.book.rows[run_id]
            if row.run.reachable:
                reason = f"host {host.row.host} cannot be reached"
                turn.note(row, reason, reachable=False, reason=reason)


def _lose_spool(turn: Turn, host: Host, epoch: str) -> None:
    """End the runs that were claimed in a spool which is gone; unanswered starts are answered `unknown`."""
    for run_id in sorted(host.busy):
        row = turn.book.rows[run_id]
        if row.facts.epoch == epoch and row.facts.claimed:
            turn.move(row, State.ERROR, f"the spool of host {host.row.host} was lost: how it ended is not known")


def _may_have_lost(book: Book, host: Host) -> bool:
    """Say whether there are runs that were claimed before the host was booted."""
    facts = [book.rows[run_id].facts for run_id in host.busy]
    return any(each.claimed and each.booted not in {None, host.row.boot} for each in facts)


def answers(turn: Turn, message: Answers) -> None:
    """Settle the commands that a supervisor answers."""
    host = turn.book.hosts.get(message.host)
    if host is None or not host.greeted or message.journal not in {0, turn.book.journal}:
        # of another database the numbers mean other commands
        return
    if (message.epoch, message.boot) == (host.row.epoch, host.row.boot):
        connected(turn, host)
    for item in message.items:
        command = turn.book.commands.get(message.host, {}).get(item.dispatch)
        # one that is not open was answered before: the answer came twice
        if command is not None:
            turn.settle(command)
            _answer(turn, host, command, item)


def _answer(turn: Turn, host: Host, command: CommandRow, answer: Answer) -> None:
    row = turn.book.rows.get(command.run_id)
    if row is None or row.run.state in BEFORE:
        return
    if isinstance(command.command, Start):
        _answer_start(turn, host, row, answer)
    elif answer.state == "unknown" and isinstance(command.command, Stop):
        turn.move(row, State.ERROR, f"{MAYBE_STARTED}: it was to be stopped, and its host knows nothing of it")
    elif answer.state in {"refused", "conflict"}:
        turn.note(row, f"{type(command.command).__name__.lower()} was refused: {answer.reason}", event="refused")


def _answer_start(turn: Turn, host: Host, row: RunRow, answer: Answer) -> None:
    state = answer.state
    if state == "settled":
        # it ran, and this database has lost how it ended: its host has the journal, and is asked for all it has
        if host.counting is None:
            ask(turn, host, everything=True)
        return
    if state in {"claimed", "started", "result", "done", "revoked"}:
        facts = replace(row.facts, claimed=True)
        if facts.stop_by is not None and state != "revoked" and row.run.state is State.STARTING:
            facts = replace(facts, stop_by=None)
            by = row.facts.stop_by or ""
            verb = "killed" if facts.killed else "stopped"
            turn.move(row, State.STOPPING, f"{verb} by {by}", actor=by, facts=facts)
        else:
            turn.keep(row, facts)
        return
    reasons = {
        "unknown": MAYBE_STARTED,
        "conflict": "its host holds another run under this number",
        "none": "its host did not start it",
        "refused": "could not be started",
    }
    reason = reasons.get(state, f"its host answered {state!r}")
    turn.move(row, State.ERROR, f"{reason}: {answer.reason}" if answer.reason else reason)


def forget(turn: Turn, host: Host, journal: int, run_id: str) -> None:
    """Remember that the journal of a run, named as its host has it, may be archived there."""
    turn.keep_host(host, replace(host.row, forget=[*host.row.forget, f"{journal}:{run_id}"]))
    if host.forget_since is None:
        host.forget_since = turn.now


def send_forgets(turn: Turn) -> None:
    """Order the batches of `Forget` that are full or old enough."""
    for host in turn.book.hosts.values():
        names = host.row.forget
        if not names or not host.connected:
            continue
        if host.forget_since is None:
            host.forget_since = turn.now
        if len(names) >= FORGET_AT or turn.now >= host.forget_since + timedelta(seconds=FORGET_AFTER):
            host.forget_since = None
            turn.keep_host(host, replace(host.row, forget=[]))
            for journal, run_ids in _by_journal(turn.book, names):
                for first in range(0, len(run_ids), FORGET_AT):
                    turn.command(host, "", Forget, run_ids=run_ids[first : first + FORGET_AT], journal=journal)


def _by_journal(book: Book, names: list[str]) -> list[tuple[int, list[str]]]:
    """Return ids by the number that they are claimed under; versions before this one kept none."""
    first = book.past[0] if book.past else book.journal
    split = sorted((int(journal or first), run_id) for journal, _, run_id in (name.rpartition(":") for name in names))
    return [(journal, [run_id for _, run_id in group]) for journal, group in groupby(split, key=lambda pair: pair[0])]


def is_counting(book: Book) -> bool:
    """Say whether a host is telling what it holds: numbers that are given meanwhile may turn out to be taken."""
    return any(host.counting is not None and host.connected for host in book.hosts.values())


def next_wake(book: Book) -> list[float]:
    """Return the seconds since the epoch at which a host needs something done."""
    wakes = []
    for host in book.hosts.values():
        if host.away_since is not None:
            wakes.append(host.away_since.timestamp() + book.settings.away_grace)
        if host.row.forget and host.connected and host.forget_since is not None:
            wakes.append(host.forget_since.timestamp() + FORGET_AFTER)
    return wakes
