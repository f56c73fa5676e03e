"""The one module that reads the scheduler's database: plain SQL over the documented views, read-only.

Each call is one read transaction in a thread, ended before its answer is handed out, and broken off at a
deadline. `v_run`, `v_event`, `v_job` and `v_meta` are all that is named here.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from apsis.errors import Unavailable
from apsis.filters import Filter
from apsis.filters.facts import StoredRun
from apsis.times import from_micros

#: seconds that one call may take; a page waits no longer
DEADLINE: Final = 2.0
#: seconds for the one big read at the start
LOAD_DEADLINE: Final = 60.0
_STEPS: Final = 5_000
_RUN: Final = "num, time_key, doc"

Order = tuple[int, int]
#: a connection inside a read transaction, as others name it who may not name the library
Reads = sqlite3.Connection
T = TypeVar("T")
_facts: Final = msgspec.json.Decoder(StoredRun)


class DatabaseAway(Unavailable):
    """The database is not there yet, or cannot be read now."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the database cannot be read: {reason}", hint="it comes with the scheduler; try again soon")


class TookTooLong(Unavailable):
    """The deadline passed; what was asked for has no index, or the machine is busy."""

    def __init__(self) -> None:
        super().__init__("the database took too long", hint="narrow the filter, for example with sched: or job:")


@dataclass(frozen=True, slots=True)
class Stored:
    """One run as the view has it."""

    order: Order
    doc: bytes


@dataclass(frozen=True, slots=True)
class Meta:
    """What the database says of itself."""

    journal: int
    head: int
    job_errors: bytes = b"[]"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The state at one moment: all runs that are not finished, and the finished ones from `floor` on."""

    meta: Meta
    floor: int
    runs: list[Stored]
    jobs: list[tuple[str, bytes]]
    #: (event id, run id or None, topic), oldest first
    changes: list[tuple[int, str | None, str]]
    #: below the floor there is nothing
    whole: bool


@dataclass(slots=True)
class Found:
    """Runs that a filter found, in the order asked for."""

    rows: list[Stored] = field(default_factory=list)
    #: False: the deadline ended the search before its end
    complete: bool = True


class Database:
    """Reads the views in two threads, each with a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="database")
        self._local = threading.local()
        self._generation = 0

    def reopen(self) -> None:
        """Open the file anew at the next call: after a restore another file stands at its path."""
        self._generation += 1

    def close(self) -> None:
        """End the threads; calls that run are let end by their deadline."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def load(self, floor: int, limit: int, changes: int) -> Loaded:
        """Return all that a cache begins with; at most `limit` finished runs, none before `floor` (µs)."""
        return await self._call(lambda c: _load(c, floor, limit, changes), LOAD_DEADLINE)

    async def meta(self) -> Meta:
        """Return journal, head and the errors of the last load of the job files."""
        return await self._call(_meta)

    async def run(self, num: int) -> Stored | None:
        """Return one run, or None if there is none."""
        return await self._call(lambda c: _one_run(c, num))

    async def log(self, num: int, since: int = 0) -> tuple[bytes | None, list[tuple[int, bytes]]]:
        """Return the history of a finished run and the events kept of it, after event `since`."""
        return await self._call(lambda c: _log(c, num, since))

    async def events(self, since: int, limit: int) -> tuple[int, list[tuple[int, bytes]]]:
        """Return the id of the oldest event kept, and (id, JSON) of those after `since`."""
        return await self._call(lambda c: _events(c, since, limit))

    async def older(self, filter_: Filter, now: int, bound: Order, floor: int, limit: int) -> Found:
        """Return finished runs before `bound` and before `floor` (µs) that match, latest first."""
        return await self._call(lambda c: _older(c, filter_, now, bound, floor, limit), DEADLINE + 0.5)

    async def between(self, filter_: Filter, now: int, bound: Order, floor: int, limit: int) -> Found:
        """Return finished runs from `bound` on and before `floor` (µs) that match, earliest first."""
        return await self._call(lambda c: _between(c, filter_, now, bound, floor, limit), DEADLINE + 0.5)

    async def count(self, filter_: Filter, now: int, bound: Order, without: Sequence[int]) -> int:
        """Return how many finished runs before `bound` match an exact filter, leaving out some by number."""
        return await self._call(lambda c: _count(c, filter_, now, bound, without))

    async def read(self, work: Callable[[Reads], T]) -> T:
        """Return what a piece of work reads, in one transaction; it is broken off at the deadline."""
        return await self._call(work)

    def read_now(self, work: Callable[[Reads], T], deadline: float, *, together: bool) -> T:
        """Do the same in the calling thread, for a process of its own; `deadline` in seconds.

        Not `together`: each statement is a transaction, as a long one would have the log of the database grow.
        """
        return self._transact(work, deadline, together=together)

    async def _call(self, work: Callable[[sqlite3.Connection], T], deadline: float = DEADLINE) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._transact, work, deadline)

    def _transact(self, work: Callable[[sqlite3.Connection], T], deadline: float, *, together: bool = True) -> T:
        try:
            connection = self._connection()
            end = time.monotonic() + deadline
            connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
            if together:
                connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.set_progress_handler(None, 0)
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise TookTooLong from error
            self._drop()
            raise DatabaseAway(str(error)) from error

    def _connection(self) -> sqlite3.Connection:
        if getattr(self._local, "generation", None) != self._generation:
            self._drop()
            uri = f"file:{quote(str(self.path))}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, timeout=1.0, isolation_level=None)
            connection.execute("PRAGMA query_only = 1")
            connection.execute("PRAGMA cache_size = -2048")
            self._local.connection = connection
            self._local.generation = self._generation
        found: sqlite3.Connection = self._local.connection
        return found

    def _drop(self) -> None:
        connection = getattr(self._local, "connection", None)
        self._local.connection = self._local.generation = None
        if connection is not None:
            connection.close()


def _meta(connection: sqlite3.Connection) -> Meta:
    values = dict(connection.execute("SELECT key, value FROM v_meta").fetchall())
    try:
        return Meta(int(values["journal"]), int(values["head"]), _bytes(values.get("job_errors") or b"[]"))
    except (KeyError, ValueError) as error:
        raise DatabaseAway(f"it is not whole yet ({error})") from error


def _load(connection: sqlite3.Connection, floor: int, limit: int, changes: int) -> Loaded:
    meta = _meta(connection)
    runs = _stored(connection.execute(f"SELECT {_RUN} FROM v_run WHERE finished = 0"))  # noqa: S608
    finished = _stored(
        connection.execute(
            f"SELECT {_RUN} FROM v_run WHERE finished = 1 AND time_key >= ? "  # noqa: S608
            "ORDER BY time_key DESC, num DESC LIMIT ?",
            (floor, limit + 1),
        )
    )
    if len(finished) > limit:
        # The floor is a time, so runs of the very time at which the limit was reached stay out together.
        floor = finished[-1].order[0] + 1
        finished = [run for run in finished if run.order[0] >= floor]
    older = connection.execute("SELECT 1 FROM v_run WHERE finished = 1 AND time_key < ? LIMIT 1", (floor,)).fetchone()
    jobs = [(job_id, _bytes(doc)) for job_id, doc in connection.execute("SELECT job_id, doc FROM v_job")]
    recent = connection.execute(
        "SELECT id, run_id, topic FROM v_event WHERE id > ? ORDER BY id", (meta.head - changes,)
    ).fetchall()
    return Loaded(meta, floor, runs + finished, jobs, recent, older is None)


def _one_run(connection: sqlite3.Connection, num: int) -> Stored | None:
    found = _stored(connection.execute(f"SELECT {_RUN} FROM v_run WHERE num = ?", (num,)))  # noqa: S608
    return found[0] if found else None


def _log(connection: sqlite3.Connection, num: int, since: int) -> tuple[bytes | None, list[tuple[int, bytes]]]:
    row = connection.execute("SELECT history FROM v_run WHERE num = ?", (num,)).fetchone()
    events = connection.execute(
        "SELECT id, body FROM v_event WHERE run_id = ? AND id > ? ORDER BY id", (f"r{num}", since)
    ).fetchall()
    history = None if row is None or row[0] is None else _bytes(row[0])
    return history, [(number, _bytes(body)) for number, body in events]


def _events(connection: sqlite3.Connection, since: int, limit: int) -> tuple[int, list[tuple[int, bytes]]]:
    oldest = connection.execute("SELECT min(id) FROM v_event").fetchone()[0]
    rows = connection.execute(
        "SELECT id, body FROM v_event WHERE id > ? ORDER BY id LIMIT ?", (since, limit)
    ).fetchall()
    return oldest or 0, [(number, _bytes(body)) for number, body in rows]


def _older(connection: sqlite3.Connection, filter_: Filter, now: int, bound: Order, floor: int, limit: int) -> Found:
    where, params = filter_.sql(from_micros(now))
    cursor = connection.execute(
        f"SELECT {_RUN} FROM v_run WHERE finished = 1 AND time_key < ? AND (time_key, num) < (?, ?) "  # noqa: S608
        f"AND {where} ORDER BY time_key DESC, num DESC",
        [floor, *bound, *params],
    )
    return _take(cursor, filter_, now, limit)


def _between(connection: sqlite3.Connection, filter_: Filter, now: int, bound: Order, floor: int, limit: int) -> Found:
    where, params = filter_.sql(from_micros(now))
    cursor = connection.execute(
        f"SELECT {_RUN} FROM v_run WHERE finished = 1 AND time_key < ? AND (time_key, num) >= (?, ?) "  # noqa: S608
        f"AND {where} ORDER BY time_key, num",
        [floor, *bound, *params],
    )
    return _take(cursor, filter_, now, limit)


def _count(connection: sqlite3.Connection, filter_: Filter, now: int, bound: Order, without: Sequence[int]) -> int:
    where, params = filter_.sql(from_micros(now))
    left_out = ",".join(str(int(num)) for num in without)
    row = connection.execute(
        "SELECT count(*) FROM v_run WHERE finished = 1 AND (time_key, num) < (?, ?) "  # noqa: S608
        f"AND num NOT IN ({left_out}) AND {where}",
        [*bound, *params],
    ).fetchone()
    return int(row[0])


def _take(cursor: sqlite3.Cursor, filter_: Filter, now: int, limit: int) -> Found:
    """Read until `limit` runs match; an interrupt by the deadline keeps what was found so far."""
    found = Found()
    moment = from_micros(now)
    exact = filter_.exact
    end = time.monotonic() + DEADLINE
    try:
        for num, key, doc in cursor:
            if exact or filter_.matches(_facts.decode(doc), moment):
                found.rows.append(Stored((key, num), _bytes(doc)))
                if len(found.rows) == limit:
                    break
            if not exact and time.monotonic() > end:
                found.complete = False
                break
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        found.complete = False
    return found


def _stored(cursor: sqlite3.Cursor) -> list[Stored]:
    return [Stored((key, num), _bytes(doc)) for num, key, doc in cursor]


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
