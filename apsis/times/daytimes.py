"""Daytimes: times of day without a date or a zone."""

import re
from datetime import time, timedelta
from typing import Any, Final

from apsis.definitions.fields import FormError, shown

_FORM: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6})\d*)?)?")
_DAY: Final = 86400


class Sexagesimal(int):
    """A whole number that a YAML 1.1 file has as `10:30` or `10:30:00`; `text` is what stands there.

    It is equal to the plain number, so that whoever expects a number does not notice.
    """

    text: str

    def __new__(cls, value: int, text: str) -> "Sexagesimal":
        """Make the number, and remember how it was written."""
        made = super().__new__(cls, value)
        made.text = text
        return made


def parse_daytime(value: Any) -> time:
    """Return a time of day from `10:30:00`, `10:30` (a text), or seconds since midnight (a number).

    Raises:
        FormError: it is none; or it is an unquoted `10:30` in a YAML file, which YAML reads as 630.
    """
    if isinstance(value, Sexagesimal) and value.text.count(":") == 1:
        raise FormError(
            f"YAML reads {value.text} without quotes as the number {int(value)}, that is {show_daytime(_at(value))};"
            f' write "{value.text}" (in quotes) or {value.text}:00'
        )
    if isinstance(value, str):
        return _read(value.strip())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if 0 <= value < _DAY:
            return _at(value)
        raise FormError(f"{value!r} seconds since midnight is not within a day; write e.g. 10:30:00")
    raise FormError(f"expected a time of day like 10:30:00, got {shown(value)}")


def _read(text: str) -> time:
    found = _FORM.fullmatch(text)
    if found is None:
        raise FormError(f"{text!r} is no time of day; write e.g. 10:30:00")
    hour, minute, second, fraction = found.groups()
    try:
        return time(int(hour), int(minute), int(second or 0), int((fraction or "0").ljust(6, "0")))
    except ValueError:
        raise FormError(f"{text!r} is no time of day; hours are 0-23, minutes and seconds 0-59") from None


def _at(seconds: float) -> time:
    micros = min(round(seconds * 1_000_000), _DAY * 1_000_000 - 1)
    midnight = timedelta(microseconds=micros)
    minute, second = divmod(midnight.seconds, 60)
    return time(minute // 60, minute % 60, second, midnight.microseconds)


def seconds_of(daytime: time) -> float:
    """Return the seconds since midnight."""
    return daytime.hour * 3600 + daytime.minute * 60 + daytime.second + daytime.microsecond / 1e6


def show_daytime(daytime: time) -> str:
    """Return a time of day as args have it: `10:30:00`, and `10:30:00.5` where there is a fraction."""
    text = f"{daytime:%H:%M:%S}"
    return f"{text}.{daytime.microsecond:06d}".rstrip("0") if daytime.microsecond else text
