"""Days: what a schedule does on a date, and if nothing, what leaves the date out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from apsis.calendars.calendar import Calendar
from apsis.explaining.answers import Because
from apsis.schedules.schedule import Schedule
from apsis.times.local import Fold, Gap, Once, reading

_DAY = timedelta(days=1)
#: due times of one schedule that are looked at for one day; an `interval` may have many
MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Day:
    """A date in a zone, as the instants between which it lies."""

    date: date
    start: datetime
    #: the first instant that no longer belongs to it
    end: datetime


def day_of(day: date, zone: ZoneInfo) -> Day:
    """Return a date as a zone has it; it may have 23 or 25 hours."""
    return Day(day, _midnight(day, zone), _midnight(day + _DAY, zone))


def zone_of(schedule: Schedule) -> ZoneInfo:
    """Return the zone that a schedule names its times in; UTC where it names none."""
    found = getattr(schedule, "zone", None)
    return found if isinstance(found, ZoneInfo) else ZoneInfo("UTC")


def due_times(schedule: Schedule, day: Day) -> list[datetime]:
    """Return the due times of a schedule on a day, enabled or not."""
    return list(islice(_due(schedule, day), MOST))


def why_not_on(schedule: Schedule, day: date) -> list[Because]:
    """Return what leaves a date out; empty where nothing that is known does."""
    terms = schedule.terms
    found = []
    if not terms.enabled:
        found.append(Because(kind="disabled", text="the schedule is switched off: enabled: false"))
    if terms.start_date is not None and day < terms.start_date:
        found.append(Because(kind="start_date", text=f"the schedule begins on {terms.start_date}"))
    if terms.end_date is not None and day > terms.end_date:
        found.append(Because(kind="end_date", text=f"the schedule ended on {terms.end_date}"))
    if terms.excepted is not None and terms.excepted.contains_or_ends(day):
        named = f" ({note})" if (note := note_of(terms.excepted, day)) else ""
        found.append(Because(kind="except", text=f"{day} is excepted: it is in {terms.excepted.name!r}{named}"))
    calendar = getattr(schedule, "calendar", None)
    if isinstance(calendar, Calendar):
        found += _by_calendar(calendar, day)
    found += _by_clock(schedule, day)
    if found or not due_times(replace(schedule, terms=replace(terms, enabled=True)), day_of(day, zone_of(schedule))):
        shifts = [name for name in ("date_shift", "cal_shift", "time_shift") if getattr(schedule, name, 0)]
        if shifts:
            text = f"its {' and '.join(shifts)} move the due time to another day than the nominal date"
            found.append(Because(kind="shift", text=text))
    if not found:
        found.append(Because(kind="times", text=f"{schedule.text}: no due time falls on {day:%A} {day}"))
    return found


def note_of(calendar: Calendar, day: date) -> str:
    """Return what a calendar's file says of a date: `Independence Day`."""
    notes = getattr(calendar, "notes", {})
    return str(notes.get(day, "")) if isinstance(notes, dict) else ""


def _due(schedule: Schedule, day: Day) -> Iterator[datetime]:
    for occurrence in schedule.occurrences(day.start - timedelta(microseconds=1)):
        if occurrence.time >= day.end:
            return
        yield occurrence.time


def _by_calendar(calendar: Calendar, day: date) -> list[Because]:
    if not calendar.in_range(day):
        text = f"calendar {calendar.name!r} does not speak for {day}: it goes from {calendar.start or 'ever'}"
        text += f" to before {calendar.stop or 'ever'}"
        return [Because(kind="calendar_ended", text=text, hint="add dates to the calendar, and a later STOP")]
    if calendar.has(day):
        return []
    following = calendar.next_from(day)
    then = f"; its next date is {following}" if following else ""
    return [Because(kind="calendar", text=f"calendar {calendar.name!r} leaves out {day:%A} {day}{then}")]


def _by_clock(schedule: Schedule, day: date) -> list[Because]:
    """Return the times of day that the clock jumps over on a date, where the schedule then leaves them out."""
    if schedule.terms.dst != "skip":
        return []
    zone = zone_of(schedule)
    gaps = [each for each in getattr(schedule, "daytimes", ()) if isinstance(reading(day, each, zone), Gap)]
    if not gaps:
        return []
    times = ", ".join(str(each) for each in gaps)
    text = f"{times} does not exist on {day} in {zone.key}, as the clock is put forward; dst: skip"
    return [Because(kind="dst", text=text)]


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    match reading(day, time(), zone):
        case Gap(after=instant) | Once(time=instant) | Fold(first=instant):
            return instant
