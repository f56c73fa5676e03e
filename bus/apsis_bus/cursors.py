"""Cursor files: how far a person's own program has come, on disk before the next event is handed to it."""

import os
from pathlib import Path

import msgspec

from apsis.errors import ConfigError


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far a program has come; the content of its cursor file."""

    journal: int
    #: None: from now on
    event: int | None
    #: when that event happened; empty: not known
    at: str = ""


def read_cursor(path: Path | None) -> Cursor | None:
    """Return what a cursor file says; None where there is none yet.

    Raises:
        ConfigError: it is no cursor file.
    """
    if path is None or not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Cursor)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path} is no cursor: {error}", hint="remove it to begin anew") from None


def write_cursor(path: Path, cursor: Cursor) -> None:
    """Replace a cursor file as a whole, on disk before this returns."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(cursor) + b"\n")
        file.flush()
        os.fdatasync(file.fileno())
    draft.replace(path)
