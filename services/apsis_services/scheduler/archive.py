"""The archive: a second database, into which runs that ended long ago are copied before they leave the first.

The copy is committed and on the disk before anything is deleted, and copying again replaces: whoever is killed in
between leaves runs in both files, and loses none.
"""

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from apsis.errors import ApsisError, BadRequest, Conflict
from apsis.messages.body import decode
from apsis.times import parse_time, to_micros
from apsis_services.scheduler.backup import sync
from apsis_services.scheduler.reading import BUSY, meta, open_reader, pragma

#: "APSA", in the header of the file
APPLICATION: Final = 0x41505341
SCHEMA: Final = 1
#: runs copied at once, and looked at for it
AT_ONCE: Final = 200
_LOOKED_AT: Final = 1_000

_TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS run (
        journal INTEGER NOT NULL, num INTEGER NOT NULL, job_id TEXT NOT NULL, args_key TEXT NOT NULL,
        state TEXT NOT NULL, due INTEGER, time_key INTEGER NOT NULL, expected INTEGER NOT NULL, rev INTEGER NOT NULL,
        doc BLOB NOT NULL, facts BLOB NOT NULL, log BLOB NOT NULL,
        PRIMARY KEY (journal, num)
    )
    """,
    "CREATE INDEX IF NOT EXISTS run_by_time ON run (time_key, num)",
    "CREATE INDEX IF NOT EXISTS run_by_job ON run (job_id, time_key)",
    "CREATE TABLE IF NOT EXISTS job_version (hash TEXT PRIMARY KEY, job_id TEXT NOT NULL, definition BLOB NOT NULL)",
    """
    CREATE VIEW IF NOT EXISTS v_run AS
    SELECT 'r' || num AS run_id, num, journal, job_id, state, due AS schedule_time, time_key, 1 AS finished, rev, doc,
           log AS history
    FROM run
    """,
)
# a run whose host owes an answer about it is still looked for in the database
_OLD: Final = """
    SELECT num, rev, job_id, args_key, state, due, time_key, expected, doc, facts, log
    FROM run INDEXED BY run_by_time
    WHERE finished = 1 AND time_key < ? AND (time_key, num) > (?, ?)
      AND 'r' || num NOT IN (SELECT run_id FROM command)
    ORDER BY time_key, num LIMIT ?
"""
_PUT: Final = "REPLACE INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_VERSION: Final = "SELECT hash, job_id, definition FROM job_version WHERE hash = ?"
_PUT_VERSION: Final = "INSERT OR IGNORE INTO job_version VALUES (?, ?, ?)"


class _Doc(msgspec.Struct, frozen=True):
    """What is needed of a run's document."""

    timestamps: dict[str, str]
    journal: int = 0
    job_version: str = ""
    held_as: str = ""


@dataclass(frozen=True, slots=True)
class Copy:
    """What was copied: (number, `rev`) of each run; and whether there are others as old."""

    runs: tuple[tuple[int, int], ...]
    more: bool


def copy_old(database: Path, archive: Path, before: int, limit: int) -> Copy:
    """Copy up to `limit` finished runs that ended before a time (microseconds), oldest first, durably.

    Raises:
        BadRequest, Conflict: the file cannot be an archive.
        sqlite3.Error, OSError: it cannot be read or written now; nothing is to be deleted.
    """
    _refuse(database, archive)
    source = open_reader(database)
    try:
        source.execute("BEGIN")
        found = []
        for row, doc in _old(source, before):
            found.append((row, doc))
            if len(found) > limit:
                break
        chosen, more = found[:limit], len(found) > limit
        if chosen:
            _write(source, archive, chosen)
    finally:
        source.close()
    return Copy(tuple((row[0], row[1]) for row, _ in chosen), more)


def _old(source: sqlite3.Connection, before: int) -> Iterator[tuple[tuple[Any, ...], _Doc]]:
    """Yield finished runs that ended before a time, with what is needed of their documents."""
    at, num = -(1 << 62), 0
    while rows := source.execute(_OLD, (before, at, num, _LOOKED_AT)).fetchall():
        for row in rows:
            at, num = row[6], row[0]
            doc: _Doc = decode(_Doc, row[8])
            if doc.held_as:
                continue  # its host has it under another number, by which it is still asked for
            # it is sorted by when it was due: a run may have ended long after that
            if max((to_micros(parse_time(text)) for text in doc.timestamps.values()), default=at) < before:
                yield row, doc


def _refuse(database: Path, archive: Path) -> None:
    """Refuse what cannot be written to, or must not be."""
    if not archive.is_absolute() or "\0" in str(archive):
        raise BadRequest(f"the archive {archive} has no whole path", loc="path")
    if not archive.parent.is_dir():
        raise BadRequest(f"there is no folder {archive.parent}", hint="make it, writable for Apsis", loc="path")
    real, live = archive.resolve(), database.resolve()
    if real in (live, *(live.with_name(live.name + end) for end in ("-wal", "-shm", "-journal"))):
        raise Conflict(f"{archive} is the database itself", hint="name another file", loc="path")
    if archive.exists() and not archive.is_file():
        raise Conflict(f"{archive} is no plain file", hint="name another file", loc="path")


def _write(source: sqlite3.Connection, archive: Path, chosen: list[tuple[tuple[Any, ...], _Doc]]) -> None:
    """Write runs, and the definitions that they were bound from, in one transaction that outlives a power loss."""
    is_new = not archive.exists()
    if is_new:
        os.close(os.open(archive, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o640))
    own = int(meta(source, "journal"))
    target = sqlite3.connect(archive, isolation_level=None, timeout=BUSY / 1000)
    try:
        _check_kind(target, archive)
        target.execute("PRAGMA synchronous = FULL")
        target.execute("BEGIN IMMEDIATE")
        try:
            for statement in _TABLES:
                target.execute(statement)
            for row, doc in chosen:
                number, rev, job_id, key, state, due, time_key, expected, *documents = row
                journal = doc.journal or own
                target.execute(_PUT, (journal, number, job_id, key, state, due, time_key, expected, rev, *documents))
            for version in {doc.job_version for _, doc in chosen if doc.job_version}:
                target.executemany(_PUT_VERSION, source.execute(_VERSION, (version,)).fetchall())
            target.execute("COMMIT")
        except BaseException:
            if target.in_transaction:
                target.execute("ROLLBACK")
            raise
    finally:
        target.close()
    if is_new:
        sync(archive.parent)


def _check_kind(target: sqlite3.Connection, archive: Path) -> None:
    """Mark an empty file as ours; refuse any other database, and a later kind of archive."""
    try:
        application, schema = pragma(target, "application_id"), pragma(target, "user_version")
        tables = target.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise
        raise _no_archive(archive) from None
    if tables == 0 and application == 0:
        target.execute(f"PRAGMA application_id = {APPLICATION}")
        target.execute(f"PRAGMA user_version = {SCHEMA}")
    elif application != APPLICATION:
        raise _no_archive(archive)
    elif schema > SCHEMA:
        raise Conflict(f"{archive} was written by a later version of Apsis", hint="name another file", loc="path")


def _no_archive(archive: Path) -> ApsisError:
    return Conflict(f"{archive} is no archive of Apsis, and is left as it is", hint="name another file", loc="path")
