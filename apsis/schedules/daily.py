"""Schedules at times of day in a zone, on the dates of a calendar, with shifts between the two."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from apsis.calendars.calendar import ALL, Calendar, CalendarError
from apsis.calendars.finder import Calendars
from apsis.definitions.fields import Fields, FormError
from apsis.definitions.forms import integer, one_or_list
from apsis.schedules.schedule import Schedule, Terms, show_time
from apsis.times.daytimes import parse_daytime, show_daytime
from apsis.times.durations import parse_duration, show_duration
from apsis.times.local import instants
from apsis.times.zones import find_zone

_DAY = timedelta(days=1)
#: nominal dates are within these, so that no shift leads out of what a date can be
_FIRST = date(1800, 1, 1)
_LAST = date(9750, 1, 1)


@dataclass(frozen=True, kw_only=True)
class DailySchedule(Schedule):
    """Due at each of `daytimes` on each nominal date.

    The due time comes from the nominal date by shifts, in this order: dates of the calendar, days, the
    conversion from local time, seconds.
    """

    type: ClassVar[str] = "daily"

    zone: ZoneInfo
    daytimes: tuple[time, ...]
    calendar: Calendar = ALL
    date_shift: int = 0
    cal_shift: int = 0
    time_shift: float = 0.0

    @classmethod
    def read(
        cls, fields: Fields, terms: Terms, definition: dict[str, Any], seed: str, calendars: Calendars
    ) -> "DailySchedule":
        """Take the keys of a `daily`."""
        daytimes = fields.required("daytime", one_or_list(parse_daytime))
        if daytimes is not None and not daytimes:
            fields.refuse("daytime", "the list is empty; give at least one time of day")
        return cls(
            terms=terms,
            definition=definition,
            seed=seed,
            zone=fields.required("tz", find_zone),
            daytimes=tuple(sorted(set(daytimes or ()))),
            calendar=fields.optional("calendar", calendars.parse, ALL),
            date_shift=fields.optional("date_shift", _days, 0),
            cal_shift=fields.optional("cal_shift", _days, 0),
            time_shift=fields.optional("time_shift", _signed_duration, 0.0),
        )

    @property
    def text(self) -> str:
        """What a person reads."""
        parts = [", ".join(show_daytime(each) for each in self.daytimes), self.zone.key]
        if self.calendar is not ALL:
            parts.append(f"on {self.calendar}")
        if self.cal_shift:
            parts.append(f"{self.cal_shift:+d} calendar days")
        if self.date_shift:
            parts.append(f"{self.date_shift:+d} days")
        if self.time_shift:
            parts.append(f"{'-' if self.time_shift < 0 else '+'}{show_duration(abs(self.time_shift))}")
        return " ".join(parts)

    def nominal(self, after: datetime) -> Iterator[tuple[datetime, dict[str, str]]]:
        """Yield the due times of each nominal date from a little before an instant on."""
        day = self.next_allowed(self._first_nominal(after), self.calendar)
        while day is not None and day < _LAST:
            try:
                shifted = self.calendar.shift(day, self.cal_shift) + timedelta(days=self.date_shift)
            except CalendarError:
                # Before the calendar's first dates a shift leads out of it, and later dates have one; at its
                # end there is none for any date to come.
                if self.cal_shift > 0:
                    return
            else:
                yield from self._on(day, shifted)
            day = self.next_allowed(day + _DAY, self.calendar)

    def _on(self, day: date, shifted: date) -> Iterator[tuple[datetime, dict[str, str]]]:
        shift = timedelta(seconds=self.time_shift)
        due = [
            (instant + shift, daytime)
            for daytime in self.daytimes
            for instant in instants(shifted, daytime, self.zone, self.terms.dst)
        ]
        for instant, daytime in sorted(due):
            # the time as it would be without any shift is what `time` names; there is one even in a gap
            unshifted = instants(day, daytime, self.zone, "once")[0]
            yield (
                instant,
                {
                    "date": str(day),
                    "time": show_time(instant - shift if shifted == day else unshifted),
                    "daytime": show_daytime(daytime),
                    "calendar": str(self.calendar),
                    "tz": self.zone.key,
                },
            )

    def _first_nominal(self, after: datetime) -> date:
        """Return a nominal date that is surely not after the one of the first due time after an instant."""
        start = max(after, datetime(1900, 1, 1, tzinfo=UTC)) - timedelta(seconds=self.time_shift)
        # two days of margin: a zone may be put forward by a whole day
        day = max(start.astimezone(self.zone).date() - timedelta(days=self.date_shift + 2), _FIRST)
        # a shift to earlier dates needs no such step: what is due after the start has a later nominal date
        for _ in range(max(self.cal_shift, 0)):
            day = self.calendar.last_to(day - _DAY) or day
        return max(day, _FIRST)


def _days(value: Any) -> int:
    found = integer(value)
    if abs(found) > 3660:
        raise FormError(f"expected at most 3660 days, got {found}")
    return found


def _signed_duration(value: Any) -> float:
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and text[:1] in ("-", "+"):
        return parse_duration(text[1:]) * (-1 if text[0] == "-" else 1)
    if isinstance(text, (int, float)) and not isinstance(text, bool) and text < 0:
        return -parse_duration(-text)
    return parse_duration(text)
