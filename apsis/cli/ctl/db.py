"""`apsisctl db`: care for the database. Each deed is a process of its own, which knows SQLite; this one does not."""

from typing import Final

import click

from apsis.cli.lazy import Entry, LazyGroup

_ENTRIES: Final = {
    "backup": Entry("apsis.cli.ctl.db_backup", "Copy the database, also while Apsis runs."),
    "backups": Entry("apsis.cli.ctl.db_backups", "List the backups of this home."),
    "restore": Entry("apsis.cli.ctl.db_restore", "Put a backup in the place of the database."),
    "check": Entry("apsis.cli.ctl.db_check", "Look through the database, or a backup; exit 1 if it is not whole."),
}


class Database(LazyGroup):
    """The commands of `apsisctl db`."""

    entries = _ENTRIES


@click.command(cls=Database)
def command() -> None:
    """Back up, check and put back the scheduler's database.

    Nothing of this touches a program that runs. What belongs into a backup, and how to put one back: docs/backup.md.
    """
