"""Events for people's own programs: a loop over everything that happens, which may be broken off and taken up again.

from apsis_bus import events
for event in events(cursor="my.cursor"):
    print(event)
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from apsis.errors import ApsisError, ConfigError
from apsis.home import Home
from apsis.messages.events import Event, RunEvent
from apsis_bus import topics
from apsis_bus.consumer import Follower
from apsis_bus.peer import Peer

log = logging.getLogger("bus")

#: events fetched ahead of a program that is slower than they come
_AHEAD: Final = 1_000


class EventsLost(ApsisError):
    """Events between the cursor and now can no longer be had."""

    code = "floor"

    def __init__(self, reason: str) -> None:
        words = {
            "floor": "they are no longer kept",
            "journal": "the database is another one",
            "behind": "the database has lost them",
        }
        super().__init__(
            f"events after the cursor cannot be had: {words.get(reason, reason)}",
            hint="pass on_gap='skip' to go on from now, or remove the cursor file",
        )
        self.reason = reason


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far a program has come; the content of its cursor file."""

    journal: int
    #: None: from now on
    event: int | None


class Events:
    """What `events()` returns: iterate with `for` or with `async for`, once.

    An event counts as done when the loop comes back for the next one. Only then the cursor moves, so a
    program that dies while it handles an event is given it again.
    """

    def __init__(
        self, home: Home, cursor: Path | None, since: int | None, wanted: Callable[[Event], bool], skips: bool
    ) -> None:
        self._home = home
        self._path = cursor
        self._since = since
        self._wanted = wanted
        self._skips = skips
        self._queue: deque[Event] = deque()
        self._some = asyncio.Event()
        self._lost: str | None = None

    def __iter__(self) -> Iterator[Event]:
        """Wait in this thread for each event; Ctrl-C ends the wait."""
        with asyncio.Runner() as runner:
            stream = self.__aiter__()

            async def step() -> Event:
                return await anext(stream)

            try:
                while True:
                    yield runner.run(step())
            finally:
                runner.run(_close(stream))

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        """Wait in the running loop for each event."""
        peer = Peer(self._home, f"client/{os.getuid()}/{os.urandom(8).hex()}")
        start = _read(self._path) or Cursor(journal=0, event=self._since)
        follower = Follower(peer, start.event, start.journal, self._on_events, self._on_reset)
        await peer.connect()
        follower.start()
        try:
            while True:
                event = await self._next(follower)
                done = Cursor(journal=follower.journal, event=event.id)
                is_wanted = self._wanted(event)
                if is_wanted:
                    yield event
                # each fsync costs as much as the event: not for each one that nobody wants
                if self._path is not None and (is_wanted or not self._queue):
                    _write(self._path, done)
        finally:
            follower.stop()
            await peer.close()

    async def _next(self, follower: Follower) -> Event:
        """Return the next event; before waiting for more, let the follower go on."""
        while not self._queue:
            if self._lost is not None:
                lost, self._lost = self._lost, None
                if not self._skips:
                    raise EventsLost(lost)
                log.warning("events were lost (%s); going on from now", lost, extra={"event": "events_lost"})
                follower.restart(None, 0)
            follower.resume()
            self._some.clear()
            await self._some.wait()
        if len(self._queue) > _AHEAD:
            follower.rest()
        return self._queue.popleft()

    def _on_events(self, events: Sequence[Event]) -> None:
        self._queue.extend(events)
        self._some.set()

    def _on_reset(self, reason: str) -> None:
        self._lost = reason
        self._some.set()


def events(
    home: str | os.PathLike[str] | None = None,
    *,
    cursor: str | os.PathLike[str] | None = None,
    since: int | None = None,
    filter: str = "",
    on_gap: Literal["raise", "skip"] = "raise",
) -> Events:
    """Return everything that happens in an installation, event by event.

    Args:
        home: the installation; default `$APSIS_HOME`, else `~/.apsis`.
        cursor: file that keeps how far this program has come; without it one begins anew each time.
        since: id of the event after which to begin where there is no cursor yet; 0: all that is kept;
            None: from now on.
        filter: a topic prefix such as `v1/ev/run/etl%2Fload/`, or a filter text such as `job:etl/* state:failure`,
            which runs are held against.
        on_gap: what to do when events can no longer be had: raise `EventsLost`, or go on from now.

    Raises:
        ApsisError: the home does not exist, or the filter or the cursor file cannot be read.
    """
    where = Home.find(home)
    if not where.root.is_dir():
        raise ConfigError(f"there is no home at {where.root}", hint="give events() the folder of an installation")
    path = None if cursor is None else Path(cursor)
    _read(path)
    return Events(where, path, since, _wanted(filter), skips=on_gap == "skip")


def _wanted(text: str) -> Callable[[Event], bool]:
    """Return the test that a filter text means."""
    if not text:
        return lambda _event: True
    if text.startswith(topics.VERSION):
        return lambda event: topics.of_event(event).startswith(text)
    from apsis.filters import parse

    query = parse(text)
    return lambda event: isinstance(event, RunEvent) and event.run is not None and query.matches(event.run)


async def _close(stream: AsyncGenerator[Event, None]) -> None:
    await stream.aclose()


def _read(path: Path | None) -> Cursor | None:
    """Return what a cursor file says; None where there is none yet."""
    if path is None or not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Cursor)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path} is no cursor: {error}", hint="remove it to begin anew") from None


def _write(path: Path, cursor: Cursor) -> None:
    """Replace a cursor file as a whole, on disk before the next event is handed out."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(cursor) + b"\n")
        file.flush()
        os.fdatasync(file.fileno())
    draft.replace(path)
