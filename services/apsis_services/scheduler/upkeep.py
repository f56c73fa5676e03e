"""What the scheduler is asked to do for its own database: moving old runs into an archive, giving back free pages."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final

from apsis.errors import ApsisError
from apsis.failpoints import reach
from apsis.messages.requests import ArchiveRuns, Done, Failed, FreePages, Request
from apsis.runs.core.inputs import Asked, Copied
from apsis_bus.peer import Delivery
from apsis_services.scheduler.archive import AT_ONCE, copy_old
from apsis_services.scheduler.refusals import explain
from apsis_services.scheduler.tables import Tables

log = logging.getLogger("scheduler")

#: pages given back between two looks at what else is to be done
_SLICE: Final = 64
_PAGES_AT_MOST: Final = 100_000


class Upkeep:
    """Does them one after the other; what it deletes goes through the core."""

    def __init__(
        self, home: Path, tables: Tables, spawn: Callable[[Coroutine[None, None, None]], None],
        feed: Callable[[Copied], None],
    ) -> None:  # fmt: skip
        self._home = home
        self._tables = tables
        self._spawn = spawn
        self._feed = feed
        self._one = asyncio.Lock()

    def take(self, message: Request, do: ArchiveRuns | FreePages, delivery: Delivery, now: int) -> None:
        """Begin with a deed; it is answered when it is committed. `now` in microseconds."""
        if isinstance(do, ArchiveRuns):
            self._spawn(self._answering(delivery, self._archive(Asked(message, delivery), do, now)))
        else:
            self._spawn(self._answering(delivery, self._free(do, delivery)))

    async def _answering(self, delivery: Delivery, work: Coroutine[None, None, None]) -> None:
        """Do it, and tell whoever asked why it cannot be done."""
        try:
            async with self._one:
                await work
        except ApsisError as error:
            failed = Failed(code=error.code, message=error.message, hint=error.hint, loc=error.loc)
            delivery.no(failed.code, failed)
        except sqlite3.Error as error:
            why = explain(error, self._tables.path)
            log.warning("upkeep of the database is put off: %s", why, extra={"event": "upkeep"})
            delivery.no("unavailable", Failed(code="unavailable", message=why, hint="ask again later"))
        except OSError as error:
            why = f"{error.filename or 'the archive'}: {error.strerror}"
            delivery.no("unavailable", Failed(code="unavailable", message=why, hint="make room or mend it, ask again"))

    async def _archive(self, asked: Asked, do: ArchiveRuns, now: int) -> None:
        path = self._home / do.path
        before, count = now - int(do.age * 1e6), max(1, min(do.count, AT_ONCE))
        copy = await asyncio.to_thread(copy_old, self._tables.path, path, before, count)
        reach("scheduler.archive-copied")
        self._feed(Copied(copy.runs, str(path), copy.more, asked))

    async def _free(self, do: FreePages, delivery: Delivery) -> None:
        before = left = self._tables.free_pages()
        target = max(0, before - max(1, min(do.pages, _PAGES_AT_MOST)))
        while left > target:
            self._tables.give_back(min(_SLICE, left - target))
            await asyncio.sleep(0)
            if (now := self._tables.free_pages()) >= left:
                break  # the runs of this moment have taken as many
            left = now
        result = {"freed": max(0, before - left), "left": left, "page_size": self._tables.page_size()}
        delivery.ok(Done(seq=0, result=result))
