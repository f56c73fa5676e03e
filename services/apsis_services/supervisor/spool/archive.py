"""Reading the archive of journals for an inventory: in a thread, some at a time, for it may hold those of a month."""

import asyncio
from collections.abc import Callable
from typing import Final

from apsis.times import parse_time
from apsis_services.supervisor.facts import Facts, Key
from apsis_services.supervisor.protocol import FromArchive, ReadArchive
from apsis_services.supervisor.spool.spool import Spool
from apsis_services.supervisor.watching.verdicts import facts_of
from apsis_services.supervisor.zygote.journal import read_journal

#: journals read in one go
AT_ONCE: Final = 256


class ArchiveReader:
    """Feeds what the archive holds to the core, in parts."""

    def __init__(self, spool: Spool, feed: Callable[[FromArchive], None]) -> None:
        self._spool = spool
        self._feed = feed
        self._tasks: set[asyncio.Task[None]] = set()

    def read(self, effect: ReadArchive) -> None:
        """Begin to read; the last part says that it is the last."""
        task = asyncio.get_running_loop().create_task(self._read(effect))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def close(self) -> None:
        """Read no further."""
        for task in self._tasks:
            task.cancel()

    async def _read(self, effect: ReadArchive) -> None:
        since = parse_time(effect.since).timestamp() if effect.since else 0.0
        keys = await asyncio.to_thread(self._spool.archived_since, since)
        while keys:
            batch, keys = keys[:AT_ONCE], keys[AT_ONCE:]
            found = await asyncio.to_thread(self._facts, batch)
            self._feed(FromArchive(effect.journal, effect.dispatch, found, last=False))
        self._feed(FromArchive(effect.journal, effect.dispatch, [], last=True))

    def _facts(self, keys: list[Key]) -> list[tuple[Key, Facts]]:
        states = ((key, read_journal(self._spool.archived(key))) for key in keys)
        return [(key, facts_of(state)) for key, state in states if state.phase != "none"]

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # the inventory stays unanswered, so that it is asked for again: of the supervisor that begins anew
            context = {"message": "the archive of journals cannot be read", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
