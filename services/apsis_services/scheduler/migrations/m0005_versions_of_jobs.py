"""Which version of a job held from when on. A definition is kept once by its hash, whatever jobs say the same."""

from peewee import SqliteDatabase

_STATEMENTS = (
    'CREATE TABLE "job_taken" ("job_id" TEXT NOT NULL, "at" INTEGER NOT NULL, "hash" VARCHAR(255) NOT NULL, '
    'PRIMARY KEY ("job_id", "at"))',
    # since when they hold was not written down: 0
    'INSERT INTO "job_taken" ("job_id", "at", "hash") SELECT "job_id", 0, "hash" FROM "job"',
)


def migrate(database: SqliteDatabase) -> None:
    """Make the table, with the versions that hold now."""
    for statement in _STATEMENTS:
        database.execute_sql(statement)  # type: ignore[no-untyped-call]
