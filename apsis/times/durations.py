"""Durations: seconds as a number, or texts like `10 min`, `1.5h`, `1h30m`."""

import math
import re
from typing import Any, Final

from apsis.definitions.fields import FormError, shown

_UNITS: Final = {
    "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400,
}  # fmt: skip
_PART: Final = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]+)")
_PLAIN: Final = re.compile(r"\d+(?:\.\d*)?|\.\d+")
#: a thousand years; more is a slip, and would overflow dates
_LONGEST: Final = 1000 * 366 * 86400.0
_FORMS: Final = "write seconds as a number, or e.g. 90s, 10 min, 1h30m, 1 day"


def parse_duration(value: Any) -> float:
    """Return a duration in seconds; never negative.

    Raises:
        FormError: it is none, is negative, or is longer than a thousand years.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise FormError(f"expected a duration, got {shown(value)}; {_FORMS}")
    seconds = _read(value.strip()) if isinstance(value, str) else float(value)
    if seconds is None or not math.isfinite(seconds):
        raise FormError(f"{value!r} is no duration; {_FORMS}")
    if seconds < 0:
        raise FormError(f"{value!r} is negative; a duration is not")
    if seconds > _LONGEST:
        raise FormError(f"{value!r} is longer than a thousand years")
    return seconds


def _read(text: str) -> float | None:
    if _PLAIN.fullmatch(text.removeprefix("-")):
        return float(text)
    total, end, last = 0.0, 0, math.inf
    while end < len(text):
        part = _PART.match(text, end)
        unit = _UNITS.get(part[2].lower()) if part else None
        # units must fall, so that 1m30h is a slip and not thirty hours
        if part is None or unit is None or unit >= last:
            return None
        total += float(part[1]) * unit
        last, end = unit, part.end()
    return total if end and not text[end:].strip() else None


def show_duration(seconds: float) -> str:
    """Return a duration as a person writes it: `1h30m`, `10s`, `0.5s`."""
    if seconds == 0:
        return "0s"
    rest, text = seconds, ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        count, rest = divmod(rest, size)
        text += f"{int(count)}{unit}" if count else ""
    return text + (f"{rest:.6f}".rstrip("0").rstrip(".") + "s" if rest or not text else "")
