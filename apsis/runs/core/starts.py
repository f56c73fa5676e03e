"""Whether a run may start, what it waits for otherwise, and its start."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from apsis.conditions import Dependency, MaxRunning
from apsis.messages.dispatch import Start
from apsis.runs.core.book import BEFORE, Book
from apsis.runs.core.making import bind
from apsis.runs.core.memo import memo_of
from apsis.runs.core.rows import CommandRow, RunRow, args_key
from apsis.runs.core.turn import SCHEDULER, Turn
from apsis.runs.core.waiting import ForClock, ForHost, ForPlace, ForRoom, ForRuns, ForSlot, Need
from apsis.runs.states import State
from apsis.times import format_time, parse_time, to_micros


@dataclass(frozen=True, slots=True)
class Go:
    """It may start."""


@dataclass(frozen=True, slots=True)
class Wait:
    """It waits for one thing; `passed` of its conditions are true already."""

    need: Need
    reason: str
    passed: int


@dataclass(frozen=True, slots=True)
class Fail:
    """What it waits for can never come."""

    reason: str


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
    if isinstance(verdict, Fail):
        turn.move(row, State.ERROR, verdict.reason)
    elif isinstance(verdict, Wait):
        _wait(turn, row, verdict, actor)
    else:
        start(turn, row, actor=actor, reason=reason)


def judge(book: Book, row: RunRow) -> Go | Wait | Fail:
    """Decide about a bound run: its conditions in order, then places, then its host."""
    passed = row.facts.passed
    if book.clock_is_back:
        return Wait(ForClock(), "waiting for the clock, which is more than an hour behind the last commit", passed)
    conditions = book.conditions(row)
    if not row.facts.forced:
        for condition in conditions[passed:]:
            if isinstance(condition, Dependency):
                verdict = _depend(book, condition, passed)
                if verdict is not None:
                    return verdict
            passed += 1
        for condition in conditions:
            if isinstance(condition, MaxRunning) and (full := _full(book, condition, passed)) is not None:
                return full
    return _room(book, row, passed) or _host(book, row, passed) or Go()


def _room(book: Book, row: RunRow, passed: int) -> Wait | None:
    for place in ("", row.run.host):
        if place is not None and (lack := book.no_room.get(place)):
            return Wait(ForRoom(place), f"waiting for room on a disk: {lack}", passed)
    return None


def _depend(book: Book, condition: Dependency, passed: int) -> Wait | Fail | None:
    key = args_key(condition.args)
    if _any(book, condition.job_id, key, condition.states):
        return None
    if condition.exist is not None and not _any(book, condition.job_id, key, (*condition.exist, *condition.states)):
        return Fail(f"{condition.text} cannot come true: there is no such run that could get there")
    return Wait(ForRuns(condition.job_id, key), f"waiting until {condition.text}", passed)


def _any(book: Book, job_id: str, key: str, states: tuple[str, ...]) -> bool:
    """Say whether any run of a job with these args, unfinished or not, is in one of the states."""
    wanted = {State(state) for state in states}
    if any(book.rows[run_id].run.state in wanted for run_id in book.unfinished.get((job_id, key), ())):
        return True
    same = [row for row in book.fresh.values() if row.run.job_id == job_id and row.args_key == key]
    if any(row.run.state in wanted for row in same):
        return True
    # a run marked in this turn is stored with the state that it had: as many more are asked for as may be such
    stale = {row.run.run_id for row in same}
    stored = book.archive.finished(job_id, key, wanted, len(stale) + 1)
    return any(run_id not in stale for run_id in stored)


def _full(book: Book, condition: MaxRunning, passed: int) -> Wait | None:
    key = None if condition.args is None else args_key(condition.args)
    if book.holding[condition.job_id, key] < condition.count:
        return None
    return Wait(ForPlace(condition.job_id, key, condition.count), f"waiting until {condition.text}", passed)


def _host(book: Book, row: RunRow, passed: int) -> Wait | None:
    name = row.run.host
    if name is None:
        return None
    host = book.hosts.get(name)
    if host is None or not host.connected:
        return Wait(ForHost(name), f"waiting for host {name}, whose supervisor is away", passed)
    if host.row.journal != book.journal:
        return Wait(ForHost(name), f"waiting until host {name} has told what it ran before the restore", passed)
    places = book.settings.per_core * max(1, host.row.cores)
    if len(host.busy) >= places:
        return Wait(ForSlot(name), f"waiting for one of the {places} runs at a time of host {name}", passed)
    return None


def _wait(turn: Turn, row: RunRow, verdict: Wait, actor: str) -> None:
    facts = row.facts
    if facts.passed != verdict.passed:
        facts = replace(facts, passed=verdict.passed)
    if row.run.state is not State.WAITING:
        turn.move(row, State.WAITING, verdict.reason, actor=actor, facts=facts)
    elif row.run.reason != verdict.reason:
        turn.note(row, verdict.reason, facts=facts, reason=verdict.reason)
    elif facts is not row.facts:
        turn.keep(row, facts)
    turn.book.waiting.put(row.run.run_id, verdict.need)


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
    first = run.schedule_time or min(run.timestamps.values(), default=None)
    if first is None:
        return 0.0
    return max(0.0, (micros - to_micros(parse_time(first))) / 1e6)
