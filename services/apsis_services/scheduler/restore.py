"""Putting a backup back. Broken off at any point, it leaves the old database whole, or is finished by the next start.

The copy is made beside the database as `FILE.preparing`; renamed to `FILE.restoring` it is decided, and what is left
is done by whoever comes first: this process, or a scheduler that starts. What the copy holds of the time after the
backup is nothing: its key `restored` has the scheduler ask the hosts.
"""

import contextlib
import os
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Final

from apsis.errors import NotFound
from apsis.failpoints import reach
from apsis.times import format_time
from apsis_services.scheduler.backup import Tell, copy_whole, remove_database, sync
from apsis_services.scheduler.examination import check_backup
from apsis_services.scheduler.lock import DatabaseLock
from apsis_services.scheduler.reading import meta, open_reader
from apsis_services.scheduler.refusals import refusing
from apsis_services.scheduler.statements import PUT_META

#: key of `meta`: when the database was put back from a backup; the scheduler that has minded it takes it away
RESTORED: Final = "restored"
#: what the file is called that was the database before, up to its time
ASIDE: Final = ".before-restore-"
#: how the files end that SQLite lays beside a database
BESIDE: Final = ("-wal", "-shm", "-journal")


def restore(backup: Path, database: Path, now: datetime, tell: Tell = lambda _done, _all: None) -> Path | None:
    """Put a backup in the place of the database; return where the database before it was kept, if there was one.

    Raises:
        NotFound: there is no such backup.
        DatabaseInUse: the scheduler runs.
        DatabaseRefused: the backup is damaged, newer or not ours, or something cannot be written.
    """
    if not backup.is_file():
        raise NotFound(f"there is no file {backup}", hint="`apsisctl db backups` lists the backups of this home")
    database = database.resolve()  # not a link to it, which is to stay
    lock = DatabaseLock(database)
    lock.take("a restore")
    try:
        finish_restore(database)  # of an earlier one, so that what lies aside is told apart
        preparing = _beside(database, ".preparing")
        with refusing(backup, "a backup"):
            check_backup(backup)
            remove_database(preparing)
            try:
                copy_whole(backup, preparing, tell)
                _mark(preparing, now)
                reach("maintenance.restore-prepared")
                preparing.rename(_beside(database, ".restoring"))
                sync(database.parent)
                reach("maintenance.restore-decided")
            finally:
                remove_database(preparing)
        with refusing(database):
            return finish_restore(database)
    finally:
        lock.release()


def finish_restore(database: Path) -> Path | None:
    """Do what is left of a restore that was decided; return where the old database lies. Nothing to do: None."""
    database = database.resolve()
    restoring = _beside(database, ".restoring")
    if not restoring.exists():
        return None
    sql = open_reader(restoring)
    try:
        stamp = meta(sql, RESTORED)
    finally:
        sql.close()
    # in the same folder, as from there to here nothing can go wrong but the disk itself
    aside = _beside(database, f"{ASIDE}{stamp.replace(':', '').replace('.', '-')}")
    if database.exists():
        _fold_log(database)
    # the logs first: beside another file than their own they would be taken for that file's, and spoil it
    moved = [_move(Path(f"{database}{suffix}"), Path(f"{aside}{suffix}")) for suffix in BESIDE]
    reach("maintenance.log-moved-aside")
    moved.append(_move(database, aside))
    reach("maintenance.database-moved-aside")
    restoring.rename(database)
    sync(database.parent)
    return aside if any(moved) or aside.exists() else None


def _mark(copy: Path, now: datetime) -> None:
    sql = sqlite3.connect(copy, isolation_level=None)
    try:
        sql.execute(PUT_META, (RESTORED, format_time(now)))
    finally:
        sql.close()
    sync(copy)


def _fold_log(database: Path) -> None:
    """Move the write-ahead log into the old database, so that it is one file; what is too damaged stays as it is."""
    with contextlib.suppress(sqlite3.Error):
        sql = sqlite3.connect(database, isolation_level=None)
        try:
            sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            sql.close()


def _move(path: Path, target: Path) -> bool:
    if not os.path.lexists(path):
        return False
    path.rename(target)
    return True


def _beside(database: Path, suffix: str) -> Path:
    return database.with_name(database.name + suffix)
