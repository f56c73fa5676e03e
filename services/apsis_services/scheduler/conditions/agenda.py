"""What is to be looked at, and when: pure bookkeeping, told the time by whoever asks."""

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from apsis_services.scheduler.conditions.wire import Ask

#: looks under way at once; of these, such as did not answer the last time
AT_ONCE: Final = 16
SLOW_AT_ONCE: Final = 4
#: the longest pause before one that did not answer is looked at again; seconds
_PAUSE_MOST: Final = 300.0
_PAUSE_LEAST: Final = 10.0


@dataclass(slots=True)
class Item:
    """A condition that is to be looked at until it holds."""

    ask: Ask
    #: tells it from one that was asked for the same run before
    number: int
    #: when it is looked at next; None: it is looked at now, or stands in the queue
    at: float | None = None
    #: how often, one after the other, it has not answered
    silent: int = 0
    is_busy: bool = False
    #: something has changed while it was looked at: look again
    is_stale: bool = False
    #: what was told last
    told: str | None = None

    @property
    def pause(self) -> float:
        """The seconds before one that did not answer is looked at again: longer each time."""
        return min(_PAUSE_MOST, _PAUSE_LEAST * 2.0 ** min(self.silent - 1, 10))


class Agenda:
    """The conditions by run. Those that did not answer stand in a queue of their own, and never take all places."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self._times: list[tuple[float, int, str]] = []
        self._ready: deque[tuple[int, str]] = deque()
        self._slow: deque[tuple[int, str]] = deque()
        self._count = 0

    def ask(self, ask: Ask) -> None:
        """Add a condition, which is looked at as soon as there is a place."""
        self._count += 1
        item = self.items[ask.run_id] = Item(ask, self._count)
        self._queue(item)

    def drop(self, run_id: str) -> None:
        """Forget a condition; one that is not known is no matter."""
        self.items.pop(run_id, None)

    def soon(self, run_id: str) -> None:
        """Look at a condition before its time: something has changed."""
        item = self.items.get(run_id)
        if item is None:
            return
        if item.is_busy:
            item.is_stale = True
        elif item.at is not None:
            item.at = None
            self._queue(item)

    def later(self, item: Item, at: float) -> None:
        """Look at a condition again at a time."""
        item.is_busy, item.at = False, at
        if item.is_stale:
            item.is_stale, item.at = False, None
            self._queue(item)
        else:
            heappush(self._times, (at, item.number, item.ask.run_id))

    def next_time(self) -> float | None:
        """Return when the next is to be looked at."""
        return self._times[0][0] if self._times else None

    def due(self, now: float, busy: int, slow: int) -> Item | None:
        """Return one that is to be looked at now, while that many are already; it counts as busy from now on."""
        while self._times and self._times[0][0] <= now:
            at, number, run_id = heappop(self._times)
            item = self.items.get(run_id)
            if item is not None and item.number == number and item.at == at:
                item.at = None
                self._queue(item)
        if busy >= AT_ONCE:
            return None
        return self._pop(self._ready) or (self._pop(self._slow) if slow < SLOW_AT_ONCE else None)

    def _queue(self, item: Item) -> None:
        (self._slow if item.silent else self._ready).append((item.number, item.ask.run_id))

    def _pop(self, queue: deque[tuple[int, str]]) -> Item | None:
        while queue:
            number, run_id = queue.popleft()
            item = self.items.get(run_id)
            if item is not None and item.number == number and item.at is None and not item.is_busy:
                item.is_busy = True
                return item
        return None
