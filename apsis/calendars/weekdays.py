"""Calendars of weekdays: `Mon`, `Mon-Fri`, `Mon,Wed`, `Mon-Wed,Sat`; in any case, full names too."""

from dataclasses import dataclass
from datetime import date

from apsis.calendars.calendar import Calendar

_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Weekdays(Calendar):
    """Has the dates on some days of the week; 0 is Monday."""

    name: str
    days: frozenset[int]

    def has(self, day: date) -> bool:
        """Return whether a date falls on one of the days."""
        return day.weekday() in self.days


def parse_weekdays(text: str) -> Weekdays | None:
    """Return the calendar of a weekday expression, or None if the text is none."""
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        start, end = _weekday(first), _weekday(last if dash else first)
        if start is None or end is None:
            return None
        # Fri-Mon goes over the end of the week
        days.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return Weekdays(_show(days), frozenset(days))


def _weekday(word: str) -> int | None:
    folded = word.casefold()
    return next((index for index, full in enumerate(_FULL) if folded in (full, full[:3])), None)


def _show(days: set[int]) -> str:
    """Return the shortest usual spelling: `Mon-Fri`, `Mon,Wed`."""
    parts: list[str] = []
    ordered = sorted(days)
    while ordered:
        run = [ordered.pop(0)]
        while ordered and ordered[0] == run[-1] + 1:
            run.append(ordered.pop(0))
        if len(run) > 2:
            parts.append(f"{_NAMES[run[0]]}-{_NAMES[run[-1]]}")
        else:
            parts.extend(_NAMES[day] for day in run)
    return ",".join(parts)
