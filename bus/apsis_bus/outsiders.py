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

from apsis.errors import ApsisError, ConfigError
from apsis.home import Home
from apsis.messages.events import Event, JobEvent, RunEvent, SysEvent
from apsis.messages.snapshots import Snapshot
from apsis_bus import topics
from apsis_bus.cursors import Cursor, read_cursor, write_cursor
from apsis_bus.follower import Follower
from apsis_bus.peer import Peer

log = logging.getLogger("bus")

#: events fetched ahead of a program that is slower than they come
_AHEAD: Final = 1_000
#: what stands in `event` of a run or a job, and in `kind`, where it is no event but part of a snapshot
SNAPSHOT: Final = "snapshot"

OnGap = Literal["snapshot", "raise", "skip"]


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
            hint="pass on_gap='snapshot' to be given what there is, or 'skip' to go on from now",
        )
        self.reason = reason


class Events:
    """What `events()` returns: iterate with `for` or with `async for`, once.

    An event counts as done when the loop comes back for the next one. Only then the cursor moves, so a
    program that dies while it handles an event is given it again.
    """

    def __init__(
        self, home: Home, cursor: Path | None, since: int | None, wanted: Callable[[Event], bool], on_gap: OnGap
    ) -> None:
        self._home = home
        self._path = cursor
        self._wanted = wanted
        self._on_gap = on_gap
        #: each with the cursor that is true once it is done; None: not before the whole snapshot is
        self._queue: deque[tuple[Event | None, Cursor | None]] = deque()
        self._some = asyncio.Event()
        self._lost: str | None = None
        self._start = read_cursor(cursor) or Cursor(journal=0, event=since)
        #: when what was handed out last had happened
        self._at = self._start.at
        self._reason: str | None = None

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
        start = self._start
        snapshots = self if self._on_gap == "snapshot" else None
        self._follower = Follower(peer, start.event, start.journal, self._on_events, self._on_reset, snapshots)
        await peer.connect()
        self._follower.start()
        try:
            while True:
                event, done = await self._next()
                is_wanted = event is not None and self._wanted(event)
                if is_wanted and event is not None:
                    yield event
                if done is not None:
                    self._at = done.at or self._at
                    # each fsync costs as much as the event: not for each one that nobody wants
                    if self._path is not None and (is_wanted or not self._queue):
                        write_cursor(self._path, done)
        finally:
            self._follower.stop()
            await peer.close()

    async def _next(self) -> tuple[Event | None, Cursor | None]:
        """Return what comes next; before waiting for more, let the follower go on."""
        while not self._queue:
            if self._lost is not None:
                lost, self._lost = self._lost, None
                if self._on_gap == "raise":
                    raise EventsLost(lost)
                log.warning("events were lost (%s); going on from now", lost, extra={"event": "events_lost"})
                self._follower.restart(None, 0)
            self._follower.resume()
            self._some.clear()
            await self._some.wait()
        if len(self._queue) > _AHEAD:
            self._follower.rest()
        return self._queue.popleft()

    def _put(self, event: Event | None, done: Cursor | None) -> None:
        self._queue.append((event, done))
        self._some.set()

    def _on_events(self, events: Sequence[Event]) -> None:
        journal = self._follower.journal
        for event in events:
            self._put(event, Cursor(journal=journal, event=event.id, at=event.at))

    def _on_reset(self, reason: str) -> None:
        if self._on_gap == "snapshot":
            log.warning("events cannot be had (%s); a snapshot is taken", reason, extra={"event": "events_lost"})
            self._reason = reason
        else:
            self._lost = reason
            self._some.set()

    # What a follower wants of one who takes snapshots

    def since(self) -> str:
        """Return when what was seen last had happened: what has ended since then was missed."""
        ends = [done.at for _, done in self._queue if done is not None and done.at]
        return ends[-1] if ends else self._at

    def page(self, page: Snapshot) -> None:
        """Hand out what there is, in the form of events; before the first comes a word that it is a snapshot."""
        if self._reason is not None:
            detail = {"reason": self._reason, "journal": page.journal}
            self._put(SysEvent(id=page.head, at=page.now, kind=SNAPSHOT, detail=detail), None)
            self._reason = None
        for job in page.jobs:
            job_id = str(job.get("job_id", ""))
            self._put(
                JobEvent(id=page.head, at=page.now, job_id=job_id, actor="scheduler", event=SNAPSHOT, job=job), None
            )
        for run in page.runs:
            self._put(
                RunEvent(
                    id=page.head, at=page.now, run_id=run.run_id, job_id=run.job_id, actor="scheduler",
                    event=SNAPSHOT, reason=run.reason, run=run, elided=run.run_id in page.elided,
                ),
                None,
            )  # fmt: skip

    def whole(self, journal: int, head: int, now: str) -> None:
        """From here on a cursor is true again."""
        self._put(None, Cursor(journal=journal, event=head, at=now))


def events(
    home: str | os.PathLike[str] | None = None,
    *,
    cursor: str | os.PathLike[str] | None = None,
    since: int | None = None,
    filter: str = "",
    on_gap: OnGap = "snapshot",
) -> Events:
    """Return everything that happens in an installation, event by event.

    Args:
        home: the installation; default `$APSIS_HOME`, else `~/.apsis`.
        cursor: file that keeps how far this program has come; without it one begins anew each time.
        since: id of the event after which to begin where there is no cursor yet; 0: all that is kept;
            None: from now on.
        filter: a topic prefix such as `v1/ev/run/etl%2Fload/`, or a filter text such as `job:etl/* state:failure`,
            which runs are held against.
        on_gap: what to do when events can no longer be had. `snapshot`: a `SysEvent` of kind `snapshot` says so, then
            each job and each run that lives, or has ended since the last event, comes with `event` = `snapshot`, as
            it is now; then events go on. `raise`: raise `EventsLost`. `skip`: go on from now.

    Raises:
        ApsisError: the home does not exist, or the filter or the cursor file cannot be read.
    """
    where = Home.find(home)
    if not where.root.is_dir():
        raise ConfigError(f"there is no home at {where.root}", hint="give events() the folder of an installation")
    path = None if cursor is None else Path(cursor)
    return Events(where, path, since, _wanted(filter), on_gap)


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
