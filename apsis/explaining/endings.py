"""Endings: what ended a run, from how its program ended and from who did what to it."""

import signal
from collections.abc import Sequence
from typing import Final

from apsis.explaining.answers import Because
from apsis.runs.run import LogEntry, Run
from apsis.runs.states import FINISHED, State

_FINISHED: Final = frozenset(state.value for state in FINISHED)
#: actors that are no person
_MACHINES: Final = ("scheduler", "supervisor/", "action:")


def sentence(run: Run) -> str:
    """Return in one sentence how a run ended."""
    at = run.timestamps.get(run.state.value, "")
    when = f" at {at}" if at else ""
    if run.state is State.SUCCESS:
        return f"it succeeded{when}{f' ({run.reason})' if run.reason else ''}"
    words = {State.FAILURE: "it failed", State.ERROR: "it could not be carried out", State.SKIPPED: "it was skipped"}
    return f"{words[run.state]}{when}: {run.reason or 'no reason is on record'}"


def how_it_ended(run: Run, log: Sequence[LogEntry]) -> list[Because]:
    """Return what ended a run, the nearest cause first."""
    found = [*_of_program(run), *_of_people(run, log)]
    if run.state is State.ERROR and run.exit is None:
        found.append(Because(kind=_kind_of(run.reason), text=run.reason))
    if run.state is State.SKIPPED and not found:
        found.append(Because(kind="skipped", text=run.reason))
    if run.retry_of:
        found.append(Because(kind="retry", text=f"it was retry {run.attempt} of {run.retry_of}", run_id=run.retry_of))
    found += [Because(kind="rerun", text=f"it was run again as {again}", run_id=again) for again in run.reruns]
    return found


def _of_program(run: Run) -> list[Because]:
    end = run.exit
    if end is None:
        return []
    if end.error:
        return [Because(kind="exit", text=f"its program: {end.error}", hint=_hint_of(run))]
    if end.code is not None:
        text = f"its program ended with exit status {end.code}"
    elif end.signal is not None:
        text = f"its program was ended by signal {end.signal} ({_name(end.signal)})"
    else:
        return []
    hint = _hint_of(run) if run.state is State.FAILURE else ""
    found = [Because(kind="exit" if end.code is not None else "signal", text=text, hint=hint)]
    if end.killed_by:
        timeout = "timeout" in end.killed_by
        found.append(Because(kind="timeout" if timeout else "killed_by", text=f"that was done by: {end.killed_by}"))
    return found


def _of_people(run: Run, log: Sequence[LogEntry]) -> list[Because]:
    """Return who asked for the end, as the log has it."""
    found = []
    for entry in log:
        stop_schedule = "stop schedule" in entry.reason
        person = not entry.actor.startswith(_MACHINES)
        ends = entry.event in {"stopping", "mark"} or entry.event in _FINISHED or "signal" in entry.reason
        if not ends or not (person or stop_schedule) or not entry.reason:
            continue
        text = f"{entry.reason} (by {entry.actor} at {entry.at})" if person else f"{entry.reason} at {entry.at}"
        kind = "stop_schedule" if stop_schedule else "mark" if entry.event == "mark" else "person"
        found.append(Because(kind=kind, text=text, at=entry.at))
    return found


def _kind_of(reason: str) -> str:
    """Return what kind of reason it is that a run ended in error before its program began."""
    if "cannot come true" in reason:
        return "condition"
    if reason.startswith("waited longer than"):
        return "max_time"
    if reason.startswith("abandoned by"):
        return "abandoned"
    return "bind"


def _hint_of(run: Run) -> str:
    return f"see what it printed: apsis output {run.run_id}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "no name"
