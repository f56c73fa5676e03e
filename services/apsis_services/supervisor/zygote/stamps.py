"""Moments as they are written into journals and logs, made without the datetime module.

The same text that `apsis.times.format_time` makes; the zygote writes it without importing what the
rest of Apsis needs.
"""

import time


def stamp(nanoseconds: int) -> str:
    """Return an instant since the epoch as UTC text with six digits: `2026-06-30T14:32:07.120000Z`."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{rest // 1000:06}Z"


def stamp_now() -> str:
    """Return the present instant, for the edge where facts are written down."""
    return stamp(time.time_ns())
