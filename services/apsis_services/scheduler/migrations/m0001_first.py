"""From nothing: the tables, the journal's number, and the views.

Should the models change, this step gets their present form as SQL, and the change a step of its own.
"""

import secrets

from peewee import SqliteDatabase

from apsis_services.scheduler.models import TABLES, Meta


def migrate(database: SqliteDatabase) -> None:
    """Make the tables and the numbers that a database is known by."""
    database.create_tables(TABLES, safe=False)
    # 53 bits: the number passes through JSON readers that know only floats
    journal = secrets.randbits(53) or 1
    rows = [("journal", str(journal)), ("term", "0"), ("last_run", "0"), ("job_errors", "[]"), ("reload_held", "")]
    Meta.insert_many(rows, fields=[Meta.key, Meta.value]).execute()
