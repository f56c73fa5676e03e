"""What is given up when the disk is almost full: the middles of the largest outputs that the store has not got.

A program that prints faster than the store takes, or a store that is away for days, must not take the disk from
everybody else. What goes is told as a gap; a beginning and an end of each output stay.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.outputs.pump import Pump

#: seconds between two looks at the disk while something is not sent
LOOK: Final = 1.0


class Unsent(NamedTuple):
    """What of one stream could be given up: bytes [start, stop) of its file."""

    key: Key
    stream: str
    start: int
    stop: int


def given_up(free: int, total: int, spare: float, unsent: Iterable[Unsent]) -> Iterator[Unsent]:
    """Yield what must go, the largest first, until `spare` per cent of a disk of `total` bytes will be free."""
    lacking = total * spare / 100 - free
    if lacking <= 0:
        return
    for one in sorted(unsent, key=lambda one: one.start - one.stop):
        if lacking <= 0:
            return
        yield one
        lacking -= one.stop - one.start


class Guard:
    """Looks at the spool's disk as long as there is something on it that was not sent."""

    def __init__(self, pump: Pump, spare: float) -> None:
        self._pump = pump
        self._spare = spare
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """There may be something; look soon, and then each second until all is sent."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        unsent = list(self._unsent())
        if not unsent:
            return
        self.wake()
        if not self._pump.punching:
            return
        disk = os.statvfs(self._pump.runs)
        found = given_up(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize, self._spare, unsent)
        for one in found:
            self._pump.give_up(*one)

    def _unsent(self) -> Iterator[Unsent]:
        for key, output in self._pump.outputs.items():
            for name, tail in output.streams.items():
                middle = tail.unsent()
                if middle is not None:
                    yield Unsent(key, name, *middle)
