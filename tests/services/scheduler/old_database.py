"""A database as the first version of Apsis left it, and homes that hold one."""

import sqlite3
from pathlib import Path

SCHEMA_1 = Path(__file__).parent / "data" / "schema-1.sql"


def write_old(path: Path) -> None:
    """Lay down the database of schema 1: runs in each of six states, two open commands, 25 events."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sql = sqlite3.connect(path)
    sql.executescript(SCHEMA_1.read_text())
    # the shell's dump has no page settings; those two decide how the file may be used later
    sql.execute("PRAGMA journal_mode = wal")
    sql.close()


def dump(path: Path) -> list[str]:
    """Return all rows of the tables, sorted: what a migration must not change."""
    sql = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        names = [name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return sorted(f"{name}: {row!r}" for name in names for row in sql.execute(f'SELECT * FROM "{name}"'))
    finally:
        sql.close()
