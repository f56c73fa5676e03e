"""Clocks: times of day that a change of the clock in the next year jumps over, or lets occur twice."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from apsis.calendars.calendar import ALL
from apsis.checking.facts import entry_path
from apsis.checking.windows import Windows, start_of
from apsis.definitions.finding import WARNING, Findings
from apsis.errors import ApsisError
from apsis.jobs.job import Job
from apsis.schedules.schedule import Schedule
from apsis.times.daytimes import parse_daytime, show_daytime
from apsis.times.local import Fold, Gap, reading

_YEAR: Final = timedelta(days=366)
_DAY: Final = timedelta(days=1)
#: how far from a change of the clock a time that it moves can lie; Lord Howe has half an hour, nobody more than a day
_AROUND: Final = timedelta(hours=26)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the clock in a zone."""

    instant: datetime
    #: by how much the clock is put forward; negative: back
    step: timedelta


def check_clocks(job: Job, findings: Findings, windows: Windows, now: datetime) -> None:
    """Note each schedule that a change of the clock will surprise, where the job does not say what it wants."""
    for index, schedule in enumerate(job.schedules):
        if not schedule.enabled or "dst" in start_of(schedule):
            continue
        try:
            surprises = list(surprises_of(schedule, windows, now))
        except (ApsisError, ValueError, ArithmeticError):
            # times that cannot be computed are told of the first run
            continue
        for sentence in surprises:
            findings.add(entry_path(job, "schedule", index), f"schedule: {sentence}", code="dst", severity=WARNING)


def surprises_of(schedule: Schedule, windows: Windows, now: datetime) -> Iterator[str]:
    """Yield a sentence for each change of the clock in a year from now that moves or doubles a time of day."""
    zone = getattr(schedule, "zone", None)
    if not isinstance(zone, tzinfo) or not _names_daytimes(schedule):
        return
    shift = timedelta(seconds=getattr(schedule, "time_shift", 0.0)) + schedule.shift
    daytimes = getattr(schedule, "daytimes", None)
    edges = [edge for key in ("start", "stop") if (edge := getattr(schedule, key, None)) is not None]
    for change in changes_of(str(zone), now.replace(hour=0, minute=0, second=0, microsecond=0)):
        if edges:
            yield from _edges(schedule, edges, zone, change)
            continue
        if daytimes is not None and not any(_touches(daytime, change, zone) for daytime in daytimes):
            continue
        yield from _around(schedule, zone, change, shift, windows)


def _around(
    schedule: Schedule, zone: tzinfo, change: Change, shift: timedelta, windows: Windows
) -> Iterator[str]:  # fmt: skip
    wall = (change.instant - timedelta(seconds=1)).astimezone(zone)
    for occurrence in windows.occurrences(schedule, change.instant - _AROUND + shift, change.instant + _AROUND + shift):
        offered = occurrence.offered.get("daytime")
        local = (occurrence.time - shift).astimezone(zone)
        if offered is None or abs(local.replace(tzinfo=None) - wall.replace(tzinfo=None)) > _DAY:
            continue
        daytime = parse_daytime(offered)
        found = reading(local.date(), daytime, zone)
        place = f"in {zone} on {local.date()}"
        if isinstance(found, Gap) and found.after == occurrence.time - shift:
            yield (
                f"{place} there is no {show_daytime(daytime)}: it runs at {local:%H:%M:%S}, the first moment"
                " after the clock is put forward (`dst: once` says that this is meant, `dst: skip` leaves it out)"
            )
        elif isinstance(found, Fold) and found.first == occurrence.time - shift and schedule.terms.dst != "twice":
            yield (
                f"{place} there is {show_daytime(daytime)} twice: it runs the first time only"
                " (`dst: once` says that this is meant, `dst: twice` runs it both times)"
            )


def _edges(schedule: Schedule, edges: list[Any], zone: tzinfo, change: Change) -> Iterator[str]:
    """Yield a sentence for each end of a part of the day that a change of the clock moves, or lets occur twice."""
    day = (change.instant - timedelta(seconds=1)).astimezone(zone).date()
    calendar = getattr(schedule, "calendar", ALL)
    for word, edge in zip(("begin", "end"), edges, strict=False):
        nominal = day - timedelta(days=edge.date_shift)
        if not _touches(edge.daytime, change, zone) or not (edge.cal_shift or calendar.contains_or_ends(nominal)):
            continue
        if change.step > timedelta(0):
            what = f"no {show_daytime(edge.daytime)}: its times {word} when the clock is put forward"
        else:
            what = f"{show_daytime(edge.daytime)} twice: its times {word} at the first"
        yield f"in {zone} on {day} there is {what} (`dst: once` says that this is meant)"


def _names_daytimes(schedule: Schedule) -> bool:
    """Return whether it names times of day; `*` in a cron expression names each moment at which the clock matches."""
    expression = getattr(schedule, "cron", None)
    if not isinstance(expression, str):
        return schedule.type in ("daily", "daily-interval")
    fields = expression.split()
    return len(fields) >= 5 and not any(field.startswith("*") for field in fields[-5:-3])


def _touches(daytime: time, change: Change, zone: tzinfo) -> bool:
    """Return whether a time of day lies within what a change of the clock leaves out or repeats."""
    before = (change.instant - timedelta(microseconds=1)).astimezone(zone)
    start = before.replace(tzinfo=None) + timedelta(microseconds=1) + min(change.step, timedelta(0))
    for day in (start.date(), start.date() + _DAY):
        if start <= datetime.combine(day, daytime) < start + abs(change.step):
            return True
    return False


@functools.cache
def changes_of(zone_name: str, start: datetime) -> tuple[Change, ...]:
    """Return the changes of the clock in a zone within a year from an instant."""
    zone = ZoneInfo(zone_name)
    found = []
    day, offset = start, start.astimezone(zone).utcoffset() or timedelta()
    while day < start + _YEAR:
        day += _DAY
        later = day.astimezone(zone).utcoffset() or timedelta()
        if later != offset:
            found.append(Change(_moment(day - _DAY, day, zone), later - offset))
            offset = later
    return tuple(found)


def _moment(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Return the first instant with the later offset, to the second."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle == before:
            break
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == offset else (before, middle)
    return after.astimezone(UTC)
