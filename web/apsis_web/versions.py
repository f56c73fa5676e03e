"""The versions of jobs, as the database keeps them, each beside the one that holds today."""

from typing import Any, Final

import msgspec

from apsis.definitions.compared import paths
from apsis.definitions.finding import path_text
from apsis.times import format_time, from_micros
from apsis_web.database import Database, Reads

_VERSIONS: Final = "SELECT hash, at, definition FROM v_job_version WHERE job_id = ? ORDER BY at DESC LIMIT ?"
_DEFINITION: Final = "SELECT definition FROM v_definition WHERE hash = ?"
_CALENDARS: Final = "calendars"


async def versions_of_job(database: Database, job_id: str, today: str | None, limit: int) -> list[dict[str, Any]]:
    """Return the versions that a job has had, the newest first; none of a job that was never loaded.

    Raises:
        Unavailable: the database cannot be read.
    """

    def read(sql: Reads) -> list[dict[str, Any]]:
        now = _definition(sql, today)
        rows = sql.execute(_VERSIONS, (job_id, limit)).fetchall()
        return [_shown(version, at, msgspec.json.decode(definition), today, now) for version, at, definition in rows]

    return await database.read(read)


async def version_of_run(database: Database, version: str, today: str | None) -> dict[str, Any] | None:
    """Return the version that a run was bound from; None where it is kept no more.

    Raises:
        Unavailable: the database cannot be read.
    """

    def read(sql: Reads) -> dict[str, Any] | None:
        own = _definition(sql, version)
        return None if own is None else _shown(version, None, own, today, _definition(sql, today))

    return await database.read(read)


def _definition(sql: Reads, version: str | None) -> Any:
    row = sql.execute(_DEFINITION, (version,)).fetchone() if version else None
    return msgspec.json.decode(row[0]) if row else None


def _shown(version: str, at: int | None, definition: Any, today: str | None, now: Any) -> dict[str, Any]:
    """Return a version as REST shows it; `changes` are the paths in which today's is another."""
    changes = [] if now is None or version == today else [path_text(path) for path in paths(definition, now)]
    if now is not None and version != today and not changes:
        changes = [_CALENDARS]  # it says the same, and the calendars that it names said something else
    return {
        "version": version,
        "since": format_time(from_micros(at)) if at else None,
        "current": version == today,
        "today": today,
        "changes": changes,
        "definition": definition,
    }
