"""What all calendars have in common: a calendar is a set of dates, within a range of dates for which it speaks."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from apsis.errors import ApsisError

_DAY: Final = timedelta(days=1)
#: days without a date after which a calendar counts as empty from there on
_SEARCH: Final = 366 * 10


class CalendarError(ApsisError):
    """A calendar does not exist, cannot be read, or does not speak for a date."""

    code = "calendar"


class Calendar(ABC):
    """A set of dates. `start` is the first date that it speaks for, `stop` the first that it no longer does."""

    name: str
    start: date | None = None
    stop: date | None = None
    #: content hash of the files behind it; empty where it is computed
    digest: str = ""

    def __str__(self) -> str:
        return self.name

    def __contains__(self, day: date) -> bool:
        return self.contains(day)

    @abstractmethod
    def has(self, day: date) -> bool:
        """Return whether a date within the range is in it."""

    def in_range(self, day: date) -> bool:
        """Return whether it speaks for a date."""
        return (self.start is None or day >= self.start) and (self.stop is None or day < self.stop)

    def contains(self, day: date) -> bool:
        """Return whether a date is in it; raises CalendarError where it does not speak for the date."""
        if not self.in_range(day):
            raise CalendarError(
                f"calendar {self.name!r} does not speak for {day}",
                hint=f"it goes from {self.start or 'ever'} to before {self.stop or 'ever'}",
            )
        return self.has(day)

    def contains_or_ends(self, day: date) -> bool:
        """Return whether a date is in it; False where it does not speak for the date."""
        return self.in_range(day) and self.has(day)

    def next_from(self, day: date) -> date | None:
        """Return the first date from `day` on (inclusive), or None if there is none within ten years."""
        if self.start is not None and day < self.start:
            day = self.start
        for _ in range(_SEARCH):
            if not self.in_range(day):
                return None
            if self.has(day):
                return day
            if day >= date.max - _DAY:
                return None
            day += _DAY
        return None

    def last_to(self, day: date) -> date | None:
        """Return the last date up to `day` (inclusive), or None if there is none within ten years."""
        if self.stop is not None and day >= self.stop:
            day = self.stop - _DAY
        for _ in range(_SEARCH):
            if not self.in_range(day) or day <= date.min + _DAY:
                return None
            if self.has(day):
                return day
            day -= _DAY
        return None

    def after(self, day: date) -> date:
        """Return the first date from `day` on (inclusive); raises CalendarError if there is none."""
        found = self.next_from(day) if self.in_range(day) else None
        if found is None:
            raise CalendarError(f"calendar {self.name!r} has no date from {day} on")
        return found

    def before(self, day: date) -> date:
        """Return the last date up to `day` (inclusive); raises CalendarError if there is none."""
        found = self.last_to(day) if self.in_range(day) else None
        if found is None:
            raise CalendarError(f"calendar {self.name!r} has no date up to {day}")
        return found

    def shift(self, day: date, count: int) -> date:
        """Return the date that many of its dates later (earlier, if negative); with 0 the date itself."""
        for _ in range(abs(count)):
            day = self.after(day + _DAY) if count > 0 else self.before(day - _DAY)
        return day


@dataclass(frozen=True)
class EveryDay(Calendar):
    """Has each date."""

    name: str = "all days"

    def has(self, day: date) -> bool:
        """Say yes."""
        return True


@dataclass(frozen=True)
class NoDay(Calendar):
    """Has no date."""

    name: str = "no days"

    def has(self, day: date) -> bool:
        """Say no."""
        return False

    def next_from(self, day: date) -> date | None:
        """Return None without a search of ten years."""
        return None

    def last_to(self, day: date) -> date | None:
        """Return None without a search of ten years."""
        return None


ALL: Final = EveryDay()
NONE: Final = NoDay()
