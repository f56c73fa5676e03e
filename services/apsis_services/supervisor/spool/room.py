"""Telling the scheduler whether this host's spool has room for new runs."""

import asyncio
import contextlib
from pathlib import Path
from typing import Final

from apsis.config import Disk
from apsis.messages.body import decode
from apsis.messages.dispatch import HostRoom
from apsis.messages.events import Heartbeat
from apsis.room import DiskWatch
from apsis_bus import topics
from apsis_bus.peer import BusRefused, BusTimeout, Peer, Published
from apsis_bus.tasks import background

#: seconds between two looks; one costs 10 µs
EACH: Final = 5.0
_PATIENCE: Final = 5.0


class RoomTeller:
    """Looks each five seconds; says what has changed until the scheduler has taken note of it.

    Made before the supervisor itself listens for the scheduler, so that it is the first to speak.
    """

    def __init__(self, host: str, spool: Path, disk: Disk, peer: Peer) -> None:
        self._host = host
        self._watch = DiskWatch(f"the spool of host {host}", spool, disk)
        self._peer = peer
        #: what the scheduler has taken note of in its present life; None: nothing
        self._known: str | None = None
        self._life = (0, 0)
        self._due = asyncio.Event()
        peer.subscribe(topics.HEARTBEAT, self._heard)
        peer.on_connected.append(self._say_first)
        #: to be cancelled
        self.task = background(self._work(), "tell how much room there is")

    def _heard(self, published: Published) -> None:
        beat: Heartbeat = decode(Heartbeat, published.body)
        if (beat.term, beat.life) != self._life:
            self._life = (beat.term, beat.life)
            self._say_first()

    def _say_first(self) -> None:
        """Say it before HELLO is said: what waits for this host would be started by that."""
        self._known = None
        if self._watch.look():
            self._peer.send("scheduler", HostRoom(host=self._host, lack=self._watch.lack))
        self._due.set()

    async def _work(self) -> None:
        while True:
            # before the look: what is set while the scheduler is asked is not to be lost
            self._due.clear()
            lack = self._watch.look()
            if lack != self._known and self._peer.connected:
                await self._tell(lack)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EACH):
                    await self._due.wait()

    async def _tell(self, lack: str) -> None:
        life = self._life
        try:
            await self._peer.request("scheduler", HostRoom(host=self._host, lack=lack), timeout=_PATIENCE)
        except (BusRefused, BusTimeout):
            return  # it is away, or cannot write: the next look says it again
        if life == self._life:
            self._known = lack
