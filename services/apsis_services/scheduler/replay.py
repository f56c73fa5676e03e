"""Answers REPLAY from a connection that only reads, in a thread, so that a long one holds up nothing."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from apsis.messages.body import decode
from apsis.messages.events import Event, Page, Replay
from apsis_services.scheduler.database import open_reader

#: events and bytes of one page
EVENTS: Final = 500
BYTES: Final = 512 * 1024

_EVENTS: Final = "SELECT id, body FROM event WHERE id > ? ORDER BY id LIMIT ?"
_NARROW: Final = "SELECT id, body FROM event WHERE id > ? AND topic >= ? AND topic < ? ORDER BY id LIMIT ?"
_ENDS: Final = "SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM event"


class Floor(Exception):
    """The events that are asked for are gone; the reader takes a snapshot."""

    def __init__(self, floor: int) -> None:
        super().__init__(f"events up to {floor} are gone")
        self.floor = floor


class Replayer:
    """Reads pages of the event journal."""

    def __init__(self, path: Path, journal: int) -> None:
        self._path = path
        self._journal = journal
        self._sql: sqlite3.Connection | None = None
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="replay")

    def close(self) -> None:
        """End the thread."""
        self.thread.shutdown(wait=True, cancel_futures=True)
        if self._sql is not None:
            self._sql.close()

    def page(self, replay: Replay) -> Page:
        """Return the next page; called in the thread.

        Raises:
            Floor: what comes after `since` is not there any more.
        """
        if self._sql is None:
            self._sql = open_reader(self._path)
        sql = self._sql
        sql.execute("BEGIN")
        try:
            first, head = sql.execute(_ENDS).fetchone()
            if first and replay.since < first - 1:
                raise Floor(first - 1)
            return self._read(sql, replay, head)
        finally:
            sql.execute("ROLLBACK")

    def _read(self, sql: sqlite3.Connection, replay: Replay, head: int) -> Page:
        limit = max(1, min(replay.limit, EVENTS))
        if replay.prefix in {"", "v1/", "v1/ev/"}:
            rows = sql.execute(_EVENTS, (replay.since, limit))
        else:
            # every part of a topic ends in "/", so what begins with the prefix lies below its next character
            after = replay.prefix[:-1] + chr(ord(replay.prefix[-1]) + 1)
            rows = sql.execute(_NARROW, (replay.since, replay.prefix, after, limit))
        events: list[Event] = []
        size = 0
        last = replay.since
        for number, body in rows:
            size += len(body)
            if events and size > BYTES:
                return Page(journal=self._journal, last=last, head=head, events=events)
            events.append(decode(Event, body))
            last = number
        if len(events) < limit:
            # nothing more begins with the prefix: the reader need not ask again
            last = max(head, last)
        return Page(journal=self._journal, last=last, head=head, events=events)
