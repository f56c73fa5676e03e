"""The tables of the alerts, and how an older file becomes one of today. A step is never changed again."""

import secrets
import sqlite3
from typing import Final

from apsis.errors import ApsisError

_FIRST: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE failing (job_id TEXT NOT NULL, series TEXT NOT NULL, PRIMARY KEY (job_id, series)) WITHOUT ROWID;
CREATE TABLE letter (id INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, origin TEXT NOT NULL UNIQUE,
    target TEXT NOT NULL, run_id TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    made REAL NOT NULL, due REAL NOT NULL, done REAL, why TEXT NOT NULL DEFAULT '', summary TEXT, body BLOB NOT NULL);
CREATE INDEX letter_due ON letter (target, due, id) WHERE state = 'waiting';
CREATE INDEX letter_open ON letter (state, target, id) WHERE state IN ('gathered', 'dead');
CREATE INDEX letter_done ON letter (done) WHERE done IS NOT NULL;
CREATE TABLE note (seq INTEGER PRIMARY KEY, run_id TEXT NOT NULL, text TEXT NOT NULL);
"""
#: step n takes a file from schema n to n + 1
STEPS: Final = (_FIRST,)


class AlertsRefused(ApsisError):
    """The database of the alerts cannot be used."""

    code = "alerts_database"


def prepare(sql: sqlite3.Connection, path: str, now: float) -> None:
    """Make the tables, or bring them to today's form, each step in a transaction.

    Raises:
        AlertsRefused: the file was written by a newer Apsis.
    """
    schema = int(sql.execute("PRAGMA user_version").fetchone()[0])
    if schema > len(STEPS):
        raise AlertsRefused(
            f"{path} has schema {schema}, and this version of Apsis knows {len(STEPS)}",
            hint="start the newer version again, or move the file away: what is not delivered in it is then lost",
        )
    for number in range(schema, len(STEPS)):
        sql.execute("BEGIN IMMEDIATE")
        try:
            for statement in STEPS[number].split(";\n"):
                if statement.strip():
                    sql.execute(statement)
            if number == 0:
                rows = {"epoch": secrets.token_hex(8), "made": repr(now), "noted": "0"}
                sql.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", list(rows.items()))
            sql.execute(f"PRAGMA user_version = {number + 1}")
            sql.execute("COMMIT")
        except BaseException:
            if sql.in_transaction:
                sql.execute("ROLLBACK")
            raise
