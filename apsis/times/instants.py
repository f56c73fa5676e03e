"""Instants: aware datetimes in UTC with microseconds, and the forms in which they are written."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from apsis.definitions.fields import FormError, shown

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: the white space that YAML allows before an offset, and an offset in hours alone
_SPACED_OFFSET: Final = re.compile(r"\s+(Z|[+-]\d{2}(?::?\d{2})?)$", re.IGNORECASE)


def to_micros(time: datetime) -> int:
    """Return microseconds since the epoch; exact, unlike `timestamp()`."""
    return (time - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the instant that many microseconds after the epoch."""
    return EPOCH + timedelta(microseconds=micros)


def format_time(time: datetime) -> str:
    """Return an instant as `2026-06-30T14:32:07.120000Z`: always six digits, so that text sorts as time does."""
    utc = time.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond:06d}Z"


def format_in(time: datetime, zone: tzinfo, digits: int = 0) -> str:
    """Return an instant as a zone shows it, with its offset: `2026-06-30T16:32:07.120+02:00`.

    `digits` (0 to 6) is the number of digits after the second; what is beyond them is cut off, never rounded up:
    what has not begun yet must not be shown as begun.
    """
    if not 0 <= digits <= 6:
        raise ValueError(f"a second has 0 to 6 digits after it, not {digits}")
    local = time.astimezone(zone)
    fraction = f".{local.microsecond:06d}"[: digits + 1] if digits else ""
    # %Y has no leading zeros on some systems
    second = local.replace(microsecond=0, tzinfo=None).isoformat()
    return f"{second}{fraction}{_offset(local.utcoffset() or timedelta())}"


def _offset(offset: timedelta) -> str:
    seconds = round(offset.total_seconds())
    minutes, second = divmod(abs(seconds), 60)
    text = f"{'-' if seconds < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
    return f"{text}:{second:02d}" if second else text


def parse_time(text: str) -> datetime:
    """Return the instant that an ISO 8601 text with an offset or `Z` names.

    Raises:
        ValueError: it is no such text, or has no offset.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no offset; write e.g. {text}Z or {text}+00:00")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is out of range") from None


def read_time(value: Any) -> datetime:
    """Return the instant that a definition gives; the form for a field.

    Raises:
        FormError: it is none, or has no offset.
    """
    if not isinstance(value, str):
        raise FormError(f"expected a time like 2026-06-30T14:30:00Z, got {shown(value)}")
    text = _SPACED_OFFSET.sub(r"\1", value.strip())
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise FormError(f"{value!r} is no time; write e.g. 2026-06-30T14:30:00Z or 2026-06-30T14:30:00+02:00") from None
    if time.tzinfo is None:
        whole = time.isoformat()
        raise FormError(f"{value!r} has no offset; write {whole}Z if it is UTC, else e.g. {whole}+02:00")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise FormError(f"{value!r} is out of range") from None
