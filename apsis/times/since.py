"""From when on due times count after a downtime: `now`, a time, or how long ago."""

from datetime import datetime, timedelta, tzinfo

from apsis.definitions.fields import FormError
from apsis.errors import BadRequest
from apsis.times.durations import parse_duration
from apsis.times.instants import format_time, parse_time


class BadSince(BadRequest):
    """A text says no moment from which on due times count."""

    def __init__(self, given: object, why: str) -> None:
        super().__init__(
            f"since {given!r}: {why}", hint="write now, how long ago (2h, 1 day), or a time (2026-06-30T14:30:00Z)"
        )


def read_since(given: str | float, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Return the moment before which nothing that is due runs. With a zone, times are taken as people type them.

    Raises:
        BadSince: it is none, or lies ahead.
    """
    found = _read(given, now, zone)
    if found > now:
        raise BadSince(given, f"{format_time(found)} lies ahead, and all that is due until then would be dropped")
    return found


def _read(given: str | float, now: datetime, zone: tzinfo | None) -> datetime:
    if isinstance(given, str) and given.strip().lower() == "now":
        return now
    try:
        return now - timedelta(seconds=parse_duration(given))
    except OverflowError:
        raise BadSince(given, "is out of range") from None
    except FormError as error:
        # a time, then, if it is a text; of what is neither, both forms are named
        if not isinstance(given, str):
            raise BadSince(given, str(error)) from None
    if zone is not None:
        from apsis.times.when import parse_when

        return parse_when(given, now, zone)
    try:
        return parse_time(given.strip())
    except ValueError as error:
        raise BadSince(given, str(error)) from None
