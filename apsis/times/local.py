"""Between local time and UTC, with what a change of the clock does said explicitly.

A local time occurs once, or never (the clock was put forward over it: a gap), or twice (it was put back: a fold).
"""

import functools
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, TypeVar

T = TypeVar("T")

_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
_MIDNIGHT: Final = time()


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


@dataclass(frozen=True, slots=True)
class Wall:
    """What the calendar and the clock on the wall show at an instant.

    `turn` says which of two occurrences of that local time it is: 1 or 2; 0 where the local time occurs once.
    """

    day: date
    daytime: time
    offset: timedelta
    turn: int = 0


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


def wall(instant: datetime, zone: tzinfo) -> Wall:
    """Return what the wall shows in a zone at an instant, and which of two occurrences that is."""
    local = instant.astimezone(zone)
    offset = local.utcoffset() or timedelta()
    turn = 0
    if local.replace(fold=1 - local.fold).utcoffset() != offset:
        turn = 1 + local.fold
    return Wall(local.date(), local.time().replace(fold=0), offset, turn)


def instants(day: date, daytime: time, zone: tzinfo, dst: str) -> list[datetime]:
    """Return the instants that a schedule's `dst` (`once`, `skip` or `twice`) makes of a local time, in order.

    With `wall` they are those at which the clock shows it: none in a gap, both in a fold.
    """
    midnight = plain_midnight(day, zone)
    if midnight is not None:
        return [midnight + since_midnight(daytime)]
    found = reading(day, daytime, zone)
    if isinstance(found, Once):
        return [found.time]
    if isinstance(found, Gap):
        return [] if dst in ("skip", "wall") else [found.after]
    return [found.first, found.second] if dst in ("twice", "wall") else [found.first]


@functools.lru_cache(maxsize=4096)
def plain_midnight(day: date, zone: tzinfo) -> datetime | None:
    """Return the instant at which a day begins in a zone; None where the clock is changed on it or at its edges.

    From the midnight of such a day each time of day is as far as the clock shows. That is nearly every day: what a
    schedule needs of a zone is then kept for all schedules, and costs an addition.
    """
    try:
        begin, end = datetime.combine(day, _MIDNIGHT, zone), datetime.combine(day + _DAY, _MIDNIGHT, zone)
    except OverflowError:
        return None
    offset = begin.utcoffset()
    # the noon is for a day that goes one way and back again
    edges = (begin.replace(fold=1), end, end.replace(fold=1), begin.replace(hour=12))
    if any(each.utcoffset() != offset for each in edges):
        return None
    return begin.astimezone(UTC)


def since_midnight(daytime: time) -> timedelta:
    """Return how far a time of day is from midnight on a day on which no clock is changed."""
    seconds = daytime.hour * 3600 + daytime.minute * 60 + daytime.second
    return timedelta(0, seconds, daytime.microsecond)


def in_order(found: Iterable[tuple[list[datetime], T]]) -> Iterator[tuple[datetime, T]]:
    """Yield each instant with what it belongs to, in order, where the first instants of all are in order already.

    The second occurrences of a fold come after all of its first ones.
    """
    waiting: list[tuple[datetime, int, T]] = []
    for number, (each, item) in enumerate(found):
        if not waiting and len(each) == 1:
            yield each[0], item
            continue
        for instant in each:
            heapq.heappush(waiting, (instant, number, item))
        # none to come is earlier than this one
        while waiting and each and waiting[0][0] <= each[0]:
            instant, _, earlier = heapq.heappop(waiting)
            yield instant, earlier
    while waiting:
        instant, _, earlier = heapq.heappop(waiting)
        yield instant, earlier


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
