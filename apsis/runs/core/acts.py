"""Acts of people on one run: start, skip, stop, kill, signal, abandon, mark, rerun."""

import signal as signals
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from apsis.errors import BadRequest, Conflict, NotFound
from apsis.jobs.bind import complete_args
from apsis.messages.dispatch import Revoke, Signal
from apsis.messages.requests import ActOnRun
from apsis.runs.core.book import HOLDING
from apsis.runs.core.making import new_row
from apsis.runs.core.rows import RunRow
from apsis.runs.core.starts import consider
from apsis.runs.core.stops import order_stop
from apsis.runs.core.turn import Turn
from apsis.runs.run import Exit, Run
from apsis.runs.states import FINISHED, State
from apsis.times import parse_time
from apsis.times.durations import show_duration

_PENDING = frozenset({State.SCHEDULED, State.WAITING})


def act(turn: Turn, deed: ActOnRun, actor: str) -> dict[str, Any]:
    """Do one thing to one run, and return `{"run": ...}`: the run, or the new one where it is run again.

    Raises:
        NotFound: there is no such run, or no such job any more.
        Conflict: its state forbids it.
        BadRequest: there is no such act, signal or state.
    """
    row = turn.book.find(deed.run_id)
    if row is None:
        raise NotFound(f"there is no run {deed.run_id!r}", hint="`apsis runs` lists them", loc="run_id")
    if deed.action == "start":
        _start(turn, row, actor)
    elif deed.action == "skip":
        _need(row, _PENDING, "skipped", "stop it instead" if row.run.state in HOLDING else "")
        turn.move(row, State.SKIPPED, f"skipped by {actor}", actor=actor)
    elif deed.action in {"stop", "kill"}:
        _stop(turn, row, actor, kill=deed.action == "kill")
    elif deed.action == "signal":
        _signal(turn, row, deed, actor)
    elif deed.action == "abandon":
        _abandon(turn, row, actor)
    elif deed.action == "mark":
        _mark(turn, row, deed, actor)
    elif deed.action == "rerun":
        return _shown(turn, _rerun(turn, row, deed, actor))
    else:
        known = "start, skip, stop, kill, signal, abandon, mark, rerun"
        raise BadRequest(f"there is no act {deed.action!r}", hint=f"known: {known}", loc="action")
    return _shown(turn, row)


def _shown(turn: Turn, row: RunRow) -> dict[str, Any]:
    now = turn.book.find(row.run.run_id) or row
    return {"run": msgspec.to_builtins(now.run)}


def _need(row: RunRow, states: frozenset[State], what: str, hint: str = "") -> None:
    if row.run.state not in states:
        raise Conflict(f"{row.run.run_id} is {row.run.state.value} and cannot be {what}", hint=hint)


def _start(turn: Turn, row: RunRow, actor: str) -> None:
    hint = "run it again with rerun" if row.run.state in FINISHED else ""
    _need(row, _PENDING, "started", hint)
    reason = f"started by {actor}"
    facts = replace(row.facts, forced=True)
    row = turn.keep(row, facts)
    consider(turn, row, actor=actor, reason=reason)


def _stop(turn: Turn, row: RunRow, actor: str, *, kill: bool) -> None:
    what = "killed" if kill else "stopped"
    _need(row, HOLDING, what, "skip it instead" if row.run.state in _PENDING else "it is not running")
    if not kill and (row.run.state is State.STOPPING or row.facts.stop_by is not None):
        raise Conflict(f"{row.run.run_id} is being stopped already", hint="kill ends it by force")
    order_stop(turn, row, actor, kill=kill)


def _signal(turn: Turn, row: RunRow, deed: ActOnRun, actor: str) -> None:
    number = deed.signal
    if number is None or number not in {each.value for each in signals.Signals}:
        raise BadRequest(f"there is no signal {number}", hint="give its number, e.g. 10 for USR1", loc="signal")
    _need(row, frozenset({State.RUNNING, State.STOPPING}), "sent a signal", "it is not running")
    if row.run.host is None:
        raise Conflict(f"{row.run.run_id} has no process: it is a no-op", hint="stop it instead")
    host = turn.book.hosts[row.run.host]
    turn.command(host, row.run.run_id, Signal, **turn.named(row), signal=number, by=actor)
    turn.note(row, f"signal {signals.Signals(number).name} sent by {actor}", actor=actor)


def _abandon(turn: Turn, row: RunRow, actor: str) -> None:
    """End a run whose host cannot be reached. What its host says of it later stands beside that, in its log."""
    run, book = row.run, turn.book
    _need(row, HOLDING, "abandoned", "skip it instead" if run.state in _PENDING else "it is not running")
    host = book.hosts.get(run.host or "")
    if host is None or run.reachable:
        raise Conflict(
            f"the host of {run.run_id} can be reached, so it cannot be abandoned",
            hint="stop or kill it; only a run whose host has been away for a while is abandoned",
        )
    for command in list(book.commands.get(host.row.host, {}).values()):
        if command.run_id == run.run_id:
            # a start that still waits for its host would start what nobody waits for any more
            turn.settle(command)
    turn.command(host, run.run_id, Revoke, **turn.named(row))
    reason = f"abandoned by {actor}: host {host.row.host} cannot be reached, and how it ended is not known"
    facts = replace(row.facts, ended_by=actor)
    turn.move(row, State.ERROR, reason, actor=actor, facts=facts, exit=Exit(error=reason), pid=None, reachable=True)


def _mark(turn: Turn, row: RunRow, deed: ActOnRun, actor: str) -> None:
    known = ", ".join(sorted(FINISHED))
    if deed.state not in set(FINISHED):
        raise BadRequest(f"a run cannot be marked {deed.state!r}", hint=f"one of: {known}", loc="state")
    _need(row, FINISHED, "marked", "only finished runs are; stop or skip it first")
    state = State(deed.state)
    reason = f"marked {state.value} by {actor}"
    stamps = {**row.run.timestamps, state.value: turn.at}
    turn.note(row, reason, actor=actor, event="mark", state=state, reason=reason, timestamps=stamps)


def _rerun(turn: Turn, row: RunRow, deed: ActOnRun, actor: str) -> RunRow:
    _need(row, FINISHED, "run again", "it has not finished yet")
    if deed.as_ not in {"now", "then"}:
        raise BadRequest(f"a run cannot be run again as {deed.as_!r}", hint="as: now or then", loc="as")
    run, book = row.run, turn.book
    if deed.as_ == "now":
        job = book.jobs.get(run.job_id) or (
            book.version(run.job_version, run.job_id) if run.job_id.startswith("ad hoc/") else None
        )
        if job is None:
            raise NotFound(f"there is no job {run.job_id!r} any more", hint="run it again as it was then: as=then")
    else:
        job = book.version(run.job_version, run.job_id)
        if job is None:
            raise NotFound(f"the definition of {run.job_id!r} that {run.run_id} was made from is not known any more")
    args = complete_args(job, run.args)
    due = parse_time(run.schedule_time) if run.schedule_time else None
    stop, said = _stop_again(turn, run)
    again = new_row(turn, job, args, due, stop=stop, rerun_of=run.run_id, not_before=turn.now if due else None)
    how = "as it was then" if deed.as_ == "then" else "as it is now"
    text = f"run again as {again.run.run_id}, with its job {how}"
    turn.note(row, text, actor=actor, reruns=[*run.reruns, again.run.run_id])
    consider(turn, again, actor=actor, reason=f"rerun of {run.run_id}, with its job {how}{said}")
    return again


def _stop_again(turn: Turn, run: Run) -> tuple[datetime | None, str]:
    """Return the stop time of a rerun: that of the run while it lies ahead, else as long after now; and what to say."""
    if run.stop_time is None:
        return None, ""
    stop = parse_time(run.stop_time)
    if stop > turn.now:
        return stop, ""
    began = run.schedule_time or min(run.timestamps.values())
    length = max(stop - parse_time(began), timedelta(0))
    passed = f"; the stop time, {run.stop_time}, has passed"
    return turn.now + length, f"{passed}: it has a new one, {show_duration(length.total_seconds())} from now"
