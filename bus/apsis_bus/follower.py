"""The follower: carries out what a `Consumer` and a `Collector` decide, with a peer; hands over events in order."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from apsis.messages.body import Body, decode
from apsis.messages.events import Event, Heartbeat, Page, Replay
from apsis.messages.snapshots import Snap, Snapshot
from apsis_bus import topics
from apsis_bus.consumer import Ask, Consumer, Reset, Step, Take
from apsis_bus.deliveries import BusRefused, BusTimeout, Published
from apsis_bus.peer import Peer
from apsis_bus.snapshots import Anew, AskPage, Collector, TakePage, Whole
from apsis_bus.tasks import background

log = logging.getLogger("bus")

SCHEDULER: Final = "scheduler"
#: seconds: answer to a question; first and longest pause after one that was not answered
_ANSWER: Final = 10.0
_PAUSE: Final = 0.1
_PAUSE_MAX: Final = 5.0


class TakesSnapshots(Protocol):
    """Who is given a snapshot where events can no longer be had, after a word to `on_reset`."""

    def since(self) -> str:
        """Return the time from which on runs that have ended are wanted too; empty: none of them."""
        ...

    def page(self, page: Snapshot) -> None:
        """Take some of what there is."""
        ...

    def whole(self, journal: int, head: int, now: str) -> None:
        """That was all; what comes next is the event after `head`."""
        ...


class Follower:
    """Gives every event once and in order to `on_events`; if it cannot, says `floor`, `journal` or `behind`.

    It says so to `on_reset`. With `snapshots` it then takes one by itself, and goes on; without, that must lead to
    `restart(cursor, journal)` with the head of a snapshot, sooner or later.
    """

    def __init__(
        self,
        peer: Peer,
        cursor: int | None,
        journal: int,
        on_events: Callable[[Sequence[Event]], None],
        on_reset: Callable[[str], None],
        snapshots: TakesSnapshots | None = None,
    ) -> None:
        self._peer = peer
        self._core = Consumer(cursor, journal)
        self._on_events = on_events
        self._on_reset = on_reset
        self._snapshots = snapshots
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pause = _PAUSE
        self._going = asyncio.Event()
        self._going.set()

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
        self._give_up()
        self._do(self._core.restart(cursor, journal))

    def rest(self) -> None:
        """Hand over nothing until `resume`; what comes meanwhile is asked for then, and needs no memory here."""
        self._going.clear()

    def resume(self) -> None:
        """Go on after `rest`."""
        if not self._going.is_set():
            self._going.set()
            self._do(self._core.ask())

    def _give_up(self) -> None:
        """Ask no longer: the answer would be about a past that was given up."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def _on_event(self, published: Published) -> None:
        if published.id == 0 or not self._going.is_set():
            return
        try:
            event = decode(Event, published.body)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            log.warning("event %d cannot be read: %s", published.id, error, extra={"event": "unreadable"})
            return
        self._do(self._core.on_event(event, published.journal))

    def _on_heartbeat(self, published: Published) -> None:
        beat: Heartbeat = decode(Heartbeat, published.body)
        if self._going.is_set():
            self._do(self._core.on_head(beat.journal, beat.head))

    def _on_connected(self) -> None:
        self._pause = _PAUSE
        welcome = self._peer.welcome
        if welcome is not None:
            self._do(self._core.on_welcome(welcome.journal, welcome.head))

    def _do(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step:
                case Take(events):
                    self._on_events(events)
                case Ask() if not self._going.is_set():
                    self._core.on_failure()
                case Ask(since):
                    self._task = background(self._replay(since), "replay")
                case Reset(reason):
                    self._give_up()
                    self._on_reset(reason)
                    if self._snapshots is not None:
                        self._task = background(self._take_snapshot(self._snapshots), "snapshot")

    async def _replay(self, since: int) -> None:
        try:
            page: Page = await self._ask("REPLAY", Replay(since=since), Page)
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
            self._pause = _PAUSE
            if self._going.is_set():
                self._do(self._core.on_page(page))
            else:
                self._core.on_failure()

    async def _take_snapshot(self, takes: TakesSnapshots) -> None:
        """Fetch all pages, however long that takes, and go on from the head of the first."""
        collector = Collector(takes.since())
        steps = collector.ask()
        while steps:
            match steps.pop(0):
                case AskPage(snap):
                    steps += collector.on_page(await self._page(snap))
                case TakePage(page):
                    takes.page(page)
                case Anew():
                    self._on_reset("journal")
                case Whole(journal, head, now):
                    takes.whole(journal, head, now)
                    self.restart(head, journal)

    async def _page(self, snap: Snap) -> Snapshot:
        while True:
            await self._going.wait()
            try:
                page: Snapshot = await self._ask("SNAP", snap, Snapshot)
            except (BusRefused, BusTimeout, msgspec.ValidationError, msgspec.DecodeError) as error:
                log.info("no snapshot can be had now (%s)", error, extra={"event": "snapshot_failed"})
            else:
                self._pause = _PAUSE
                return page
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, _PAUSE_MAX)

    async def _ask(self, verb: str, body: Body, kind: type[Body]) -> Any:
        answer, _ = await self._peer.request(SCHEDULER, body, verb=verb, timeout=_ANSWER)
        return decode(kind, answer)

    def _try_later(self, why: str) -> None:
        log.info("events after %s cannot be had now (%s)", self._core.cursor, why, extra={"event": "replay_failed"})
        self._core.on_failure()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._pause, lambda: self._do(self._core.ask()))
        self._pause = min(self._pause * 2, _PAUSE_MAX)
