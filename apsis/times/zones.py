"""Time zones by their IANA names."""

import functools
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from apsis.definitions.fields import FormError, shown
from apsis.definitions.nearest import did_you_mean


def find_zone(value: Any) -> ZoneInfo:
    """Return the zone of an IANA name, `Europe/Berlin`.

    Raises:
        FormError: there is no such zone.
    """
    if not isinstance(value, str) or not value:
        raise FormError(f"expected a time zone like Europe/Berlin or UTC, got {shown(value)}")
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise FormError(f"there is no time zone {value!r}{_near(value)}; names are like Europe/Berlin or UTC") from None


def _near(name: str) -> str:
    near = did_you_mean(name, _names())
    # people leave out the continent, or write a space
    tail = name.replace(" ", "_").casefold()
    found = next((zone for zone in sorted(_names()) if zone.casefold().rpartition("/")[2] == tail), None)
    return f" (did you mean {found!r}?)" if found else near


@functools.cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())
