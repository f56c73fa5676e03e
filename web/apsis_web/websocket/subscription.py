"""What every subscription has: an id, the last `seq` it told, and its turn."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from apsis.messages.body import encode
from apsis_web.site import Site

log = logging.getLogger("web")

#: seconds between two frames of one subscription
INTERVAL: Final = 0.1


@dataclass(frozen=True, slots=True)
class Past:
    """What a client that resumes says it has: everything up to `seq` of instance `inst`."""

    inst: str
    seq: int


class Subscription(ABC):
    """One subscription of one connection.

    The connection's writer asks it for a frame when `wanted` says that there may be one, and never before
    the one before has been written: so what it tells is the newest, and nothing piles up.
    """

    #: seconds between two frames
    interval = INTERVAL

    def __init__(self, sub_id: int, site: Site, wake: Callable[[], None]) -> None:
        self.id = sub_id
        self.site = site
        self.wake = wake
        #: the client has everything up to here; -1: it has nothing
        self.seq = -1
        #: loop time before which no frame is due
        self.not_before = 0.0
        #: why a snapshot is sent unasked: `instance`, `history` or `filter`
        self.reset: str | None = None
        self._generation = site.cache.generation
        self._instance = site.cache.instance
        self._tasks: set[asyncio.Task[None]] = set()

    @abstractmethod
    def wanted(self) -> bool:
        """Tell, cheaply, whether there may be something to say."""

    @abstractmethod
    async def frames(self, now: int) -> list[bytes]:
        """Return what is to be said now, and count it as said.

        Raises:
            ApsisError: there is no such thing; the subscription ends.
        """

    def next_look(self) -> float | None:
        """Return in how many seconds time alone may bring something; None: never."""
        return None

    def close(self) -> None:
        """Let go of what was held."""
        for task in self._tasks:
            task.cancel()

    def forget_if_reloaded(self) -> None:
        """Begin again with a snapshot if the cache was loaded anew: its changes are no continuation."""
        cache = self.site.cache
        if self._generation == cache.generation:
            return
        same_history = self._instance == cache.instance
        self._generation, self._instance = cache.generation, cache.instance
        if self.seq >= 0 and not (self.can_go_on and same_history and cache.changes.reaches(self.seq)):
            self.seq = -1
            self.reset = "history" if same_history else "instance"

    #: its state is a function of the cache, so it needs no snapshot while the ring reaches back
    can_go_on = False

    def frame(self, kind: str, **fields: Any) -> bytes:
        """Return a frame of this subscription."""
        return encode({"t": kind, "id": self.id, **fields})

    def resumable(self, past: Past) -> str | None:
        """Return why a past cannot be gone on from; None if it can."""
        cache = self.site.cache
        if past.inst != cache.instance:
            return "instance"
        return None if cache.changes.reaches(past.seq) and past.seq <= cache.seq else "history"

    def run_beside(self, work: Any) -> None:
        """Do something that waits, without holding up the connection's writer."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a subscription failed", exc_info=error, extra={"event": "websocket_failed"})
