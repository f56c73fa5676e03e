"""Nominal dates of schedules, and where shifts lead from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from apsis.calendars.calendar import Calendar, CalendarError
from apsis.schedules.schedule import BEGIN, Schedule

_DAY: Final = timedelta(days=1)
#: nominal dates are within these, so that no shift leads out of what a date can be
_FIRST: Final = date(1850, 1, 1)
_LAST: Final = date(9750, 1, 1)
#: a day, and the day that a zone may be put forward by
_MARGIN: Final = 2


def first_nominal(zone: ZoneInfo, after: datetime, shift: "Shift") -> date:
    """Return a nominal date that is surely not after the one of the first due time after an instant."""
    calendar, cal_shift = shift.calendar, shift.cal_shift
    start = max(after, BEGIN).astimezone(zone).date()
    day = max(start - timedelta(days=shift.date_shift + _MARGIN), _FIRST)
    if cal_shift < 0:
        day = calendar.next_from(day) or day
    for _ in range(abs(cal_shift)):
        step = calendar.last_to(day - _DAY) if cal_shift > 0 else calendar.next_from(day + _DAY)
        if step is None:
            break
        day = step
    return max(day, _FIRST)


@dataclass(slots=True)
class Shift:
    """By how many dates of a calendar, and then by how many days, a date lies after its nominal date."""

    calendar: Calendar
    date_shift: int = 0
    cal_shift: int = 0
    #: the nominal date that was asked for last, and where it was moved to within the calendar
    _last: tuple[date, date] | None = None

    def of(self, day: date) -> date:
        """Return where a nominal date leads; raises CalendarError where that is out of the calendar.

        Of a date that follows the last one in the calendar it is one date on: it need not be counted again.
        """
        moved = day
        if self.cal_shift:
            if self._last is not None and self.calendar.next_from(self._last[0] + _DAY) == day:
                moved = self.calendar.after(self._last[1] + _DAY)
            else:
                moved = self.calendar.shift(day, self.cal_shift)
            self._last = day, moved
        return moved + timedelta(days=self.date_shift)


def shifted_dates(schedule: Schedule, start: date, *shifts: Shift) -> Iterator[tuple[date, list[date]]]:
    """Yield the nominal dates of a schedule from a date on, each with those that the shifts lead to; all in order.

    Ends where the calendar does, and with the last nominal date that the terms allow.
    """
    calendar = shifts[0].calendar
    day = schedule.next_allowed(start, calendar)
    while day is not None and day < _LAST:
        try:
            yield day, [shift.of(day) for shift in shifts]
        except CalendarError:
            # Before the calendar's first dates a shift leads out of it, and later dates have one; at its
            # end there is none for any date to come.
            if any(shift.cal_shift > 0 for shift in shifts):
                return
        day = schedule.next_allowed(day + _DAY, calendar)
