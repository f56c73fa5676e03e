"""Calendars made of others: `workdays:US - acme-closed + 2026-12-24`, taken from left to right."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from apsis.calendars.calendar import Calendar

_SPLIT = re.compile(r"\s+([+-])\s+")


@dataclass(frozen=True)
class OneDay(Calendar):
    """Has one date; the form that a date has in an expression."""

    name: str
    day: date

    def has(self, day: date) -> bool:
        """Return whether it is the date."""
        return day == self.day


@dataclass(frozen=True)
class Combined(Calendar):
    """Has the dates of the first calendar, with those of each further one put in or taken out, in turn.

    It speaks only for the dates for which all of them do: the list of closed days that has run out must not
    turn closed days into open ones.
    """

    name: str
    first: Calendar
    rest: tuple[tuple[bool, Calendar], ...]
    start: date | None = None
    stop: date | None = None
    digest: str = ""

    def has(self, day: date) -> bool:
        """Return whether a date remains in it."""
        found = self.first.has(day)
        for added, calendar in self.rest:
            if calendar.has(day):
                found = added
        return found


def parse_expression(text: str, find: Callable[[str], Calendar]) -> Calendar | None:
    """Return the calendar of an expression whose terms `find` knows, or None if the text is none."""
    parts = _SPLIT.split(text.strip())
    if len(parts) == 1:
        return None
    terms = [_term(part, find) for part in parts[::2]]
    starts = [term.start for term in terms if term.start is not None]
    stops = [term.stop for term in terms if term.stop is not None]
    digests = [term.digest for term in terms if term.digest]
    return Combined(
        name=text.strip(),
        first=terms[0],
        rest=tuple(zip((sign == "+" for sign in parts[1::2]), terms[1:], strict=True)),
        start=max(starts, default=None),
        stop=min(stops, default=None),
        digest=hashlib.sha256("".join(digests).encode()).hexdigest() if digests else "",
    )


def _term(text: str, find: Callable[[str], Calendar]) -> Calendar:
    try:
        return OneDay(text, date.fromisoformat(text))
    except ValueError:
        return find(text)
