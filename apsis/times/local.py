"""From local time to UTC, with what a change of the clock does to it said explicitly.

A local time occurs once, or never (the clock was put forward over it: a gap), or twice (it was put back: a fold).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Once:
    """A local time that occurs once."""

    time: datetime


@dataclass(frozen=True, slots=True)
class Gap:
    """A local time that the clock jumps over; `after` is the first instant after the jump."""

    after: datetime


@dataclass(frozen=True, slots=True)
class Fold:
    """A local time that occurs twice."""

    first: datetime
    second: datetime


def reading(day: date, daytime: time, zone: tzinfo) -> Once | Gap | Fold:
    """Return when it is that date and time of day in a zone, as instants in UTC."""
    local = datetime.combine(day, daytime)
    first = local.replace(tzinfo=zone, fold=0)
    second = local.replace(tzinfo=zone, fold=1)
    early, late = first.astimezone(UTC), second.astimezone(UTC)
    if early == late:
        return Once(early)
    if early < late:
        return Fold(early, late)
    # In a gap the two readings lie on either side of the jump, the second one before it.
    return Gap(_jump(late, early, zone))


def instants(day: date, daytime: time, zone: tzinfo, dst: str) -> list[datetime]:
    """Return the instants that a schedule's `dst` (`once`, `skip` or `twice`) makes of a local time, in order."""
    found = reading(day, daytime, zone)
    if isinstance(found, Once):
        return [found.time]
    if isinstance(found, Gap):
        return [] if dst == "skip" else [found.after]
    return [found.first, found.second] if dst == "twice" else [found.first]


def _jump(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Return the instant at which the offset changes between two instants, to the second."""
    offset = before.astimezone(zone).utcoffset()
    low, high = before.replace(microsecond=0), after.replace(microsecond=0) + _SECOND
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high
