"""Moments as they are written into journals and logs, made without the datetime module.

The same text that `apsis.times.format_time` makes; the zygote writes it without importing what the
rest of Apsis needs.
"""

import time
from typing import Final

_DAY: Final = 86400
#: the date of the last stamp, by its number of days since the epoch
_dates: Final[dict[int, str]] = {}


def stamp(nanoseconds: int) -> str:
    """Return an instant since the epoch as UTC text with six digits: `2026-06-30T14:32:07.120000Z`."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    day, second = divmod(seconds, _DAY)
    date = _dates.get(day)
    if date is None:
        year, month, number = time.gmtime(seconds)[:3]
        _dates.clear()
        date = _dates[day] = f"{year:04}-{month:02}-{number:02}T"
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    return f"{date}{hour:02}:{minute:02}:{second:02}.{rest // 1000:06}Z"


def stamp_now() -> str:
    """Return the present instant, for the edge where facts are written down."""
    return stamp(time.time_ns())
