"""Opening the database: its pragmas, its schema, its views. What it refuses, it refuses with one clear line."""

import logging
import sqlite3
from pathlib import Path
from typing import Final

from peewee import SqliteDatabase

from apsis.failpoints import reach
from apsis_services.scheduler.backup import back_up, backup_folder
from apsis_services.scheduler.migrations import SCHEMA, STEPS
from apsis_services.scheduler.models import proxy
from apsis_services.scheduler.reading import APPLICATION, BUSY, meta, pragma
from apsis_services.scheduler.refusals import DatabaseRefused, NewerDatabase, refusing
from apsis_services.scheduler.restore import finish_restore
from apsis_services.scheduler.statements import PUT_META
from apsis_services.scheduler.views import VIEWS

log: Final = logging.getLogger("scheduler")


def open_database(path: Path) -> SqliteDatabase:
    """Open the scheduler's database, making or migrating it where needed; a backup is made before a migration.

    Raises:
        DatabaseRefused: it is of a newer schema, is no database of ours, or cannot be opened.
    """
    with refusing(path):
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        if (aside := finish_restore(path)) is not None:
            log.warning(
                "a restore that was broken off is finished; the database before it lies at %s", aside,
                extra={"event": "restored"},
            )  # fmt: skip
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
        check_kind(sql, path)
        if 0 < pragma(sql, "user_version") < SCHEMA:
            _keep_copy(sql, path)
        _migrate(database, sql)
    return database


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


def check_kind(sql: sqlite3.Connection, path: Path) -> None:
    """Refuse what is not ours, or newer.

    Raises:
        DatabaseRefused: it is so.
    """
    schema = pragma(sql, "user_version")
    if schema > SCHEMA:
        raise NewerDatabase(path, schema, SCHEMA)
    has_tables = sql.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if has_tables and pragma(sql, "application_id") != APPLICATION:
        raise DatabaseRefused(f"{path} is not a database of Apsis", hint="set `database` in apsis.yaml to another path")


def _keep_copy(sql: sqlite3.Connection, path: Path) -> None:
    """Back up before a migration. The term names the state: no two starts, and so no two states, have the same."""
    term, head = meta(sql, "term"), sql.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0]
    copy = backup_folder(path) / f"before-schema-{SCHEMA}-term-{term}-event-{head}.db"
    if not copy.exists():  # one that is there is whole, and was made by a start that was broken off after it
        back_up(path, copy)
    log.info("the database is migrated to schema %d; it was kept as %s", SCHEMA, copy, extra={"event": "migrating"})


def _migrate(database: SqliteDatabase, sql: sqlite3.Connection) -> None:
    for number in range(pragma(sql, "user_version"), SCHEMA):
        with database.atomic("IMMEDIATE"):
            STEPS[number](database)
            sql.execute(f"PRAGMA user_version = {number + 1}")
            sql.execute(PUT_META, ("schema", str(number + 1)))
            _renew_views(sql)
            reach("scheduler.migrated-not-committed")
        reach("scheduler.migrated")
    if any(_view(sql, name) != _statement(name) for name in VIEWS):
        with database.atomic("IMMEDIATE"):
            _renew_views(sql)


def _renew_views(sql: sqlite3.Connection) -> None:
    """Make the views as this version has them: they are words of the code, which no migration needs to change."""
    for name in VIEWS:
        sql.execute(f"DROP VIEW IF EXISTS {name}")
        sql.execute(_statement(name))


def _statement(name: str) -> str:
    return f"CREATE VIEW {name} AS {VIEWS[name]}"


def _view(sql: sqlite3.Connection, name: str) -> str | None:
    row = sql.execute("SELECT sql FROM sqlite_master WHERE type = 'view' AND name = ?", (name,)).fetchone()
    return str(row[0]) if row else None
