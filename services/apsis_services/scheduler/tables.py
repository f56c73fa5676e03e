"""The scheduler's store: one commit for all effects of a turn, and what the core looks up in what was committed."""

import secrets
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from peewee import SqliteDatabase

from apsis.messages.body import decode, encode
from apsis.messages.dispatch import Command
from apsis.runs.core.effects import Effects
from apsis.runs.core.rows import CommandRow, CursorRow, Facts, HostRow, Pause, RunRow, Stored, args_key
from apsis.runs.run import LogEntry, Run
from apsis.runs.states import State
from apsis_services.scheduler import statements as s
from apsis_services.scheduler.database import open_database, raw
from apsis_services.scheduler.lock import DatabaseLock
from apsis_services.scheduler.models import Meta
from apsis_services.scheduler.refusals import refusing

_RUN: Final = "SELECT num, args_key, doc, facts, log FROM run WHERE num = ?"
_UNFINISHED: Final = """
    SELECT num, args_key, doc, facts, log FROM run INDEXED BY run_unfinished WHERE finished = 0 ORDER BY num
"""
_FINISHED: Final = """
    SELECT num FROM run INDEXED BY run_finished
    WHERE finished = 1 AND job_id = ? AND args_key = ? AND state IN ({}) LIMIT ?
"""
#: an empty `held_as` is not written into the document
_HELD: Final = """
    SELECT doc FROM run INDEXED BY run_held WHERE finished = 1 AND instr(doc, '"held_as":') > 0
"""
_MADE: Final = "SELECT 1 FROM run WHERE expected = 1 AND job_id = ? AND due = ? AND args_key = ?"
_CURSORS: Final = "SELECT job_id, key, at, behind, until, why FROM cursor"
_MADE_BETWEEN: Final = """
    SELECT due, args_key FROM run INDEXED BY run_made WHERE expected = 1 AND job_id = ? AND due > ? AND due <= ?
"""
#: of the newest runs whose time has come, a number that is bounded: there may be a million, and no success among them
_RUN_TIMES: Final = """
    SELECT json_extract(doc, '$.elapsed') FROM (
        SELECT state, doc FROM run INDEXED BY run_by_job
        WHERE job_id = ? AND time_key <= ? ORDER BY time_key DESC LIMIT 50
    ) WHERE state = 'success'
"""
_PREVIOUS: Final = """
    SELECT num, state FROM run INDEXED BY run_ended
    WHERE finished = 1 AND job_id = ? AND args_key = ? AND state <> 'skipped' AND num < ? ORDER BY num DESC LIMIT 1
"""
_VERSION: Final = "SELECT job_id, definition FROM job_version WHERE hash = ?"
_ANSWER: Final = "SELECT body_hash, answer FROM request WHERE request_id = ?"


class _Filed(msgspec.Struct, frozen=True):
    """What is needed of a job's document."""

    file: str = ""


class _Held(msgspec.Struct, frozen=True):
    """What is needed of a run that its host knows by another number."""

    run_id: str
    journal: int = 0
    host: str | None = None
    held_as: str = ""


class Tables:
    """The open database: the only writer there is. Implements `apsis.runs.core.ports.Archive`."""

    def __init__(self, path: Path, owner: str = "a scheduler") -> None:
        """Open it, making or migrating it where needed; `owner` is what another one is told that finds it taken.

        Raises:
            DatabaseRefused: it is in use, or cannot be used.
        """
        self.path = path
        self._lock = DatabaseLock(path)
        self._lock.take(owner)
        self._database: SqliteDatabase = open_database(path)
        self._sql = raw(self._database)

    def close(self) -> None:
        """Close it; the last one to do so lets SQLite clear the log away."""
        self._database.close()
        self._lock.release()

    def begin_term(self) -> Stored:
        """Count one more start of the scheduler, and return everything that it starts from.

        Raises:
            DatabaseRefused: the file is damaged, or cannot be written.
        """
        with refusing(self.path):
            return self._begin_term()

    def _begin_term(self) -> Stored:
        meta = {row.key: row.value for row in Meta.select()}
        stored = Stored(journal=int(meta["journal"]), term=int(meta["term"]) + 1, last_run=int(meta["last_run"]))
        # 53 bits, as the journal's number has
        stored.life = secrets.randbits(53) or 1
        stored.past = tuple(int(number) for number in meta.get("past", "").split())
        stored.restored = meta.get("restored", "")
        stored.alerts = meta.get("alerts", "")
        self._sql.execute(s.PUT_META, ("term", str(stored.term)))
        stored.head = self._sql.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0]
        stored.latest = self._sql.execute("SELECT coalesce(max(at), 0) FROM event").fetchone()[0]
        stored.pauses = decode(dict[str, Pause], meta.get("pauses", "{}").encode())
        stored.since = int(meta.get("since", "0"))
        stored.zones = meta.get("zones", "")
        stored.errors = decode(list[dict[str, Any]], meta["job_errors"].encode())
        stored.runs = [_run_row(row) for row in self._sql.execute(_UNFINISHED)]
        held = (decode(_Held, doc) for (doc,) in self._sql.execute(_HELD))
        stored.aliases = {(run.host or "", run.journal, run.held_as): run.run_id for run in held if run.held_as}
        stored.jobs = {
            job_id: (version, decode(_Filed, doc).file)
            for job_id, version, doc in self._sql.execute("SELECT job_id, hash, doc FROM job ORDER BY job_id")
        }
        stored.cursors = [
            CursorRow(job_id=job_id, key=key, at=at, behind=behind, until=until, why=why)
            for job_id, key, at, behind, until, why in self._sql.execute(_CURSORS)
        ]
        stored.hosts = [decode(HostRow, doc) for (doc,) in self._sql.execute("SELECT doc FROM host")]
        stored.commands = [
            CommandRow(host, dispatch, run_id, epoch, boot, decode(Command, body))
            for host, dispatch, run_id, epoch, boot, body in self._sql.execute(
                "SELECT host, dispatch, run_id, epoch, boot, body FROM command ORDER BY host, dispatch"
            )
        ]
        return stored

    def commit(self, effects: Effects) -> list[tuple[str, int, bytes]]:
        """Write all effects of a turn in one transaction, and return its events as (topic, id, body).

        Raises:
            sqlite3.OperationalError: the disk is full, or another process holds the database; nothing was written.
        """
        events = [(event, encode(event)) for event in effects.events]
        rows = [s.event_values(event, body) for event, body in events]
        sql = self._sql
        sql.execute("BEGIN IMMEDIATE")
        try:
            self._write(effects)
            self._many(s.ADD_EVENT, rows)
            sql.execute("COMMIT")
        except BaseException:
            if sql.in_transaction:
                sql.execute("ROLLBACK")
            raise
        return [(row[2], row[0], row[4]) for row in rows]

    def _write(self, effects: Effects) -> None:
        # runs that were withdrawn first: one that is made anew for the same due time must find its place free
        self._many(s.DROP_RUN, [(num,) for num in effects.withdrawn])
        self._many(s.PUT_RUN, [s.run_values(row) for row in effects.runs.values()])
        self._many(s.ADD_COMMAND, [s.command_values(row) for row in effects.commands])
        self._many(s.DROP_COMMAND, effects.settled)
        self._many(s.PUT_HOST, [s.host_values(row) for row in effects.hosts.values()])
        self._many(s.PUT_META, list(effects.meta.items()))
        self._many(s.ADD_REQUEST, [s.request_values(row) for row in effects.requests])
        self._many(s.PUT_CURSOR, [s.cursor_values(row) for row in effects.cursors.values() if row is not None])
        self._many(s.DROP_CURSOR, [key for key, row in effects.cursors.items() if row is None])
        self._many(s.PUT_JOB, [s.job_values(row) for row in effects.jobs.values() if row is not None])
        self._many(s.DROP_JOB, [(job_id,) for job_id, row in effects.jobs.items() if row is None])
        versions = [(hash_, job_id, encode(definition)) for hash_, (job_id, definition) in effects.versions.items()]
        self._many(s.ADD_VERSION, versions)
        taken = [row for row in effects.jobs.values() if row is not None and row.at is not None]
        self._many(s.ADD_TAKEN, [(row.job_id, row.at, row.version) for row in taken])

    def _many(self, statement: str, rows: Collection[Sequence[Any]]) -> None:
        if rows:
            self._sql.executemany(statement, rows)

    # What the core asks

    def run(self, run_id: str) -> RunRow | None:
        """Return any stored run."""
        number = run_id.removeprefix("r")
        if not number.isascii() or not number.isdigit() or number == run_id or len(number) > 18:
            return None
        row = self._sql.execute(_RUN, (int(number),)).fetchone()
        return _run_row(row) if row else None

    def finished(self, job_id: str, args_key: str, states: Collection[State], limit: int) -> list[str]:
        """Return at most `limit` ids of finished runs of a job with exactly these args, in one of the states."""
        names = [state.value for state in states]
        query = _FINISHED.format(", ".join("?" * len(names)))
        return [f"r{num}" for (num,) in self._sql.execute(query, (job_id, args_key, *names, limit))]

    def made(self, job_id: str, due: int, args_key: str) -> bool:
        """Say whether a schedule has made a run of this job for this due time and these args."""
        return self._sql.execute(_MADE, (job_id, due, args_key)).fetchone() is not None

    def made_between(self, job_id: str, after: int, until: int) -> list[tuple[int, str]]:
        """Return (due, args) of the runs that schedules of a job have made for due times in (after, until]."""
        return list(self._sql.execute(_MADE_BETWEEN, (job_id, after, until)))

    def run_times(self, job_id: str, until: int, limit: int) -> list[float]:
        """Return the run times, seconds, of the last successes of a job that were due by then, the newest first."""
        times = self._sql.execute(_RUN_TIMES, (job_id, until))
        return [float(found) for (found,) in times if found is not None][:limit]

    def previous(self, job_id: str, args_key: str, before: int) -> tuple[int, State] | None:
        """Return number and end of the latest finished run of a job with these args and a number below `before`."""
        row = self._sql.execute(_PREVIOUS, (job_id, args_key, before)).fetchone()
        return (row[0], State(row[1])) if row else None

    def version(self, version: str) -> tuple[str, dict[str, Any]] | None:
        """Return the job id and the definition that has this content hash."""
        row = self._sql.execute(_VERSION, (version,)).fetchone()
        return (row[0], decode(dict[str, Any], row[1])) if row else None

    def answer(self, request_id: str) -> tuple[str, bytes] | None:
        """Return the body hash and the encoded answer of a request that was done."""
        row = self._sql.execute(_ANSWER, (request_id,)).fetchone()
        return (row[0], row[1]) if row else None

    # Housekeeping

    def prune(self, now: int, needed: int | None = None, limit: int = 200) -> int:
        """Delete what is past its time, at most `limit` rows of each kind; return how many.

        Of events always the oldest ones, so that what is kept stays dense; none after `needed`, and never the last.
        """
        week = now - 7 * 86_400_000_000
        deleted = 0
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            last = self._prunable(week, needed, limit)
            for statement, values in ((_PRUNE_EVENTS, (last,)), (_PRUNE_REQUESTS, (week, limit))):
                deleted += self._sql.execute(statement, values).rowcount
            self._sql.execute("COMMIT")
        except BaseException:
            # a full disk: left open, it would have every later commit refused
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise
        return deleted

    def _prunable(self, week: int, needed: int | None, limit: int) -> int:
        """Return the number of the last event that may go, 0 for none. A clock that was set back makes no hole."""
        head = self._sql.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0]
        most = head - 1 if needed is None else min(head - 1, needed)
        last = 0
        for number, at in self._sql.execute("SELECT id, at FROM event ORDER BY id LIMIT ?", (limit,)):
            if number > most or (at >= week and number > head - EVENTS_AT_MOST):
                break
            last = number
        return last

    def meta(self, key: str) -> str:
        """Return one of the single values; "" if there is none of that key."""
        row = self._sql.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else ""

    def put_meta(self, key: str, value: str) -> None:
        """Write one of the single values, at once."""
        self._sql.execute(s.PUT_META, (key, value))

    def free_pages(self) -> int:
        """Return how many pages of the file hold nothing."""
        return int(self._sql.execute("PRAGMA freelist_count").fetchone()[0])

    def page_size(self) -> int:
        """Return the bytes of a page."""
        return int(self._sql.execute("PRAGMA page_size").fetchone()[0])

    def give_back(self, pages: int) -> None:
        """Cut so many free pages off the file.

        Raises:
            sqlite3.OperationalError: the database cannot be written now.
        """
        self._sql.execute(f"PRAGMA incremental_vacuum({int(pages)})").fetchall()

    def floor(self) -> int:
        """Return the number below the first event that is still there."""
        first = self._sql.execute("SELECT min(id) FROM event").fetchone()[0]
        return 0 if first is None else int(first) - 1


#: rows of the event journal, beside the limit of seven days
EVENTS_AT_MOST: Final = 1_000_000
_PRUNE_EVENTS: Final = "DELETE FROM event WHERE id <= ?"
_PRUNE_REQUESTS: Final = """
    DELETE FROM request WHERE request_id IN (SELECT request_id FROM request WHERE at < ? LIMIT ?)
"""


def _run_row(row: tuple[Any, ...]) -> RunRow:
    num, key, doc, facts, log = row
    run = decode(Run, doc)
    return RunRow(num, key or args_key(run.args), run, decode(Facts, facts), decode(tuple[LogEntry, ...], log))
