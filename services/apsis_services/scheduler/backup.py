"""Copying the database while the scheduler writes it: one consistent moment of it, whole, or no file at all."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from apsis.errors import ApsisError, Conflict, NotFound
from apsis.failpoints import reach
from apsis_services.scheduler.reading import open_reader, pragma
from apsis_services.scheduler.refusals import DatabaseRefused, refusing

#: pages between two words about how far it is
_STEP: Final = 512
#: bytes beside the copy itself that must stay free while it is made
_MARGIN: Final = 8 << 20
_FIRST_OF_ALL: Final = "SELECT count(*) FROM sqlite_master"

Tell = Callable[[int, int], None]


class NoRoom(ApsisError):
    """The copy would fill the disk."""

    code = "no_room"


def backup_folder(database: Path) -> Path:
    """Return where backups lie where nobody names another place: beside the database."""
    return database.resolve().parent / "backups"


def back_up(source: Path, target: Path, tell: Tell = lambda _done, _all: None) -> None:
    """Copy a database, check the copy, and only then give it its name. `tell` hears (pages done, all pages).

    Raises:
        NotFound: there is no database.
        Conflict: something of that name is there; it is left as it is.
        NoRoom: the disk has no room for it.
        DatabaseRefused: the database is damaged or cannot be read.
    """
    if not source.is_file():
        raise NotFound(f"there is no database at {source}", hint="it is made by the first start")
    if os.path.lexists(target):
        raise _is_there(target)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with refusing(source):
        target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        try:
            copy_whole(source, part, tell)
            reach("maintenance.copied")
            _give_name(part, target)
        finally:
            remove_database(part)


def copy_whole(source: Path, target: Path, tell: Tell = lambda _done, _all: None) -> None:
    """Copy a database into a new file of its own, without a write-ahead log, fsynced and found sound.

    Raises:
        NoRoom, DatabaseRefused, sqlite3.Error, OSError: it cannot be done.
    """
    sql = open_reader(source)
    try:
        # pins one moment: without it, each commit of the scheduler would make the copying begin anew
        sql.execute("BEGIN")
        sql.execute(_FIRST_OF_ALL).fetchone()
        _need_room(target.parent, pragma(sql, "page_count") * pragma(sql, "page_size"))
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
        copy = sqlite3.connect(target, isolation_level=None)
        try:
            copy.execute("PRAGMA synchronous = off")  # one fsync at the end does for all
            sql.backup(copy, pages=_STEP, progress=lambda _status, left, pages: tell(pages - left, pages), sleep=0)
            copy.execute("PRAGMA journal_mode = delete").fetchone()
            wrong = unsound(copy)
        finally:
            copy.close()
    finally:
        sql.close()
    if wrong:
        raise DatabaseRefused(
            f"{source} is damaged: {'; '.join(wrong[:3])}",
            hint="look at the disk; put back a sound backup with: apsisctl db restore FILE",
        )
    sync(target)


def unsound(sql: sqlite3.Connection, most: int = 20) -> list[str]:
    """Return what SQLite's own check of every page, row and index finds; nothing, if the file is sound."""
    try:
        found = [str(row[0]) for row in sql.execute(f"PRAGMA integrity_check({most})")]
    except sqlite3.DatabaseError as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def sync(path: Path) -> None:
    """Have a file or a folder on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_database(path: Path) -> None:
    """Remove a file and what SQLite may have laid beside it; none of them need be there."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").unlink()


def _give_name(part: Path, target: Path) -> None:
    """Name it without ever replacing another file."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise _is_there(target) from None
    except OSError:
        # a file system without links; between the look and the renaming nobody else names files here
        if os.path.lexists(target):
            raise _is_there(target) from None
        part.rename(target)
    sync(target.parent)


def _need_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + _MARGIN:
        raise NoRoom(
            f"{folder} has no room for a copy: it needs {size / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free",
            hint="make room, or name a file on another disk",
        )


def _is_there(target: Path) -> Conflict:
    return Conflict(f"{target} is there already, and is never overwritten", hint="name another file")
