"""Reading events: each once and in order, written down with all that follows from it."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from apsis.failpoints import reach
from apsis.messages.body import decode
from apsis.messages.events import Event, Page, Replay, RunEvent
from apsis.messages.snapshots import Consumed, Snapshot
from apsis.runs.states import FINISHED
from apsis.times import format_time
from apsis_bus.follower import SCHEDULER, Follower
from apsis_bus.peer import BusRefused, BusTimeout, Peer
from apsis_services.alerts.decisions import Decider, Decision, Ended, ends_in, is_end
from apsis_services.alerts.flood import Flood
from apsis_services.alerts.ledger import Ledger, Place
from apsis_services.alerts.writing import Writing

log = logging.getLogger("alerts")

#: ends before the file of the alerts was made are of the past; as it is made while the first runs may begin: seconds
_BEFORE: Final = 60.0
#: batches that wait; more are not taken from the bus
_AHEAD: Final = 20
#: seconds between two words to the scheduler about how far we are, and to our own file where nothing follows
_REGISTER: Final = 60.0
_WRITE: Final = 5.0
_ANSWER: Final = 10.0
_PAUSE: Final = 1.0


class Reader:
    """Follows the events; implements what a follower wants of one who takes snapshots."""

    def __init__(
        self,
        peer: Peer,
        ledger: Ledger,
        decider: Decider,
        flood: Flood,
        writing: Writing,
        decided: Callable[[], None],
    ) -> None:
        self._peer = peer
        self._ledger = ledger
        self._decider = decider
        self._flood = flood
        self._writing = writing
        self._decided = decided
        self._since = format_time(datetime.fromtimestamp(max(0.0, ledger.made - _BEFORE), UTC))
        #: events, or what a snapshot shows of ends; and up to where they go
        self._queue: deque[tuple[Sequence[Event | Ended], Place | None]] = deque()
        self._some = asyncio.Event()
        #: what was read and leads to nothing is written down from time to time
        self._read: Place | None = None
        place = ledger.place
        self.follower = Follower(peer, place.cursor, place.journal, self._on_events, self._on_reset, self)

    def start(self) -> None:
        """Begin to listen."""
        self.follower.start()

    def stop(self) -> None:
        """Listen no more."""
        self.follower.stop()

    async def run(self) -> None:
        """Decide what is read, for ever."""
        while True:
            try:
                async with asyncio.timeout(_WRITE if self._read is not None else None):
                    await self._some.wait()
            except TimeoutError:
                place, self._read = self._read, None
                await self._writing.insist(partial(self._ledger.decide, Decision(), [], place, time.time()))
                continue
            self._some.clear()
            while self._queue:
                items, place = self._queue.popleft()
                await self._take(items, place)
            self.follower.resume()

    async def register(self) -> None:
        """Have the events kept that we have not come to, for ever."""
        while True:
            if self._peer.connected and self._ledger.place.journal:
                place = self._ledger.place
                word = Consumed(name="alerts", journal=place.journal, cursor=place.cursor)
                try:
                    await self._peer.request(SCHEDULER, word, timeout=_ANSWER)
                except (BusRefused, BusTimeout) as error:
                    # where events are gone, the follower finds out by itself and takes a snapshot
                    log.info("events are not kept for us now: %s", error, extra={"event": "not_registered"})
            await asyncio.sleep(_REGISTER if self._ledger.place.journal else _PAUSE)

    async def _take(self, items: Sequence[Event | Ended], place: Place | None) -> None:
        """Decide one batch: it and what follows from it are one transaction."""
        ends: list[Ended | str] = []
        for item in items:
            if isinstance(item, Ended):
                ends.append(item)
            else:
                event = await self._whole(item, place) if is_end(item) else item
                ends += ends_in([event], place.journal if place else 0, self._since)
        decision = self._decider.decide(ends, self._ledger.is_failing)
        if not (decision.letters or decision.failing or decision.removed):
            self._read = place or self._read
            if self._ledger.place.journal == 0 and place is not None:
                self._read = None
                await self._writing.insist(lambda: self._ledger.decide(decision, [], place, time.time()))
            return
        reach("alerts.read")
        now = time.time()
        gathered = [not self._flood.lets_pass(letter, now) for letter in decision.letters]
        self._read = None
        await self._writing.insist(lambda: self._ledger.decide(decision, gathered, place, now))
        reach("alerts.decided")
        self._decided()

    async def _whole(self, event: Event, place: Place | None) -> Event:
        """Return an event with its actions: what is too large is published without, and is to be asked for."""
        if not isinstance(event, RunEvent) or not event.elided or place is None:
            return event
        while True:
            try:
                body, _ = await self._peer.request(
                    SCHEDULER, Replay(since=event.id - 1, limit=1), verb="REPLAY", timeout=_ANSWER
                )  # fmt: skip
                page: Page = decode(Page, body)
            except BusRefused as refused:
                if refused.code == "floor":
                    log.warning("the actions of %s cannot be had any more", event.run_id, extra={"event": "elided"})
                    return event
            except (BusTimeout, msgspec.DecodeError) as error:
                log.info("an event cannot be had whole now: %s", error, extra={"event": "elided"})
            else:
                if page.journal != place.journal:
                    return event
                if page.events and page.events[0].id == event.id:
                    return page.events[0]
            await asyncio.sleep(_PAUSE)

    def _put(self, items: Sequence[Event | Ended], place: Place | None) -> None:
        self._queue.append((items, place))
        self._some.set()
        if len(self._queue) > _AHEAD:
            self.follower.rest()

    def _on_events(self, events: Sequence[Event]) -> None:
        last = events[-1]
        self._put(events, Place(self.follower.journal, last.id, last.at))

    def _on_reset(self, reason: str) -> None:
        log.warning("events cannot be had (%s); a snapshot is taken", reason, extra={"event": "events_lost"})

    # What a follower wants of one who takes snapshots

    def since(self) -> str:
        """Return when what was decided last had happened: what has ended since then was missed."""
        places = [place.at for _, place in self._queue if place is not None and place.at]
        return max([self._since, self._ledger.place.at, *places])

    def page(self, page: Snapshot) -> None:
        """Take the runs that have ended; what was decided before is known by its origin."""
        ends: list[Event | Ended] = []
        for run in page.runs:
            at = run.timestamps.get(run.state.value, "")
            if run.state in FINISHED and at >= self._since:
                ends.append(Ended(run, f"{run.journal or page.journal}-{run.run_id}.{run.rev}", at))
        self._put(ends, None)

    def whole(self, journal: int, head: int, now: str) -> None:
        """From here on there are events again."""
        self._put([], Place(journal, head, now))
