"""Writing that must come about: tried again until the disk takes it, and told to health meanwhile."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from typing import Final

log = logging.getLogger("alerts")

_FIRST: Final = 0.2
_LAST: Final = 5.0
#: SQLite's codes for what may pass: busy, locked, read-only, I/O error, full, cannot open
_MAY_PASS: Final = frozenset({5, 6, 8, 10, 13, 14})


class Writing:
    """Knows whether the database can be written."""

    def __init__(self) -> None:
        #: why it cannot be; empty: it can
        self.trouble = ""

    async def insist(self, write: Callable[[], object]) -> None:
        """Write, again and again until it is written.

        Raises:
            sqlite3.Error: for a reason that does not pass.
        """
        wait = _FIRST
        while True:
            try:
                write()
            except sqlite3.OperationalError as error:
                if (error.sqlite_errorcode or 0) & 0xFF not in _MAY_PASS:
                    raise
                self.complain(error)
            else:
                self.is_well()
                return
            await asyncio.sleep(wait)
            wait = min(_LAST, wait * 2)

    def complain(self, error: sqlite3.Error) -> None:
        """Take note that it cannot be written."""
        if not self.trouble:
            log.error("the database of the alerts cannot be written: %s", error, extra={"event": "stuck"})
        self.trouble = f"the database of the alerts cannot be written: {error}; make room on its disk, or mend it"

    def is_well(self) -> None:
        """Take note that it can."""
        if self.trouble:
            log.info("the database of the alerts can be written again", extra={"event": "unstuck"})
        self.trouble = ""
