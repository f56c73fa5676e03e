"""Calendars whose dates are known one by one."""

import bisect
from dataclasses import dataclass, field
from datetime import date

from apsis.calendars.calendar import Calendar


@dataclass(frozen=True)
class ListedDays(Calendar):
    """Has the dates of a list, which is in order."""

    name: str
    days: tuple[date, ...]
    start: date | None
    stop: date | None
    digest: str = ""
    notes: dict[date, str] = field(default_factory=dict, compare=False)

    def has(self, day: date) -> bool:
        """Return whether a date is listed."""
        index = bisect.bisect_left(self.days, day)
        return index < len(self.days) and self.days[index] == day

    def next_from(self, day: date) -> date | None:
        """Return the first listed date from `day` on."""
        index = bisect.bisect_left(self.days, day)
        return self.days[index] if index < len(self.days) else None

    def last_to(self, day: date) -> date | None:
        """Return the last listed date up to `day`."""
        index = bisect.bisect_right(self.days, day)
        return self.days[index - 1] if index else None
