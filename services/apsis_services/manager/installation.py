"""Which installation this is: the number that was made with the database, read through its documented view."""

import sqlite3
from contextlib import closing

from apsis.home import Home


def instance(home: Home) -> str | None:
    """Return the journal number in hex, as the websocket and `GET /version` have it; None before there is one."""
    if not home.database.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{home.database.as_uri()}?mode=ro", uri=True, timeout=0.2)) as database:
            row = database.execute("SELECT value FROM v_meta WHERE key = 'journal'").fetchone()
    except sqlite3.Error:  # it is being made or migrated: nobody can name it yet
        return None
    return None if row is None else f"{int(row[0]):016x}"
