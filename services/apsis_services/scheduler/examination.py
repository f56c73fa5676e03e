"""Looking through a database file, live or a backup: whether it is ours, sound, and its event journal dense."""

import sqlite3
from pathlib import Path
from typing import Final

import msgspec

from apsis.errors import NotFound
from apsis.times import format_time, from_micros
from apsis_services.scheduler.backup import unsound
from apsis_services.scheduler.migrations import SCHEMA
from apsis_services.scheduler.reading import APPLICATION, meta, open_reader, pragma
from apsis_services.scheduler.refusals import DatabaseRefused, NewerDatabase, refusing

_ENDS: Final = "SELECT count(*), coalesce(min(id), 0), coalesce(max(id), 0), coalesce(max(at), 0) FROM event"
_HOLE: Final = """
    SELECT id + 1 FROM event AS one
    WHERE id < (SELECT max(id) FROM event) AND NOT EXISTS (SELECT 1 FROM event WHERE id = one.id + 1)
    ORDER BY id LIMIT 1
"""
_UNFINISHED: Final = "SELECT count(*) FROM run INDEXED BY run_unfinished WHERE finished = 0"
#: commands whose run is not there or has ended long ago hold nothing; one for a run that never was is a fault
_ORPHANS: Final = """
    SELECT count(*) FROM command
    WHERE run_id <> '' AND NOT EXISTS (SELECT 1 FROM run WHERE num = CAST(substr(run_id, 2) AS INTEGER))
"""


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """What a look found; `wrong` is empty for a file that is whole."""

    file: str
    #: bytes of the file, and of the write-ahead log beside it
    size: int
    wal: int
    schema: int
    journal: str
    term: str
    #: ids of the last event, and of the last that is no longer kept
    head: int
    floor: int
    #: time of the last event; None: there is none
    latest: str | None
    runs: int
    unfinished: int
    #: when it was put back from a backup, if the scheduler has not minded that yet
    restored: str
    wrong: list[str]


def examine(path: Path) -> Examination:
    """Look through the whole of a database.

    Raises:
        NotFound: there is no such file.
        DatabaseRefused: it is no database of Apsis, a newer one, or cannot be read at all.
    """
    if not path.is_file():
        raise NotFound(f"there is no database at {path}")
    with refusing(path):
        sql = open_reader(path)
        try:
            sql.execute("BEGIN")
            _check_kind(sql, path)
            return _look(sql, path)
        finally:
            sql.close()


def check_backup(path: Path) -> None:
    """Refuse a file that must not take the database's place; whether it is sound the copying finds out.

    Raises:
        DatabaseRefused: it is no database of Apsis, or a newer one.
        sqlite3.Error: it cannot be read.
    """
    sql = open_reader(path)
    try:
        _check_kind(sql, path)
        if wrong := unsound(sql):
            raise DatabaseRefused(
                f"{path} is damaged: {'; '.join(wrong[:3])}", hint="take another backup: `apsisctl db backups`"
            )
    finally:
        sql.close()


def _check_kind(sql: sqlite3.Connection, path: Path) -> None:
    if pragma(sql, "application_id") != APPLICATION or not pragma(sql, "user_version"):
        raise DatabaseRefused(f"{path} is not a database of Apsis", hint="`apsisctl db backups` lists the backups")
    if (schema := pragma(sql, "user_version")) > SCHEMA:
        raise NewerDatabase(path, schema, SCHEMA)


def _look(sql: sqlite3.Connection, path: Path) -> Examination:
    wal = Path(f"{path}-wal")
    wrong = unsound(sql)
    if wrong:
        return Examination(
            file=str(path), size=path.stat().st_size, wal=0, schema=pragma(sql, "user_version"), journal="", term="",
            head=0, floor=0, latest=None, runs=0, unfinished=0, restored="", wrong=wrong,
        )  # fmt: skip
    count, first, head, latest = sql.execute(_ENDS).fetchone()
    wrong += _faults(sql, count, first, head)
    return Examination(
        file=str(path),
        size=path.stat().st_size,
        wal=wal.stat().st_size if wal.exists() else 0,
        schema=pragma(sql, "user_version"),
        journal=meta(sql, "journal"),
        term=meta(sql, "term"),
        head=head,
        floor=first - 1 if first else 0,
        latest=format_time(from_micros(latest)) if latest else None,
        runs=sql.execute("SELECT count(*) FROM run").fetchone()[0],
        unfinished=sql.execute(_UNFINISHED).fetchone()[0],
        restored=meta(sql, "restored"),
        wrong=wrong,
    )


def _faults(sql: sqlite3.Connection, count: int, first: int, head: int) -> list[str]:
    """Return what SQLite cannot know: ids of events are dense, numbers of runs below the counter."""
    wrong = []
    if count and count != head - first + 1:
        hole = sql.execute(_HOLE).fetchone()[0]
        wrong.append(f"events are missing: {head - first + 1 - count} between {first} and {head}, the first is {hole}")
    last = int(meta(sql, "last_run") or 0)
    if (most := sql.execute("SELECT coalesce(max(num), 0) FROM run").fetchone()[0]) > last:
        wrong.append(f"run r{most} is above the counter of runs, which stands at {last}")
    if orphans := sql.execute(_ORPHANS).fetchone()[0]:
        wrong.append(f"{orphans} commands are for runs that are not there")
    return wrong
