"""Migrations: step n takes a database from schema n to n + 1, inside a transaction. A step is never changed again.

A step says what it does as SQL, never through the models, which go on changing.
"""

from collections.abc import Callable
from typing import Final

from peewee import SqliteDatabase

from apsis_services.scheduler.migrations import (
    m0001_first,
    m0002_ended_runs_in_order,
    m0003_runs_of_other_numbers,
    m0004_why_not_run,
    m0005_versions_of_jobs,
    m0006_events_by_topic,
)

STEPS: Final[tuple[Callable[[SqliteDatabase], None], ...]] = (
    m0001_first.migrate,
    m0002_ended_runs_in_order.migrate,
    m0003_runs_of_other_numbers.migrate,
    m0004_why_not_run.migrate,
    m0005_versions_of_jobs.migrate,
    m0006_events_by_topic.migrate,
)
#: the schema that this version of Apsis reads and writes
SCHEMA: Final = len(STEPS)
