"""Who waits for more output of a run, and the word of the store that wakes them."""

import asyncio
from collections.abc import Callable
from typing import Final

from apsis.messages.body import decode
from apsis.messages.live import SAMPLES
from apsis.messages.outputs import LiveOutput
from apsis_bus import topics
from apsis_bus.peer import Peer, Published
from apsis_web.asking import Place

_PREFIX: Final = "v1/live/out/"


class LiveOutputs:
    """Hears how outputs grow, and calls who asked for that run."""

    def __init__(self, peer: Peer) -> None:
        self._listeners: dict[Place, set[Callable[[LiveOutput], None]]] = {}
        # One subscription for all runs: thousands of prefixes would overrun the socket's queue.
        peer.subscribe(_PREFIX, self._on_published)
        assert topics.live_output("x").startswith(_PREFIX)

    def listen(self, place: Place, listener: Callable[[LiveOutput], None]) -> None:
        """Call `listener` with each new length of the run's streams."""
        self._listeners.setdefault(place, set()).add(listener)

    def unlisten(self, place: Place, listener: Callable[[LiveOutput], None]) -> None:
        """Call it no longer."""
        listeners = self._listeners.get(place, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(place, None)

    def _on_published(self, published: Published) -> None:
        if not self._listeners:
            return
        output: LiveOutput = decode(LiveOutput, published.body)
        if output.stream == SAMPLES:  # nothing that a run prints
            return
        for listener in list(self._listeners.get(Place(output.journal, output.run_id), ())):
            listener(output)


class Growth:
    """Waits until a run's output may have grown."""

    def __init__(self, outputs: LiveOutputs, place: Place) -> None:
        self._outputs = outputs
        self._place = place
        self._event = asyncio.Event()

    def __enter__(self) -> "Growth":
        self._outputs.listen(self._place, self._wake)
        return self

    def __exit__(self, *_: object) -> None:
        self._outputs.unlisten(self._place, self._wake)

    def _wake(self, output: LiveOutput) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return when it has grown, or after some seconds, for a word may be lost."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()
