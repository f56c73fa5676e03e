"""The reliable consumer: from a carrier that loses and repeats, every event once and in order.

`Consumer` decides and touches nothing; `Follower` asks and hands over. A cursor is the id of the last
event that was handed over; ids are dense, so a hole in them is a loss, and what was lost is asked for.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from apsis.messages.body import decode
from apsis.messages.events import Event, Heartbeat, Page, Replay
from apsis_bus import topics
from apsis_bus.deliveries import BusRefused, BusTimeout, Published
from apsis_bus.peer import Peer
from apsis_bus.tasks import background

log = logging.getLogger("bus")

#: events kept that came while the ones before them are being asked for; beyond it they are asked for again
HELD_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Take:
    """Hand these over; they are the next ones."""

    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the scheduler for what comes after `since`."""

    since: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The past cannot be had: take a snapshot, then go on from its head.

    `floor`: it is no longer kept; `journal`: it is another database; `behind`: the database has lost its
    last events, and their ids will be given again.
    """

    reason: str


Step = Take | Ask | Reset


@dataclass(slots=True)
class Consumer:
    """The pure core. Each method takes what came and returns what is to be done, in order.

    `cursor` None means "from now on": the first word about the head becomes the cursor. `journal` 0 means
    that any is right, and the first that is heard becomes it.
    """

    cursor: int | None
    journal: int
    #: a replay is under way
    asking: bool = False
    #: after a Reset: nothing is done before `restart`
    halted: bool = False
    _held: dict[int, Event] = field(default_factory=dict)

    def restart(self, cursor: int | None, journal: int) -> list[Step]:
        """Go on from the head of a snapshot."""
        self.cursor, self.journal = cursor, journal
        self.asking = self.halted = False
        self._held.clear()
        return self.ask()

    def ask(self) -> list[Step]:
        """Ask for whatever was missed: after a (re)connection, and to try a failed replay again."""
        if self.asking or self.halted or self.cursor is None:
            return []
        self.asking = True
        return [Ask(self.cursor)]

    def on_welcome(self, journal: int, head: int) -> list[Step]:
        """Take the hub's word at a connection: good enough as "now", not as a reason to think anything lost."""
        if journal and self.cursor is None:
            self.cursor, self.journal = head, self.journal or journal
        return self.ask()

    def on_event(self, event: Event, journal: int) -> list[Step]:
        """Take a published event: the next one, one that was seen before, or one after a gap."""
        if self.halted:
            return []
        if self._is_foreign(journal):
            return self._reset("journal")
        if self.cursor is None:
            self.cursor = event.id - 1
        if event.id <= self.cursor:
            return []
        if event.id > self.cursor + 1:
            if len(self._held) < HELD_MAX:
                self._held[event.id] = event
            return self.ask()
        self.cursor = event.id
        return [Take([event, *self._release()])]

    def on_head(self, journal: int, head: int) -> list[Step]:
        """Take the scheduler's word about its last event; the hub's memory of it is not good enough."""
        if self.halted:
            return []
        if self._is_foreign(journal):
            return self._reset("journal")
        if self.cursor is None:
            self.cursor = head
        if head < self.cursor:
            return self._reset("behind")
        return self.ask() if head > self.cursor else []

    def on_page(self, page: Page) -> list[Step]:
        """Take the answer to an Ask."""
        if self.halted or not self.asking or self.cursor is None:
            return []
        self.asking = False
        if self._is_foreign(page.journal):
            return self._reset("journal")
        if page.head < self.cursor:
            return self._reset("behind")
        events = [event for event in page.events if event.id > (self.cursor or 0)]
        before = self.cursor
        self.cursor = max([self.cursor, page.last, *(event.id for event in events)])
        events += self._release()
        steps: list[Step] = [Take(events)] if events else []
        # a page that brings nothing would be asked for again at once, for ever: the next word of a head does it
        if self.cursor > before and (page.head > self.cursor or self._held):
            steps += self.ask()
        return steps

    def on_floor(self) -> list[Step]:
        """Take the answer that what was asked for is no longer kept."""
        return [] if self.halted else self._reset("floor")

    def on_failure(self) -> None:
        """Take it that no answer came; `ask` again later."""
        self.asking = False

    def _is_foreign(self, journal: int) -> bool:
        if self.journal == 0:
            self.journal = journal
        return journal != self.journal

    def _release(self) -> list[Event]:
        """Return the held events that are next now, and drop those that came another way."""
        cursor = self.cursor or 0
        events = []
        while (event := self._held.pop(cursor + 1, None)) is not None:
            cursor += 1
            events.append(event)
        self.cursor = cursor
        self._held = {number: event for number, event in self._held.items() if number > cursor}
        return events

    def _reset(self, reason: str) -> list[Step]:
        self.halted = True
        self.asking = False
        self._held.clear()
        return [Reset(reason)]


class Follower:
    """Carries out what a Consumer decides, with a Peer; hands over lists of events in order.

    `on_reset(reason)` must lead to `restart(cursor, journal)` with the head of a snapshot, sooner or later.
    """

    #: seconds: answer to a replay; first and longest pause after a failed one
    _ANSWER: Final = 10.0
    _PAUSE: Final = 0.1
    _PAUSE_MAX: Final = 5.0

    def __init__(
        self,
        peer: Peer,
        cursor: int | None,
        journal: int,
        on_events: Callable[[Sequence[Event]], None],
        on_reset: Callable[[str], None],
    ) -> None:
        self._peer = peer
        self._core = Consumer(cursor, journal)
        self._on_events = on_events
        self._on_reset = on_reset
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pause = self._PAUSE
        self._resting = False

    @property
    def cursor(self) -> int | None:
        """Id of the last event handed over."""
        return self._core.cursor

    @property
    def journal(self) -> int:
        """The journal that the cursor belongs to; 0 while none is known."""
        return self._core.journal

    def start(self) -> None:
        """Begin; before or after the peer is connected."""
        self._peer.subscribe(topics.EVENTS, self._on_event)
        self._peer.subscribe(topics.HEARTBEAT, self._on_heartbeat)
        self._peer.on_connected.append(self._on_connected)
        if self._peer.connected:
            self._on_connected()

    def stop(self) -> None:
        """End; the peer stays open."""
        self._peer.unsubscribe(topics.EVENTS, self._on_event)
        self._peer.unsubscribe(topics.HEARTBEAT, self._on_heartbeat)
        self._peer.on_connected.remove(self._on_connected)
        if self._task is not None:
            self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def restart(self, cursor: int | None, journal: int) -> None:
        """Go on from the head of a snapshot."""
        if self._task is not None and self._task is not asyncio.current_task():
            # its answer would be about the past that was given up
            self._task.cancel()
        self._do(self._core.restart(cursor, journal))

    def rest(self) -> None:
        """Hand over nothing until `resume`; what comes meanwhile is asked for then, and needs no memory here."""
        self._resting = True

    def resume(self) -> None:
        """Go on after `rest`."""
        if self._resting:
            self._resting = False
            self._do(self._core.ask())

    def _on_event(self, published: Published) -> None:
        if published.id == 0 or self._resting:
            return
        try:
            event = decode(Event, published.body)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            log.warning("event %d cannot be read: %s", published.id, error, extra={"event": "unreadable"})
            return
        self._do(self._core.on_event(event, published.journal))

    def _on_heartbeat(self, published: Published) -> None:
        beat: Heartbeat = decode(Heartbeat, published.body)
        if not self._resting:
            self._do(self._core.on_head(beat.journal, beat.head))

    def _on_connected(self) -> None:
        self._pause = self._PAUSE
        welcome = self._peer.welcome
        if welcome is not None:
            self._do(self._core.on_welcome(welcome.journal, welcome.head))

    def _do(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step:
                case Take(events):
                    self._on_events(events)
                case Ask() if self._resting:
                    self._core.on_failure()
                case Ask(since):
                    self._task = background(self._replay(since), "replay")
                case Reset(reason):
                    self._on_reset(reason)

    async def _replay(self, since: int) -> None:
        try:
            body, _ = await self._peer.request("scheduler", Replay(since=since), verb="REPLAY", timeout=self._ANSWER)
            page: Page = decode(Page, body)
        except BusRefused as refused:
            if refused.code == "floor":
                self._do(self._core.on_floor())
                return
            self._try_later(refused.code)
        except BusTimeout:
            self._try_later("timeout")
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            log.warning("a page of events cannot be read: %s", error, extra={"event": "unreadable"})
            self._try_later("unreadable")
        else:
            self._pause = self._PAUSE
            if self._resting:
                self._core.on_failure()
            else:
                self._do(self._core.on_page(page))

    def _try_later(self, why: str) -> None:
        log.info("events after %s cannot be had now (%s)", self._core.cursor, why, extra={"event": "replay_failed"})
        self._core.on_failure()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._pause, lambda: self._do(self._core.ask()))
        self._pause = min(self._pause * 2, self._PAUSE_MAX)
