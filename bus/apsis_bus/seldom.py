"""A line of the log that strangers can cause, written seldom: or whoever can connect could fill the disk with it."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

#: seconds between two such lines
EACH: Final = 10.0
#: characters of anything in them that a stranger has chosen
SHOWN: Final = 120


class Seldom:
    """Warns at most once in `EACH` seconds, and says then how many were left out since."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._quiet_until = -EACH
        self._left_out = 0

    def warning(self, message: str, *args: object, **extra: Any) -> None:
        """Log a warning, or count it; arguments are cut to `SHOWN` characters."""
        now = self._clock()
        if now < self._quiet_until:
            self._left_out += 1
            return
        left_out, self._left_out, self._quiet_until = self._left_out, 0, now + EACH
        more = f" (and {left_out} more like it)" if left_out else ""
        self._log.warning(message + "%s", *(shown(arg) for arg in args), more, extra=extra)


def shown(value: object) -> str:
    """Return a stranger's text as it may stand in a log: short, and on one line."""
    text = str(value)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
