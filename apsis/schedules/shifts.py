"""Shifts: by how much a due time lies before or after its nominal date, as a job file gives them."""

import re
from typing import Any, Final

from apsis.definitions.fields import FormError, shown
from apsis.definitions.forms import integer
from apsis.schedules.schedule import FARTHEST
from apsis.times.durations import parse_duration, show_duration

_DAY: Final = 86400.0
_NUMBER: Final = re.compile(r"[+-]?\d{1,9}", re.ASCII)
#: each is looked for, and in a calendar of holidays they are far apart
_MOST_DATES: Final = 1000


def day_shift(value: Any) -> int:
    """Return a number of days, negative for earlier."""
    found = _whole(value)
    if abs(found) > FARTHEST:
        raise FormError(f"expected at most {FARTHEST} days, got {found}")
    return found


def date_count(value: Any) -> int:
    """Return a number of dates of a calendar, negative for earlier ones."""
    found = _whole(value)
    if abs(found) > _MOST_DATES:
        raise FormError(f"expected at most {_MOST_DATES} dates of the calendar, got {found}")
    return found


def _whole(value: Any) -> int:
    """Return a whole number; in quotes it is one too."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return int(value)
    return integer(value)


def second_shift(value: Any) -> float:
    """Return a duration in seconds, with a sign if it is to be earlier: `-1h`."""
    text = value.strip() if isinstance(value, str) else value
    sign, given = 1, text
    if isinstance(text, str) and text[:1] in ("-", "+"):
        sign, given = (-1 if text[0] == "-" else 1), text[1:].strip()
        if given[:1] in ("-", "+"):
            raise FormError(f"{shown(value)} has two signs")
    elif isinstance(text, (int, float)) and not isinstance(text, bool) and text < 0:
        sign, given = -1, -text
    seconds = parse_duration(given)
    if seconds > FARTHEST * _DAY:
        raise FormError(f"expected at most {FARTHEST} days, got {shown(value)}")
    return sign * seconds


def show_shift(date_shift: int, cal_shift: int, seconds: float = 0.0) -> str:
    """Return shifts as a person reads them: `+1 calendar days -1 days -1h`; empty where there are none."""
    parts = []
    if cal_shift:
        parts.append(f"{cal_shift:+d} calendar days")
    if date_shift:
        parts.append(f"{date_shift:+d} days")
    if seconds:
        parts.append(f"{'-' if seconds < 0 else '+'}{show_duration(abs(seconds))}")
    return " ".join(parts)
