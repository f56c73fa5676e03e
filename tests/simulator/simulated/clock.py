"""The virtual clock: what is to happen, in order of time, and nothing else. Seconds since the beginning."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Any

#: the time on the wall when the clock stands at 0
BEGIN = datetime(2026, 6, 30, 12, 0, 0, tzinfo=UTC)


class Clock:
    """A queue of (time, number, deed); equal times keep the order in which they were put."""

    def __init__(self) -> None:
        self.now = 0.0
        #: deeds done so far
        self.count = 0
        self._number = 0
        self._queue: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []

    @property
    def wall(self) -> datetime:
        """The time as people have it."""
        return BEGIN + timedelta(microseconds=round(self.now * 1e6))

    def seconds_until(self, time: datetime) -> float:
        """Return the seconds from now to a time on the wall, 0 if it has passed."""
        return max(0.0, (time - BEGIN).total_seconds() - self.now)

    def after(self, seconds: float, do: Callable[..., object], *args: Any) -> None:
        """Have something done later."""
        self._number += 1
        heappush(self._queue, (self.now + seconds, self._number, do, args))

    def step(self, until: float) -> bool:
        """Do the next deed, if it is due by `until`; else let the time pass to there, and return False."""
        if not self._queue or self._queue[0][0] > until:
            self.now = max(self.now, until)
            return False
        at, _, do, args = heappop(self._queue)
        self.now = max(self.now, at)
        self.count += 1
        do(*args)
        return True
