"""Times as people type them: `now`, `+10m`, `14:30`, `fri 18:00`, `2026-06-30 14:30 Europe/Berlin`."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from apsis.definitions.fields import FormError
from apsis.errors import BadRequest
from apsis.times.daytimes import parse_daytime
from apsis.times.durations import parse_duration
from apsis.times.instants import format_time
from apsis.times.local import Fold, Gap, reading
from apsis.times.zones import find_zone

FORMS: Final = (
    "now, +10m, -2h, 14:30, tomorrow 06:00, fri 18:00, tonight, 2026-06-30, 2026-06-30 14:30, "
    "20260630T143000Z, 2026-06-30T14:30:00+02:00, @1782829800; a zone may follow, as in 14:30 America/New_York"
)
_TONIGHT: Final = time(20)
_FAR: Final = timedelta(hours=12)
_DAY: Final = timedelta(days=1)
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ISO: Final = re.compile(r"\d{4}-?\d{2}-?\d{2}[T ]\d{2}:?\d{2}.*(Z|[+-]\d{2}:?\d{2})", re.IGNORECASE)
_DATED: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](.+))?")


class BadTime(BadRequest):
    """A text is no time, or names a local time that there is not, or that there is twice."""

    code = "bad_time"

    def __init__(self, text: str, why: str, *, hint: str = f"times are written as {FORMS}") -> None:
        super().__init__(f"time {text!r}: {why}", hint=hint)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as it was understood; `note` is for the person who typed it, where it may surprise."""

    time: datetime
    note: str = ""


def parse_when(text: str, now: datetime, zone: tzinfo) -> datetime:
    """Return the instant, in UTC, that a person means who types `text` at `now` in `zone`.

    Raises:
        BadTime: it cannot be understood, or is not one instant.
    """
    return read_when(text, now, zone).time


def read_when(text: str, now: datetime, zone: tzinfo) -> Moment:
    """Return the instant that is meant, and a note where it may surprise; raises BadTime."""
    asked = " ".join(text.split())
    words, zone = _split_zone(asked, zone)
    try:
        moment = _read(asked, words, now.astimezone(UTC), zone)
    except OverflowError:
        raise BadTime(text, "is out of range") from None
    except FormError as error:
        raise BadTime(text, str(error)) from None
    if moment is None:
        raise BadTime(text, "cannot be understood")
    return moment


def _split_zone(text: str, zone: tzinfo) -> tuple[str, tzinfo]:
    head, _, last = text.rpartition(" ")
    if head and ("/" in last or last.upper() in ("UTC", "GMT")):
        try:
            return head, find_zone(last.upper() if "/" not in last else last)
        except FormError as error:
            raise BadTime(text, str(error)) from None
    return text, zone


def _read(asked: str, words: str, now: datetime, zone: tzinfo) -> Moment | None:
    lower = words.lower()
    if lower == "now":
        return Moment(now)
    if words[:1] in ("+", "-") and len(words) > 1:
        shift = timedelta(seconds=parse_duration(words[1:].strip()))
        return Moment(now + shift if words[0] == "+" else now - shift)
    if re.fullmatch(r"@\d+(\.\d+)?", words):
        return Moment(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(words[1:])))
    if _ISO.fullmatch(words):
        return _iso(words)
    today = now.astimezone(zone).date()
    if dated := _DATED.fullmatch(words):
        try:
            day = date.fromisoformat(dated[1])
        except ValueError:
            raise FormError(f"there is no date {dated[1]}") from None
        return Moment(_local(asked, day, parse_daytime(dated[2]) if dated[2] else time(0), zone))
    if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?", words):
        return _next(asked, parse_daytime(words), now, zone)
    head, _, tail = lower.partition(" ")
    return _named_day(asked, head, tail, now, today, zone)


def _named_day(asked: str, head: str, tail: str, now: datetime, today: date, zone: tzinfo) -> Moment | None:
    if head == "tonight":
        return Moment(_local(asked, today, parse_daytime(tail) if tail else _TONIGHT, zone))
    daytime = parse_daytime(tail) if tail else time(0)
    if head in ("today", "tomorrow", "yesterday"):
        days = {"today": 0, "tomorrow": 1, "yesterday": -1}[head]
        return Moment(_local(asked, today + days * _DAY, daytime, zone))
    if (
        len(head) >= 3
        and (index := next((i for i, name in enumerate(_WEEKDAYS) if name.startswith(head)), None)) is not None
    ):
        day = today + (index - today.weekday()) % 7 * _DAY
        found = _local(asked, day, daytime, zone)
        return Moment(found if found > now else _local(asked, day + 7 * _DAY, daytime, zone))
    return None


def _iso(words: str) -> Moment:
    try:
        return Moment(datetime.fromisoformat(words.upper()).astimezone(UTC))
    except ValueError:
        raise FormError("is no ISO 8601 time") from None


def _next(asked: str, daytime: time, now: datetime, zone: tzinfo) -> Moment:
    day = now.astimezone(zone).date()
    found = _local(asked, day, daytime, zone, strict=False)
    found = _local(asked, day + _DAY if found <= now else day, daytime, zone)
    note = f"that is more than 12 h away: {format_time(found)}" if found - now > _FAR else ""
    return Moment(found, note)


def _local(asked: str, day: date, daytime: time, zone: tzinfo, *, strict: bool = True) -> datetime:
    found = reading(day, daytime, zone)
    if isinstance(found, Gap):
        if not strict:
            return found.after
        raise BadTime(
            asked,
            "there is no such local time, the clock is put forward over it",
            hint=f"the first time after the gap is {_both(found.after, zone)}",
        )
    if isinstance(found, Fold):
        if not strict:
            return found.second
        raise BadTime(
            asked,
            "this local time occurs twice, the clock is put back",
            hint=f"write {_both(found.first, zone)} for the first, or {_both(found.second, zone)}",
        )
    return found.time


def _both(instant: datetime, zone: tzinfo) -> str:
    return f"{instant.astimezone(zone).isoformat()} ({instant:%Y-%m-%dT%H:%M:%SZ})"
