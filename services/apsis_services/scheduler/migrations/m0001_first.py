"""From nothing: the tables, and the numbers that a database is known by. Frozen as SQL: the models go on changing."""

import secrets
from typing import Final

from peewee import SqliteDatabase

_TABLES: Final = """
CREATE TABLE "meta" ("key" VARCHAR(255) NOT NULL PRIMARY KEY, "value" TEXT NOT NULL);
CREATE TABLE "run" ("num" INTEGER NOT NULL PRIMARY KEY, "job_id" TEXT NOT NULL, "args_key" TEXT NOT NULL,
    "state" VARCHAR(255) NOT NULL, "due" INTEGER, "time_key" INTEGER NOT NULL, "finished" INTEGER NOT NULL,
    "expected" INTEGER NOT NULL, "rev" INTEGER NOT NULL, "doc" BLOB NOT NULL, "facts" BLOB NOT NULL,
    "log" BLOB NOT NULL);
CREATE TABLE "event" ("id" INTEGER NOT NULL PRIMARY KEY, "at" INTEGER NOT NULL, "topic" TEXT NOT NULL,
    "run_id" VARCHAR(255), "body" BLOB NOT NULL);
CREATE TABLE "command" ("host" VARCHAR(255) NOT NULL, "dispatch" INTEGER NOT NULL, "run_id" VARCHAR(255) NOT NULL,
    "epoch" VARCHAR(255) NOT NULL, "boot" VARCHAR(255) NOT NULL, "body" BLOB NOT NULL,
    PRIMARY KEY ("host", "dispatch"));
CREATE TABLE "cursor" ("job_id" TEXT NOT NULL, "key" VARCHAR(255) NOT NULL, "at" INTEGER NOT NULL,
    "behind" INTEGER, "until" INTEGER, PRIMARY KEY ("job_id", "key"));
CREATE TABLE "host" ("host" VARCHAR(255) NOT NULL PRIMARY KEY, "doc" BLOB NOT NULL);
CREATE TABLE "job" ("job_id" TEXT NOT NULL PRIMARY KEY, "hash" VARCHAR(255) NOT NULL, "doc" BLOB NOT NULL);
CREATE TABLE "job_version" ("hash" VARCHAR(255) NOT NULL PRIMARY KEY, "job_id" TEXT NOT NULL,
    "definition" BLOB NOT NULL);
CREATE TABLE "request" ("request_id" VARCHAR(255) NOT NULL PRIMARY KEY, "body_hash" VARCHAR(255) NOT NULL,
    "at" INTEGER NOT NULL, "answer" BLOB NOT NULL);
CREATE INDEX "run_by_time" ON "run" ("time_key", "num");
CREATE INDEX "run_by_job" ON "run" ("job_id", "time_key");
CREATE INDEX "run_finished" ON "run" ("job_id", "args_key", "state") WHERE finished = 1;
CREATE INDEX "run_unfinished" ON "run" ("job_id", "due") WHERE finished = 0;
CREATE UNIQUE INDEX "run_made" ON "run" ("job_id", "due", "args_key") WHERE expected = 1;
CREATE INDEX "event_by_run" ON "event" ("run_id") WHERE run_id IS NOT NULL;
CREATE INDEX "event_by_time" ON "event" ("at");
CREATE INDEX "request_at" ON "request" ("at");
"""


def migrate(database: SqliteDatabase) -> None:
    """Make the tables and the numbers that a database is known by."""
    # one by one: `executescript` would commit what is under way
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            database.execute_sql(statement)  # type: ignore[no-untyped-call]
    # 53 bits: the number passes through JSON readers that know only floats
    journal = secrets.randbits(53) or 1
    rows = (("journal", str(journal)), ("term", "0"), ("last_run", "0"), ("job_errors", "[]"), ("reload_held", ""))
    for row in rows:
        database.execute_sql("INSERT INTO meta (key, value) VALUES (?, ?)", row)  # type: ignore[no-untyped-call]
