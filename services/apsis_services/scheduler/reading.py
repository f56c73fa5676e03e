"""Connections that only read: what the file says of itself, for replays, backups and checks."""

import sqlite3
from pathlib import Path
from typing import Final

#: "APSI", in the header of the file
APPLICATION: Final = 0x41505349
#: milliseconds that a statement waits for another process's lock; the loop stands still meanwhile
BUSY: Final = 500


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection which can only read."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {BUSY}")
    return connection


def pragma(sql: sqlite3.Connection, name: str) -> int:
    """Return a number that SQLite keeps of the file."""
    return int(sql.execute(f"PRAGMA {name}").fetchone()[0])


def meta(sql: sqlite3.Connection, key: str) -> str:
    """Return one of the single values; "" if there is none of that key."""
    row = sql.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return str(row[0]) if row else ""
