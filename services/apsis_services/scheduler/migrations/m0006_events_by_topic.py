"""An index by which events of jobs and of the installation are found by their topic: why something did not run."""

from peewee import SqliteDatabase


def migrate(database: SqliteDatabase) -> None:
    """Make it. Partial: the events of runs, which are nearly all, cost nothing."""
    statement = 'CREATE INDEX "event_by_topic" ON "event" ("topic", "id") WHERE run_id IS NULL'
    database.execute_sql(statement)  # type: ignore[no-untyped-call]
