"""An index by which each start finds the finished runs that their hosts know by another number than ours."""

from peewee import SqliteDatabase


def migrate(database: SqliteDatabase) -> None:
    """Make it. Partial, so that a run's steps before its end do not touch it; and almost no run stands in it."""
    statement = (
        'CREATE INDEX "run_held" ON "run" ("num") '
        """WHERE finished = 1 AND instr(doc, '"held_as":') > 0"""
    )
    database.execute_sql(statement)  # type: ignore[no-untyped-call]
