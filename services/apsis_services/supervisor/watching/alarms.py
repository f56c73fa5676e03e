"""Calls that are arranged once, however often they are asked for."""

import asyncio
from collections.abc import Callable


class Alarms:
    """Timers by name, on the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def wake(self, name: str, seconds: float, callback: Callable[[], None]) -> None:
        """Call back once after some seconds, unless that is arranged already."""
        if name not in self._timers:
            self._timers[name] = self._loop.call_later(seconds, self._ring, name, callback)

    def close(self) -> None:
        """Call nobody any more."""
        for timer in self._timers.values():
            timer.cancel()

    def _ring(self, name: str, callback: Callable[[], None]) -> None:
        del self._timers[name]
        callback()
