"""Lateness: where the time went between when a run was due and when its program began."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from apsis.explaining.answers import Because
from apsis.runs.run import LogEntry, Run
from apsis.times import parse_time

#: seconds that nobody asks about
AT_ONCE: Final = 1.0
#: reasons of waiting that are told
_TOLD: Final = 10


def why_late(run: Run, log: Sequence[LogEntry]) -> list[Because]:
    """Return where a run that began later than it was due has spent the time; empty where it was in time."""
    # one that was asked for is due at once
    due = run.not_before or run.schedule_time or min(run.timestamps.values(), default=None)
    begin = run.timestamps.get("running")
    if due is None or begin is None or run.late_by is None or run.late_by < AT_ONCE:
        return []
    found = []
    starting = run.timestamps.get("starting")
    waiting = run.timestamps.get("waiting")
    made = min(run.timestamps.values())
    first = waiting or starting or begin
    if _between(due, made) >= AT_ONCE:
        text = f"it was made only {_seconds(due, made)} after it was due, {made}: {_how_made(log)}"
        found.append(Because(kind="made_late", text=text, at=made))
        due = made
    if _between(due, first) >= AT_ONCE:
        text = f"the scheduler took it up {_seconds(due, first)} later, {first}: it was busy, stopped or held up"
        found.append(Because(kind="scheduler", text=text, at=first))
    if waiting and starting and _between(waiting, starting) >= AT_ONCE:
        reasons = [Because(kind="reason", text=f"{entry.at}  {entry.reason}", at=entry.at) for entry in _waits(log)]
        text = f"it waited for {_seconds(waiting, starting)}, until {starting}"
        found.append(Because(kind="waited", text=text, at=waiting, because=reasons[:_TOLD]))
    if starting and _between(starting, begin) >= AT_ONCE:
        host = f" on host {run.host}" if run.host else ""
        text = f"its program began {_seconds(starting, begin)} after that was ordered{host}"
        found.append(Because(kind="host", text=text, at=begin))
    return [Because(kind="late", text=f"it began {run.late_by:.1f} s after it was due", because=found)]


def _waits(log: Sequence[LogEntry]) -> list[LogEntry]:
    """Return what it waited for, in order, each reason once."""
    found: dict[str, LogEntry] = {}
    for entry in log:
        if entry.event in {"waiting", "note"} and entry.reason:
            found.setdefault(entry.reason, entry)
    return list(found.values())


def _how_made(log: Sequence[LogEntry]) -> str:
    reason = next((entry.reason for entry in log if entry.reason), "")
    return reason or "the scheduler was away, or asked late"


def _between(start: str, end: str) -> float:
    return (_time(end) - _time(start)).total_seconds()


def _seconds(start: str, end: str) -> str:
    return f"{_between(start, end):.1f} s"


def _time(text: str) -> datetime:
    return parse_time(text)
