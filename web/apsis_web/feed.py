"""The feed: loads the cache from the database, and keeps it by the events of the bus, for as long as web lives."""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from apsis.errors import Unavailable
from apsis.messages.events import Event, RunEvent, SysEvent
from apsis_bus.follower import Follower
from apsis_bus.peer import Peer
from apsis_web.cache import FINISHED_KEPT, Cache
from apsis_web.changes import KEPT
from apsis_web.database import Database
from apsis_web.rows import number_of

log = logging.getLogger("web")

_PAUSE: Final = 0.25
_PAUSE_MAX: Final = 2.0
#: seconds between two looks for runs that may leave the cache
_TRIM_EVERY: Final = 600.0
#: rows that may come in between before they are looked for at once
_TRIM_AFTER: Final = 5_000


def now_micros() -> int:
    """Return the time, µs since the epoch: the edge at which web reads the clock."""
    return time.time_ns() // 1_000


class Feed:
    """Between database, bus and cache. It recovers by itself from whatever is away."""

    def __init__(self, cache: Cache, database: Database, peer: Peer, lookback: float) -> None:
        self._cache = cache
        self._database = database
        self._peer = peer
        self._lookback = int(lookback * 1e6)
        self._follower: Follower | None = None
        self._loaded = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._trimmed_at = 0

    def start(self) -> None:
        """Begin to load; the bus may come later."""
        self._spawn(self._load())
        self._spawn(self._trim_now_and_then())

    async def first_load(self, patience: float) -> None:
        """Wait until there is a state to answer from, for so many seconds at most: the page must come in any case."""
        try:
            async with asyncio.timeout(patience):
                await self._loaded.wait()
        except TimeoutError:
            log.warning("nothing is loaded yet: %s", self._cache.reason, extra={"event": "not_loaded"})

    async def stop(self) -> None:
        """End; the cache stays as it is."""
        if self._follower is not None:
            self._follower.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _load(self) -> None:
        pause = _PAUSE
        while True:
            now = now_micros()
            try:
                loaded = await self._database.load(now - self._lookback, FINISHED_KEPT, KEPT)
                break
            except Unavailable as error:
                if self._cache.reason != error.message:
                    self._cache.reason = error.message
                    log.warning("%s", error.message, extra={"event": "database_away"})
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSE_MAX)
        self._cache.load(loaded, now)
        self._loaded.set()
        self._trimmed_at = len(self._cache.rows)
        log.info(
            "%d runs and %d jobs loaded", len(loaded.runs), len(loaded.jobs),
            extra={"event": "loaded", "seq": self._cache.seq, "instance": self._cache.instance},
        )  # fmt: skip
        if self._follower is None:
            self._follower = Follower(self._peer, self._cache.seq, self._cache.journal, self._on_events, self._on_reset)
            self._follower.start()
        else:
            self._follower.restart(self._cache.seq, self._cache.journal)

    def _on_reset(self, reason: str) -> None:
        log.warning("the events cannot be followed on (%s); loading again", reason, extra={"event": "reset"})
        self._database.reopen()
        if reason == "journal":
            # What is held belongs to a history that is over; better nothing than that. `behind` may be a word
            # of the scheduler that is older than what we have read, and then nothing was wrong.
            self._cache.loaded = False
            self._cache.reason = "the database is another one; it is being read"
        self._spawn(self._load())

    def _on_events(self, events: Sequence[Event]) -> None:
        self._cache.apply(events, now_micros())
        for event in events:
            if isinstance(event, RunEvent) and event.elided:
                self._spawn(self._fetch(event.run_id, number_of(event.run_id)))
            elif isinstance(event, SysEvent) and event.kind in ("reloaded", "started"):
                self._spawn(self._read_job_errors())
        if len(self._cache.rows) > self._trimmed_at + _TRIM_AFTER:
            self._trim()

    async def _fetch(self, run_id: str, num: int | None) -> None:
        """Get the whole of a run whose args were too large for the bus."""
        if num is None:
            return
        try:
            stored = await self._database.run(num)
        except Unavailable as error:
            log.warning("run %s stays elided: %s", run_id, error.message, extra={"event": "database_away"})
            return
        if stored is not None:
            self._cache.replace(stored, now_micros())

    async def _read_job_errors(self) -> None:
        try:
            meta = await self._database.meta()
        except Unavailable as error:
            log.warning("the errors of the job files are not read: %s", error.message, extra={"event": "database_away"})
            return
        self._cache.set_job_errors(meta.job_errors)

    async def _trim_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_TRIM_EVERY)
            if self._cache.loaded:
                self._trim()

    def _trim(self) -> None:
        self._cache.trim(now_micros() - self._lookback)
        self._trimmed_at = len(self._cache.rows)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A feed that is broken unnoticed would show yesterday's state for ever.
            asyncio.get_running_loop().call_exception_handler({"message": "the feed failed", "exception": error})
