"""The dates, daytimes and times that templates handle: made from texts, shifted by numbers, shown as texts."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple, Union

from apsis.schedules.schedule import show_time
from apsis.times.daytimes import parse_daytime, seconds_of, show_daytime
from apsis.times.local import Fold, Gap, reading
from apsis.times.zones import find_zone


@dataclass(frozen=True, order=True, init=False)
class Date:
    """A date: `Date('2026-06-30') + 1`; the difference of two is a number of days."""

    value: date

    def __init__(self, value: object, month: int | None = None, day: int | None = None) -> None:
        object.__setattr__(self, "value", _to_date(value, month, day))

    @property
    def year(self) -> int:
        """The year."""
        return self.value.year

    @property
    def month(self) -> int:
        """The month, from 1."""
        return self.value.month

    @property
    def day(self) -> int:
        """The day of the month, from 1."""
        return self.value.day

    @property
    def weekday(self) -> str:
        """The day of the week: `Mon`."""
        return f"{self.value:%a}"

    def __add__(self, days: int) -> "Date":
        return Date(self.value + timedelta(days=days))

    def __sub__(self, other: Union[int, "Date"]) -> Union[int, "Date"]:
        if isinstance(other, Date):
            return (self.value - other.value).days
        return Date(self.value - timedelta(days=other))

    def __format__(self, pattern: str) -> str:
        return format(self.value, pattern) if pattern else str(self)

    def __str__(self) -> str:
        return self.value.isoformat()


@dataclass(frozen=True, order=True, init=False)
class Daytime:
    """A time of day: `Daytime('10:30:00')`, `Daytime(10, 30)`; shifted by seconds within the day."""

    value: time

    def __init__(self, value: object, minute: int | None = None, second: int = 0) -> None:
        object.__setattr__(self, "value", _to_daytime(value, minute, second))

    @property
    def hour(self) -> int:
        """The hour."""
        return self.value.hour

    @property
    def minute(self) -> int:
        """The minute."""
        return self.value.minute

    @property
    def second(self) -> float:
        """The second, with its fraction."""
        return self.value.second + self.value.microsecond / 1e6

    def __add__(self, seconds: float) -> "Daytime":
        return Daytime(seconds_of(self.value) + seconds)

    def __sub__(self, other: Union[float, "Daytime"]) -> Union[float, "Daytime"]:
        if isinstance(other, Daytime):
            return seconds_of(self.value) - seconds_of(other.value)
        return Daytime(seconds_of(self.value) - other)

    def __format__(self, pattern: str) -> str:
        return format(self.value, pattern) if pattern else str(self)

    def __str__(self) -> str:
        return show_daytime(self.value)


@dataclass(frozen=True, order=True, init=False)
class Time:
    """An instant: `Time('2026-06-30T14:30:00Z') + 3600`; the difference of two is a number of seconds."""

    value: datetime

    def __init__(self, value: object) -> None:
        object.__setattr__(self, "value", _to_time(value))

    def __add__(self, seconds: float) -> "Time":
        return Time(self.value + timedelta(seconds=seconds))

    def __sub__(self, other: Union[float, "Time"]) -> Union[float, "Time"]:
        if isinstance(other, Time):
            return (self.value - other.value).total_seconds()
        return Time(self.value - timedelta(seconds=other))

    def __format__(self, pattern: str) -> str:
        return format(self.value, pattern) if pattern else str(self)

    def __str__(self) -> str:
        return show_time(self.value)


@dataclass(frozen=True, init=False)
class TimeZone:
    """A time zone: `TimeZone('Europe/Berlin')`."""

    value: tzinfo

    def __init__(self, value: object) -> None:
        object.__setattr__(self, "value", value.value if isinstance(value, TimeZone) else find_zone(value))

    def __str__(self) -> str:
        return str(self.value)


class LocalTime(NamedTuple):
    """What the calendar and the clock on the wall show."""

    date: Date
    daytime: Daytime


def from_local(*local: object) -> Time:
    """Return the instant of `from_local(date, daytime, zone)`, or `from_local((date, daytime), zone)`.

    Of a local time that occurs twice it is the first; for one that the clock jumps over, the first after the jump.
    """
    parts = [*local[0], *local[1:]] if isinstance(local[0], (tuple, list)) else list(local)
    if len(parts) != 3:
        raise ValueError("from_local takes a date, a daytime and a zone")
    zone = TimeZone(parts[2]).value
    found = reading(Date(parts[0]).value, Daytime(parts[1]).value, zone)
    if isinstance(found, Gap):
        return Time(found.after)
    return Time(found.first if isinstance(found, Fold) else found.time)


def to_local(instant: object, zone: object) -> LocalTime:
    """Return the local date and daytime of an instant in a zone."""
    local = Time(instant).value.astimezone(TimeZone(zone).value)
    return LocalTime(Date(local.date()), Daytime(local.time().replace(tzinfo=None, fold=0)))


def show(value: object, pattern: str) -> str:
    """Return a date, a daytime or a time (or a text of one) by a strftime pattern; a number by Python's own format."""
    if isinstance(value, str):
        for kind in (Date, Daytime, Time):
            try:
                return format(kind(value), pattern)
            except ValueError:
                continue
        raise ValueError(f"{value!r} is no date, daytime or time")
    return format(value, pattern)


def _to_date(value: object, month: int | None, day: int | None) -> date:
    if isinstance(value, Date):
        return value.value
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, int) and month is not None and day is not None:
        return date(value, month, day)
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{str(value)!r} is no date like 2026-06-30") from None


def _to_daytime(value: object, minute: int | None, second: int) -> time:
    if isinstance(value, Daytime):
        return value.value
    if isinstance(value, time):
        return value
    if isinstance(value, int) and minute is not None:
        return time(value, minute, second)
    return parse_daytime(value)


def _to_time(value: object) -> datetime:
    if isinstance(value, Time):
        return value.value
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if found.tzinfo is None:
        raise ValueError(f"{str(value)!r} has no offset; write e.g. {value}Z")
    return found.astimezone(UTC)
