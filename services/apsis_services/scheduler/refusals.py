"""Why the database cannot be used, in one sentence each, and what helps."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from peewee import DatabaseError

from apsis.errors import ApsisError
from apsis_services.scheduler.holders import named, writers

_DAMAGED: Final = "look at the disk, or put back a backup with: apsisctl db restore FILE"


class DatabaseRefused(ApsisError):
    """The database cannot be used as it is."""

    code = "database"


class NewerDatabase(DatabaseRefused):
    """The database was written by a later version of Apsis."""

    def __init__(self, path: Path, schema: int, known: int) -> None:
        super().__init__(
            f"{path} has schema {schema}, and this version of Apsis knows schemas up to {known}",
            hint="install the version that wrote it, or put back a backup from before the upgrade "
            "(`apsisctl db backups` lists them)",
        )


@contextmanager
def refusing(path: Path, what: str = "the database") -> Iterator[None]:
    """Turn what a damaged file or a full disk raises into one sentence; for all that a start reads and writes.

    Raises:
        DatabaseRefused: the database cannot be used as it is.
    """
    try:
        yield
    except (DatabaseError, sqlite3.Error, msgspec.MsgspecError) as error:
        raise DatabaseRefused(f"{path} cannot be used as {what}: {error}", hint=remedy(error, path)) from error
    except OSError as error:
        raise DatabaseRefused(f"{path} cannot be used as {what}: {error.strerror}") from error


def remedy(error: Exception, path: Path) -> str:
    """Say what helps against an error of SQLite. By the text, as peewee's errors do not carry its code."""
    text = str(error)
    if "locked" in text:
        held = named(writers(path))
        return f"{held or 'another process'} holds it; end its transaction, or the process"
    if "is full" in text:
        return f"make room in {path.parent}, then start again"
    if "readonly" in text:
        return "make the file and its folder writable for the user who runs Apsis"
    return _DAMAGED


def explain(error: sqlite3.Error, path: Path) -> str:
    """Return why the database cannot be written at this moment, and what helps, as one sentence for health."""
    text = str(error)
    if "locked" in text:
        held = named(writers(path))
        by = f" by {held}" if held else ""
        return f"{text}{by}; end that transaction, or the process that holds it"
    if "is full" in text:
        return f"{text}; make room in {path.parent}"
    return f"{text} ({path})"
