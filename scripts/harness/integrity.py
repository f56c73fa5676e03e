"""Whether the database of an installation is whole, after whatever a test did to it. Looks from outside, by SQL."""

import sqlite3
from pathlib import Path

from apsis.config import load_config
from apsis.home import Home

#: how a copy or a restore ends that was broken off and not taken up again
_HALF_DONE = (".part", ".preparing", ".restoring")


class NotWhole(Exception):
    """Something of the database is lost, spoilt or left over."""


def database_is_whole(home: Path) -> None:
    """Check it, also while the scheduler writes it.

    Raises:
        NotWhole: it is not; each fault is named.
    """
    database = Path(load_config(Home(home)).database)
    if not database.exists():
        return  # nothing was ever started there
    if faults := [*_faults(database), *_left_over(database.parent)]:
        raise NotWhole(f"{database}: " + "; ".join(faults))


def _faults(database: Path) -> list[str]:
    sql = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        sql.execute("BEGIN")  # one moment for all questions
        faults = [row[0] for row in sql.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
        count, first, head = sql.execute("SELECT count(*), min(id), max(id) FROM event").fetchone()
        if count and count != head - first + 1:
            faults.append(f"{head - first + 1 - count} events are missing between {first} and {head}")
        meta = dict(sql.execute("SELECT key, value FROM meta"))
        if sql.execute("SELECT coalesce(max(num), 0) FROM run").fetchone()[0] > int(meta["last_run"]):
            faults.append(f"there are runs above the counter, which stands at {meta['last_run']}")
        stale = "SELECT count(*) FROM run WHERE finished = 0 AND state IN ('success', 'failure', 'error', 'skipped')"
        if sql.execute(stale).fetchone()[0]:
            faults.append("finished runs are indexed as unfinished")
        known = {f"r{num}" for (num,) in sql.execute("SELECT num FROM run")}
        lost = {run_id for (run_id,) in sql.execute("SELECT run_id FROM command WHERE run_id <> ''")} - known
        if lost:
            faults.append(f"there are commands for runs that are not there: {sorted(lost)[:3]}")
        return faults
    finally:
        sql.close()


def _left_over(folder: Path) -> list[str]:
    return [f"{path} was left over" for path in folder.rglob("*") if path.name.endswith(_HALF_DONE)]
