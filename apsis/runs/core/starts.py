"""The start of a run that may, and the waiting of one that may not yet; `judging` says which."""

import hashlib
from collections.abc import Collection
from datetime import timedelta

from msgspec.structs import replace

from apsis.messages.dispatch import Start
from apsis.runs.core.book import BEFORE, Book
from apsis.runs.core.judging import End, Wait, judge, order_of
from apsis.runs.core.lines import Order
from apsis.runs.core.making import bind
from apsis.runs.core.memo import memo_of
from apsis.runs.core.rows import CommandRow, RunRow
from apsis.runs.core.turn import SCHEDULER, Turn
from apsis.runs.core.waiting import ForAnswer
from apsis.runs.states import State
from apsis.times import format_time, parse_time, to_micros


def look(turn: Turn, run_id: str, *, actor: str = SCHEDULER, reason: str = "") -> None:
    """Start a run that is due, or let it wait for the first thing that it lacks."""
    book = turn.book
    row = book.rows.get(run_id)
    if row is None or row.run.state not in BEFORE:
        return
    consider(turn, row, actor=actor, reason=reason)


def consider(turn: Turn, row: RunRow, *, actor: str = SCHEDULER, reason: str = "") -> None:
    """Do what `look` does, for a run that may be new and in no index yet."""
    book = turn.book
    book.looks += 1
    if row.run.state is not State.WAITING:
        bound = bind(turn, row)
        if bound is None:
            return
        row = bound
    verdict = judge(book, row)
    if isinstance(verdict, End):
        _end(turn, row, verdict)
    elif isinstance(verdict, Wait):
        _wait(turn, row, verdict, actor)
    else:
        start(turn, row, actor=actor, reason=reason)


def in_order(book: Book, run_ids: Collection[str]) -> list[str]:
    """Return runs in the order in which they are to be looked at, each once: who comes first in a line, comes first."""
    if len(run_ids) < 2:
        return list(run_ids)
    rows = [row for run_id in dict.fromkeys(run_ids) if (row := book.rows.get(run_id)) is not None]
    return [row.run.run_id for row in sorted(rows, key=lambda row: _urgency(book, row))]


def _urgency(book: Book, row: RunRow) -> Order:
    """Return the place in a line that a run will have: what is not bound yet has the priority of its job."""
    order = order_of(row)
    job = book.jobs.get(row.run.job_id) if row.run.state is State.SCHEDULED else None
    return order if job is None else order._replace(behind=-job.priority)


def _end(turn: Turn, row: RunRow, verdict: End) -> None:
    """End a run that is not to start. What counts as having run is started in name, and on no host."""
    if verdict.state in (State.SUCCESS, State.FAILURE):
        row = turn.move(row, State.STARTING, verdict.reason, host=None)
    turn.move(row, verdict.state, verdict.reason)


def _wait(turn: Turn, row: RunRow, verdict: Wait, actor: str) -> None:
    facts = row.facts
    if facts.passed != verdict.passed:
        facts = replace(facts, passed=verdict.passed)
    if row.run.state is not State.WAITING:
        row = turn.move(row, State.WAITING, verdict.reason, actor=actor, facts=facts)
    elif row.run.reason != verdict.reason and not _is_told(row, verdict):
        row = turn.note(row, verdict.reason, facts=facts, reason=verdict.reason)
    elif facts is not row.facts:
        row = turn.keep(row, facts)
    turn.book.waiting.put(row.run.run_id, verdict.need, order_of(row), verdict.claims)


def _is_told(row: RunRow, verdict: Wait) -> bool:
    """Say whether the reason of a run says what it waits for, and more: what was found when that was looked at."""
    return isinstance(verdict.need, ForAnswer) and row.run.reason.startswith(verdict.reason)


def start(turn: Turn, row: RunRow, *, actor: str = SCHEDULER, reason: str = "") -> None:
    """Commit a bound run to be started: a process by a command to its host, a no-op by a timer."""
    if row.facts.process is None:
        _start_no_op(turn, row, actor, reason)
        return
    command = order_start(turn, row)
    facts = replace(row.facts, process=None, dispatch=command.dispatch, epoch=command.epoch, booted=command.boot)
    turn.move(row, State.STARTING, reason, actor=actor, facts=facts)


def order_start(turn: Turn, row: RunRow) -> CommandRow:
    """Order a bound program to be started on its host."""
    run, process = row.run, row.facts.process
    if process is None:
        raise ValueError(f"{run.run_id} has no program that a host could start")
    return turn.command(
        turn.book.hosts[run.host or ""],
        run.run_id,
        Start,
        **turn.named(row),
        job_id=run.job_id,
        args=run.args,
        schedule_time=run.schedule_time,
        args_hash=hashlib.sha256(row.args_key.encode()).hexdigest(),
        process=process,
        memo=memo_of(row),
    )


def _start_no_op(turn: Turn, row: RunRow, actor: str, reason: str) -> None:
    ends = turn.now + timedelta(seconds=float(row.run.program.get("duration", 0.0)))
    starting = turn.move(row, State.STARTING, reason, actor=actor)
    facts = replace(starting.facts, ends=format_time(ends))
    turn.move(starting, State.RUNNING, "", facts=facts, late_by=late_by(row, turn.micros))


def late_by(row: RunRow, micros: int) -> float:
    """Return the seconds from when a run was due (asked for, where it has no due time) to its start."""
    run = row.run
    first = run.not_before or run.schedule_time or min(run.timestamps.values(), default=None)
    if first is None:
        return 0.0
    return max(0.0, (micros - to_micros(parse_time(first))) / 1e6)
