"""An index by which the end before a run's own is found: without it, each end of a job's run read all ends before."""

from peewee import SqliteDatabase


def migrate(database: SqliteDatabase) -> None:
    """Make it. Partial, so that an unfinished run's steps do not touch it."""
    statement = 'CREATE INDEX "run_ended" ON "run" ("job_id", "args_key", "num") WHERE finished = 1'
    database.execute_sql(statement)  # type: ignore[no-untyped-call]
