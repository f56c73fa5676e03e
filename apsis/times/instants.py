"""Instants: aware datetimes in UTC with microseconds, and the one form in which they are written."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


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


def parse_time(text: str) -> datetime:
    """Return the instant that an ISO 8601 text with an offset or `Z` names.

    Raises:
        ValueError: it is no such text, or has no offset.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no offset; write e.g. {text}Z or {text}+00:00")
    return time.astimezone(UTC)
