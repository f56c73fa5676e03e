"""Opening the database: its pragmas, its schema, its views. What it refuses, it refuses with one clear line."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from peewee import DatabaseError, SqliteDatabase

from apsis.errors import ApsisError
from apsis_services.scheduler.migrations import SCHEMA, STEPS
from apsis_services.scheduler.models import proxy
from apsis_services.scheduler.statements import PUT_META
from apsis_services.scheduler.views import VIEWS

#: "APSI", in the header of the file
APPLICATION: Final = 0x41505349
#: milliseconds that a statement waits for another process's lock; the loop stands still meanwhile
BUSY: Final = 500


class DatabaseRefused(ApsisError):
    """The database cannot be used as it is."""

    code = "database"


class NewerDatabase(DatabaseRefused):
    """The database was written by a later version of Apsis."""

    def __init__(self, path: Path, schema: int) -> None:
        super().__init__(
            f"{path} has schema {schema}, and this version of Apsis knows schemas up to {SCHEMA}",
            hint="install the version that wrote it, or put back a backup of the whole home from before the upgrade",
        )


def open_database(path: Path) -> SqliteDatabase:
    """Open the scheduler's database, making or migrating it where needed.

    Raises:
        DatabaseRefused: it is of a newer schema, is no database of ours, or cannot be opened.
    """
    with refusing(path):
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        database = SqliteDatabase(
            str(path),
            pragmas=[
                ("journal_mode", "wal"),
                ("synchronous", "full"),
                ("wal_autocheckpoint", 0),
                ("busy_timeout", BUSY),
                ("cache_size", -16_000),
                ("temp_store", "memory"),
            ],
            timeout=BUSY / 1000,
        )
        proxy.initialize(database)
        if not path.exists() or path.stat().st_size == 0:
            _before_first_page(path)
        database.connect()
        sql = raw(database)
        _check(sql, path)
        _migrate(database, sql)
    return database


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turn what a damaged file or a full disk raises into one sentence; for all that a start reads and writes.

    Raises:
        DatabaseRefused: the database cannot be used as it is.
    """
    try:
        yield
    except (DatabaseError, sqlite3.Error, msgspec.MsgspecError) as error:
        raise DatabaseRefused(f"{path} cannot be used as the database: {error}", hint=_hint(error)) from error
    except OSError as error:
        raise DatabaseRefused(f"{path} cannot be used as the database: {error.strerror}") from error


def _hint(error: Exception) -> str:
    """Say what helps. By the text, as peewee's errors do not carry SQLite's code."""
    text = str(error)
    if "is full" in text:
        return "make room, then start again"
    if "readonly" in text:
        return "make the file and its folder writable for the user who runs Apsis"
    return "look at the disk, or put back a backup of the whole home: database, spool and output belong together"


def open_reader(path: Path) -> sqlite3.Connection:
    """Open another connection, which can only read."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {BUSY}")
    return connection


def _before_first_page(path: Path) -> None:
    """Set what can only be set in an empty file."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
    finally:
        connection.close()


def raw(database: SqliteDatabase) -> sqlite3.Connection:
    """Return the connection below peewee; statements are committed one by one unless BEGIN was said."""
    connection: sqlite3.Connection = database.connection()  # type: ignore[no-untyped-call]
    return connection


def _check(sql: sqlite3.Connection, path: Path) -> None:
    """Refuse what is not ours, or newer."""
    schema = _pragma(sql, "user_version")
    if schema > SCHEMA:
        raise NewerDatabase(path, schema)
    has_tables = sql.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if has_tables and _pragma(sql, "application_id") != APPLICATION:
        raise DatabaseRefused(f"{path} is not a database of Apsis", hint="set `database` in apsis.yaml to another path")


def _migrate(database: SqliteDatabase, sql: sqlite3.Connection) -> None:
    for number in range(_pragma(sql, "user_version"), SCHEMA):
        with database.atomic("IMMEDIATE"):
            STEPS[number](database)
            sql.execute(f"PRAGMA user_version = {number + 1}")
            sql.execute(PUT_META, ("schema", str(number + 1)))
            for name, query in VIEWS.items():
                sql.execute(f"DROP VIEW IF EXISTS {name}")
                sql.execute(f"CREATE VIEW {name} AS {query}")


def _pragma(sql: sqlite3.Connection, name: str) -> int:
    return int(sql.execute(f"PRAGMA {name}").fetchone()[0])
