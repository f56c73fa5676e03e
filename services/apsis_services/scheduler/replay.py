"""Answers REPLAY and SNAP from a connection that only reads, in a thread, so that a long one holds up nothing."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from apsis.messages.body import decode
from apsis.messages.events import Event, JobEvent, Page, Replay, RunEvent
from apsis.messages.snapshots import Snap, Snapshot
from apsis_services.scheduler.reading import open_reader
from apsis_services.scheduler.snapshots import BadQuestion, read_snapshot

#: events and bytes of one page
EVENTS: Final = 500
BYTES: Final = 512 * 1024

_EVENTS: Final = "SELECT id, body FROM event WHERE id > ? ORDER BY id LIMIT ?"
_NARROW: Final = "SELECT id, body FROM event WHERE id > ? AND topic >= ? AND topic < ? ORDER BY id LIMIT ?"
_ENDS: Final = "SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM event"


#: the largest number that SQLite knows
_MOST: Final = 2**63 - 1
T = TypeVar("T")


class Floor(Exception):
    """The events that are asked for are gone; the reader takes a snapshot."""

    def __init__(self, floor: int) -> None:
        super().__init__(f"events up to {floor} are gone")
        self.floor = floor


class Replayer:
    """Reads pages of the event journal, and of what there is."""

    def __init__(self, path: Path, journal: int) -> None:
        self._path = path
        #: set anew when the database gets another number
        self.journal = journal
        self._sql: sqlite3.Connection | None = None
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="replay")

    def close(self) -> None:
        """End the thread."""
        self.thread.shutdown(wait=True, cancel_futures=True)
        if self._sql is not None:
            self._sql.close()

    def page(self, replay: Replay) -> Page:
        """Return the next page of events; called in the thread.

        Raises:
            Floor: what comes after `since` is not there any more.
            BadQuestion: no event can have such a topic.
        """
        return self._transact(lambda sql: self._page(sql, replay))

    def snapshot(self, snap: Snap) -> Snapshot:
        """Return a page of what there is; called in the thread.

        Raises:
            BadQuestion: `after` or `since` is not what it should be.
        """
        return self._transact(lambda sql: read_snapshot(sql, self.journal, snap))

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._sql is None:
            self._sql = open_reader(self._path)
        self._sql.execute("BEGIN")
        try:
            return work(self._sql)
        finally:
            self._sql.execute("ROLLBACK")

    def _page(self, sql: sqlite3.Connection, replay: Replay) -> Page:
        first, head = sql.execute(_ENDS).fetchone()
        if first and replay.since < first - 1:
            raise Floor(first - 1)
        limit = max(1, min(replay.limit, EVENTS))
        events: list[Event] = []
        size = 0
        last = replay.since
        for number, body in _rows(sql, replay, limit):
            size += len(body)
            if events and size > BYTES:
                return Page(journal=self.journal, last=last, head=head, events=events)
            events.append(_event(body))
            last = number
        if len(events) < limit:
            # nothing more begins with the prefix: the reader need not ask again
            last = max(head, last)
        return Page(journal=self.journal, last=last, head=head, events=events)


def _rows(sql: sqlite3.Connection, replay: Replay, limit: int) -> sqlite3.Cursor:
    """Read events whose topic begins with the prefix; anybody may have asked, for anything."""
    since, prefix = min(replay.since, _MOST), replay.prefix
    if prefix in {"", "v1/", "v1/ev/"}:
        return sql.execute(_EVENTS, (since, limit))
    if not (prefix.isascii() and prefix.isprintable() and prefix.startswith("v1/")):
        raise BadQuestion("the prefix of a topic begins with v1/, and its parts are percent-encoded")
    # every part of a topic ends in "/", so what begins with the prefix lies below its next character
    after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return sql.execute(_NARROW, (since, prefix, after, limit))


def _event(body: bytes) -> Event:
    """Return an event; of one that would fill more than a message, what is small."""
    event: Event = decode(Event, body)
    if len(body) > BYTES:
        empty: dict[str, Any] = {"args": {}, "program": {}, "conditions": [], "actions": []}
        if isinstance(event, RunEvent) and event.run is not None:
            return replace(event, run=replace(event.run, **empty), elided=True)
        if isinstance(event, JobEvent) and event.job is not None:
            return replace(event, job={"job_id": event.job_id, "elided": True})
    return event
