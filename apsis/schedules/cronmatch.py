"""Cron expressions: which dates and times of day match. cronsim reads them; the `W` that it does not know is ours."""

import calendar
import re
from bisect import bisect_left
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from cronsim import CronSim, CronSimError

_NEAREST: Final = re.compile(r"(\d{1,2})W", re.IGNORECASE)
_DAY: Final = timedelta(days=1)
#: months without a match after which there is none to come: a 29 February on one weekday is 40 years from the next
_SEARCH_MONTHS: Final = 41 * 12
_LAST_YEAR: Final = 9800
#: cronsim wants a moment to start from, which is of no account for what matches
_ANY: Final = datetime(2000, 1, 1)


class CronSyntax(ValueError):
    """An expression that cannot be understood, or that can never match."""


class Expression:
    """A cron expression of five or six fields (seconds first), read once."""

    def __init__(self, text: str) -> None:
        fields = text.split()
        terms = fields[-3].split(",") if len(fields) >= 3 else []
        near = [term for term in terms if _NEAREST.fullmatch(term)]
        fields[-3:-2] = [",".join(term[:-1] if term in near else term for term in terms)] if terms else []
        self._sim = _simulation(" ".join(fields))
        plain = [term for term in terms if term not in near]
        #: days of the month that are meant as they stand
        self._days: set[Any] = set()
        for term in plain:
            self._days |= _simulation(" ".join([*fields[:-3], term, *fields[-2:]])).days
        self._nearest = frozenset(int(term[:-1]) for term in near)
        self._hours = sorted(self._sim.hours)
        self._minutes = sorted(self._sim.minutes)
        self._seconds = sorted(self._sim.seconds)
        self._months: dict[tuple[int, int], tuple[int, ...]] = {}
        #: it names times of day, to which a change of the clock does something; with `*` it names instants
        self.fixed = not any(field.startswith("*") for field in text.split()[-5:-3])

    def next_date(self, day: date) -> date | None:
        """Return the first matching date from a date on; None: there is none."""
        year, month, first = day.year, day.month, day.day
        for _ in range(_SEARCH_MONTHS):
            if year > _LAST_YEAR:
                return None
            days = self._days_of(year, month)
            index = bisect_left(days, first)
            if index < len(days):
                return date(year, month, days[index])
            year, month, first = (year, month + 1, 1) if month < 12 else (year + 1, 1, 1)
        return None

    def daytimes(self, start: time) -> Iterator[time]:
        """Yield the matching times of a matching date, in order, from one on."""
        for hour in self._hours:
            if hour < start.hour:
                continue
            for minute in self._minutes:
                if hour == start.hour and minute < start.minute:
                    continue
                for second in self._seconds:
                    if second >= start.second or (hour, minute) != (start.hour, start.minute):
                        yield time(hour, minute, second)

    def _days_of(self, year: int, month: int) -> tuple[int, ...]:
        if month not in self._sim.months:
            return ()
        known = self._months.get((year, month))
        if known is None:
            if len(self._months) > _SEARCH_MONTHS:
                self._months.clear()
            length = calendar.monthrange(year, month)[1]
            known = tuple(day for day in range(1, length + 1) if self._matches(date(year, month, day), length))
            self._months[year, month] = known
        return known

    def _matches(self, day: date, length: int) -> bool:
        on_day = (
            day.day in self._days
            or (CronSim.LAST in self._days and day.day == length)
            or (CronSim.LAST_WEEKDAY in self._days and day == _working_day(day, length))
            or any(day == _working_day(day, each) for each in self._nearest if each <= length)
        )
        # as in Debian's cron: a field with a star narrows the other one, two without one widen each other
        if self._sim.day_and:
            return on_day and bool(self._sim.match_dow(day))
        return on_day or bool(self._sim.match_dow(day))


def _simulation(text: str) -> Any:
    try:
        return CronSim(text, _ANY)
    except CronSimError as error:
        raise CronSyntax(f"{str(error)[:1].lower()}{str(error)[1:]}") from None


def _working_day(month: date, day: int) -> date:
    """Return the day from Monday to Friday that is nearest to a day of a month, without leaving the month."""
    wanted = month.replace(day=day)
    shift = {5: -_DAY, 6: _DAY}.get(wanted.weekday())
    if shift is None:
        return wanted
    moved = wanted + shift
    return moved if moved.month == wanted.month else wanted - 2 * shift
