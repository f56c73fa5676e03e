"""Every zone of tzdata, and when its clock is changed, found by asking for nothing but offsets."""

import functools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2041, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
#: changes of one zone that are closer together than this are looked for by night
STEP = timedelta(days=7)


def offset(instant, zone):
    return instant.astimezone(zone).utcoffset()


def changes(zone, step=STEP):
    """Return (instant, offset before, offset from then on) of each change of the clock, in order."""
    found = []
    at, before = FIRST, offset(FIRST, zone)
    while at < LAST:
        then = offset(at + step, zone)
        if then != before:
            low, high = at, at + step
            while high - low > SECOND:
                middle = low + (high - low) // SECOND // 2 * SECOND
                low, high = (middle, high) if offset(middle, zone) == before else (low, middle)
            found.append((high, before, offset(high, zone)))
            at, before = high, offset(high, zone)
        else:
            at += step
    return found


@functools.cache
def zones():
    """Return (zone, changes) for all zones; of those that are the same clock under several names, one."""
    by_clock = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        found = changes(zone)
        by_clock.setdefault((offset(FIRST, zone), tuple(found)), (zone, found))
    return list(by_clock.values())
