"""Why the due times that a schedule has left behind do not run: those of a pause that is over."""

from peewee import SqliteDatabase


def migrate(database: SqliteDatabase) -> None:
    """Make room for it; what lies behind by now is to be caught up, as before."""
    database.execute_sql('ALTER TABLE "cursor" ADD COLUMN "why" TEXT')  # type: ignore[no-untyped-call]
