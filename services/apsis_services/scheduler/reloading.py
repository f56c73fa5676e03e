"""When the job directory is read: at the start, when somebody asks, and when it was changed. One reading at a time."""

import asyncio
import gc
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from apsis.failpoints import reach
from apsis.runs.core.inputs import Asked, Input, JobsLoaded
from apsis.runs.core.machine import Core
from apsis_services.scheduler.loading import Loading
from apsis_services.scheduler.watching import Watching

log = logging.getLogger("scheduler")

#: seconds before a reading that failed is tried again, doubling up to the last
_FIRST: Final = 1.0
_LAST: Final = 60.0


class Reloading:
    """Has the directory read, and feeds what came of it to the core."""

    def __init__(self, loading: Loading, directory: Path, feed: Callable[[Input], None]) -> None:
        self._loading = loading
        self._feed = feed
        self._watching = Watching(directory, self.look)
        self._turn = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._commit = asyncio.Event()

    def warnings(self) -> list[str]:
        """Return why changes of the directory are not seen at once, as sentences for health."""
        return [self._watching.problem] if self._watching.problem else []

    async def begin(self) -> asyncio.Task[JobsLoaded]:
        """Have the first reading begun: a process that works while we are busy with what we know already."""
        reading = asyncio.create_task(self._loading.load(None, force=False, aside=False))
        asked = asyncio.create_task(self._loading.told.wait())
        await asyncio.wait((reading, asked), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        return reading

    async def first(self, reading: asyncio.Task[JobsLoaded], core: Core, stored: Collection[str]) -> None:
        """Take over the first reading, and read anew those stored jobs that we could make nothing of."""
        async with self._turn:
            await self._take(core, await reading)
        if lost := set(stored) - core.book.jobs.keys():
            await self.read(core, None, anew=lost)

    async def read(self, core: Core, asked: Asked | None, *, force: bool = False, anew: Collection[str] = ()) -> bool:
        """Read the directory, and return, once all is committed, whether that could be done."""
        async with self._turn:
            # what was changed up to now is seen by this reading
            self._wanted.clear()
            loaded = await self._loading.load(asked, force=force, anew=anew)
            await self._take(core, loaded)
        return not loaded.failed

    async def follow(self, core: Core) -> None:
        """Read the directory whenever it was changed, until cancelled."""
        watching = asyncio.create_task(self._watching.run())
        try:
            pause = _FIRST
            while True:
                await self._wanted.wait()
                if await self.read(core, None):
                    pause = _FIRST
                    continue
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST)
                self.look()
        finally:
            watching.cancel()

    def look(self) -> None:
        """Have the directory read: something was changed in it."""
        self._wanted.set()

    def committed(self) -> None:
        """Take note of a commit."""
        self._commit.set()

    async def _take(self, core: Core, loaded: JobsLoaded) -> None:
        reach("scheduler.jobs-read")
        known = core.book.errors
        self._feed(loaded)
        for finding in loaded.errors if loaded.asked is None else ():
            if finding not in known:
                log.warning(
                    "%s:%s: %s", finding.get("file"), finding.get("line"), finding.get("message"),
                    extra={"event": "job_error"},
                )  # fmt: skip
        # the next reading compares with what this one has brought
        while True:
            self._commit.clear()
            await self._commit.wait()
            if not core.reloading:
                return


@contextmanager
def collecting_later() -> Iterator[None]:
    """Make much that lives on, without the collector going through all of it again and again; nor later."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
