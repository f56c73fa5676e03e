"""Records: what explaining asks, answered by plain SQL over the documented views, in one read transaction."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import msgspec

from apsis.calendars.finder import Calendars
from apsis.config import Config
from apsis.errors import ApsisError
from apsis.explaining.knows import Cursor, HostSeen, JobEntry, NotRun, Paused
from apsis.jobs.job import Job
from apsis.jobs.parse import parse_job
from apsis.messages.events import RunEvent
from apsis.runs.core.rows import args_key
from apsis.runs.run import LogEntry, Run
from apsis.times import format_time, from_micros, to_micros
from apsis_bus import topics
from apsis_web.database import Reads
from apsis_web.rows import number_of

_run: Final = msgspec.json.Decoder(Run)
_log: Final = msgspec.json.Decoder(list[LogEntry])
#: records of due times that did not run, looked at for one answer
_RECORDS: Final = 5_000
_FINISHED: Final = "SELECT doc FROM v_run WHERE finished = 1 AND job_id = ?"


class _Doc(msgspec.Struct, frozen=True):
    """What is needed of a job's document."""

    file: str = ""


class _Pause(msgspec.Struct, frozen=True):
    by: str
    at: str
    reason: str = ""


class _Elapsed(msgspec.Struct, frozen=True):
    elapsed: float | None = None


class _Host(msgspec.Struct, frozen=True):
    heard: str = ""
    cores: int = 1


class _Event(msgspec.Struct, frozen=True):
    at: str
    event: str = ""
    actor: str = ""
    detail: dict[str, Any] = {}


class Records:
    """Implements `apsis.explaining.knows.Knows`."""

    def __init__(self, reads: Reads, config: Config) -> None:
        self._sql = reads
        self._config = config
        self._calendars = Calendars(config.job_dir / "calendars")
        self._jobs: dict[str, Job | None] = {}
        self._meta = {str(key): value for key, value in reads.execute("SELECT key, value FROM v_meta")}

    @property
    def resources(self) -> Mapping[str, int]:
        """Counts by name, from the config."""
        return self._config.resources

    @property
    def job_errors(self) -> list[dict[str, Any]]:
        """What the last reading of the job directory complained of."""
        return msgspec.json.decode(self._meta.get("job_errors") or "[]", type=list[dict[str, Any]])

    @property
    def pauses(self) -> dict[str, Paused]:
        """Who holds which job; under "" who holds everything."""
        found = msgspec.json.decode(self._meta.get("pauses") or "{}", type=dict[str, _Pause])
        return {key: Paused(job_id=key, by=one.by, at=one.at, reason=one.reason) for key, one in found.items()}

    # runs

    def run(self, run_id: str) -> Run | None:
        """Return a run."""
        num = number_of(run_id)
        return next(self._runs("SELECT doc FROM v_run WHERE num = ?", (num,)), None) if num is not None else None

    def log(self, run_id: str) -> list[LogEntry]:
        """Return its action log, oldest first: the folded history, and the events still kept."""
        num = number_of(run_id)
        row = self._sql.execute("SELECT history FROM v_run WHERE num = ?", (num,)).fetchone()
        log = _log.decode(row[0]) if row is not None and row[0] is not None else []
        known = {entry.seq for entry in log}
        for seq, body in self._sql.execute("SELECT id, body FROM v_event WHERE run_id = ? ORDER BY id", (run_id,)):
            if seq not in known:
                event = msgspec.json.decode(body, type=RunEvent)
                log.append(
                    LogEntry(
                        seq=seq, at=event.at, actor=event.actor, event=event.event, old=event.old, reason=event.reason
                    )
                )
        return sorted(log, key=lambda entry: entry.seq)

    def passed(self, run_id: str) -> int:
        """Return how many of its conditions, in order, have become true."""
        row = self._sql.execute("SELECT passed FROM v_run WHERE num = ?", (number_of(run_id),)).fetchone()
        return int(row[0]) if row else 0

    def with_args(self, job_id: str, args: Mapping[str, str], limit: int) -> list[Run]:
        """Return runs of a job with exactly these args: unfinished ones first, then the latest that have ended."""
        key = args_key(dict(args))
        query = "SELECT doc FROM v_run WHERE finished = 0 AND job_id = ? AND args_key = ? LIMIT ?"
        found = list(self._runs(query, (job_id, key, limit)))
        query = f"{_FINISHED} AND args_key = ? ORDER BY num DESC LIMIT ?"
        return (found + list(self._runs(query, (job_id, key, limit))))[:limit]

    def unfinished(self, job_id: str | None, states: Collection[str], limit: int) -> list[Run]:
        """Return runs that have not ended, of one job or of all, in these states, in order of time."""
        marks = ", ".join("?" * len(states))
        which = "AND job_id = ?" if job_id is not None else ""
        query = (
            f"SELECT doc FROM v_run WHERE finished = 0 {which} AND state IN ({marks}) "  # noqa: S608
            "ORDER BY time_key, num LIMIT ?"
        )
        return list(self._runs(query, (*([job_id] if job_id is not None else []), *states, limit)))

    def due(self, job_id: str, start: datetime, end: datetime, limit: int) -> list[Run]:
        """Return runs of a job whose time is in [start, end), in order."""
        query = "SELECT doc FROM v_run WHERE job_id = ? AND time_key >= ? AND time_key < ? ORDER BY time_key LIMIT ?"
        return list(self._runs(query, (job_id, to_micros(start), to_micros(end), limit)))

    def latest(self, job_id: str, limit: int) -> list[Run]:
        """Return the latest runs of a job that have ended, the latest first."""
        return list(self._runs(f"{_FINISHED} ORDER BY time_key DESC LIMIT ?", (job_id, limit)))

    def ended_well(self, job_id: str, args: Mapping[str, str] | None, limit: int) -> list[float]:
        """Return run times (s) of the latest successes of a job, among its latest runs."""
        if args is None:
            query = "SELECT state, doc FROM v_run WHERE job_id = ? AND finished = 1 ORDER BY time_key DESC LIMIT ?"
            rows = self._sql.execute(query, (job_id, 5 * limit)).fetchall()
        else:
            query = (
                "SELECT state, doc FROM v_run WHERE finished = 1 AND job_id = ? AND args_key = ? "
                "ORDER BY num DESC LIMIT ?"
            )
            rows = self._sql.execute(query, (job_id, args_key(dict(args)), 5 * limit)).fetchall()
        times = [_elapsed(doc) for state, doc in rows if state == "success"]
        return [time for time in times if time is not None][:limit]

    # jobs

    def has_job(self, job_id: str) -> bool:
        """Return whether there is such a job."""
        return self._sql.execute("SELECT 1 FROM v_job WHERE job_id = ?", (job_id,)).fetchone() is not None

    def job(self, job_id: str) -> Job | None:
        """Return a job as it is in force; None: there is none, or it can no longer be read."""
        if job_id not in self._jobs:
            query = "SELECT v.definition, j.hash, j.doc FROM v_job j JOIN v_version v USING (hash) WHERE j.job_id = ?"
            row = self._sql.execute(query, (job_id,)).fetchone()
            self._jobs[job_id] = None if row is None else self._parse(job_id, *row)
        return self._jobs[job_id]

    def jobs(self, wanted: Callable[[str, bytes, bytes], bool] = lambda *_: True) -> tuple[dict[str, Job], list[str]]:
        """Return the jobs of which (id, document, definition) are wanted, and those that can no longer be read."""
        query = "SELECT j.job_id, v.definition, j.hash, j.doc FROM v_job j JOIN v_version v USING (hash) ORDER BY 1"
        found: dict[str, Job] = {}
        bad = []
        for job_id, definition, version, doc in self._sql.execute(query).fetchall():
            if not wanted(job_id, doc, definition):
                continue
            job = self._jobs[job_id] = self._parse(job_id, definition, version, doc)
            if job is None:
                bad.append(job_id)
            else:
                found[job_id] = job
        return found, bad

    def _parse(self, job_id: str, definition: bytes, version: str, doc: bytes) -> Job | None:
        file = msgspec.json.decode(doc, type=_Doc).file
        try:
            job = parse_job(job_id, msgspec.json.decode(definition), calendars=self._calendars, file=file)
        except ApsisError:
            return None
        return replace(job, version=version)

    def pause_of(self, job_id: str) -> Paused | None:
        """Return who holds a job, or everything."""
        pauses = self.pauses
        return pauses.get(job_id) or pauses.get("")

    def history(self, job_id: str) -> list[JobEntry]:
        """Return what happened to a job, as far as events are kept, oldest first."""
        query = "SELECT body FROM v_event WHERE run_id IS NULL AND topic = ? ORDER BY id"
        rows = self._sql.execute(query, (topics.job_event(job_id),))
        events = [msgspec.json.decode(body, type=_Event) for (body,) in rows]
        found = [JobEntry(at=each.at, event=each.event, actor=each.actor) for each in events]
        first = self._sql.execute("SELECT min(at) FROM v_taken WHERE job_id = ?", (job_id,)).fetchone()[0]
        if first and not any(each.event == "added" for each in found):
            found.insert(0, JobEntry(at=format_time(from_micros(first)), event="added", actor="scheduler"))
        return found

    def not_run(self, job_id: str | None, start: datetime, end: datetime, limit: int) -> list[NotRun]:
        """Return the records of due times in a window that did not become runs; of one job, or of all."""
        query = "SELECT body FROM v_event WHERE run_id IS NULL AND topic = ? ORDER BY id DESC LIMIT ?"
        first, last = format_time(start), format_time(end)
        found = []
        for (body,) in self._sql.execute(query, (topics.sys_event("not_run"), _RECORDS)):
            event = msgspec.json.decode(body, type=_Event)
            record = msgspec.convert({"at": event.at, **event.detail}, type=NotRun, strict=False)
            if job_id not in (None, record.job_id) or record.last < first or record.first >= last:
                continue
            found.append(record)
            if len(found) == limit:
                break
        return found[::-1]

    # the installation

    def hosts(self) -> list[HostSeen]:
        """Return the hosts that have ever been heard."""
        found = []
        for name, doc in self._sql.execute("SELECT host, doc FROM v_host ORDER BY host"):
            host = msgspec.json.decode(doc, type=_Host)
            found.append(HostSeen(host=name, heard=host.heard, cores=host.cores))
        return found

    def cursors(self) -> list[Cursor]:
        """Return up to where each schedule's due times have become runs."""
        rows = self._sql.execute("SELECT job_id, key, at, behind FROM v_cursor")
        return [Cursor(job_id=job_id, key=key, at=at, behind=behind) for job_id, key, at, behind in rows]

    def ahead(self, start: datetime) -> list[tuple[Run, str | None]]:
        """Return runs that are scheduled, and those due after a time that have ended already, with their schedule."""
        pending = "SELECT doc, schedule FROM v_run WHERE finished = 0 AND state = 'scheduled'"
        ended = "SELECT doc, schedule FROM v_run WHERE finished = 1 AND time_key > ?"
        rows = [*self._sql.execute(pending), *self._sql.execute(ended, (to_micros(start),))]
        return [(_run.decode(doc), schedule) for doc, schedule in rows]

    def late(self, start: datetime, limit: int) -> list[Run]:
        """Return runs due since a time of which it was told that they began late."""
        query = (
            "SELECT doc FROM v_run WHERE time_key >= ? AND time_key <= ? "
            """AND json_extract(CAST(doc AS TEXT), '$.late_by') > 1 LIMIT ?"""
        )
        now = to_micros(start) + 2 * 86_400_000_000
        runs = list(self._runs(query, (to_micros(start), now, limit)))
        return [run for run in runs if "late" in run.raised]

    def last_event(self) -> datetime | None:
        """Return when the last event was written."""
        row = self._sql.execute("SELECT at FROM v_event ORDER BY id DESC LIMIT 1").fetchone()
        return from_micros(row[0]) if row else None

    def _runs(self, query: str, values: tuple[Any, ...]) -> Iterator[Run]:
        for (doc,) in self._sql.execute(query, values):
            yield _run.decode(doc)


def _elapsed(doc: bytes) -> float | None:
    return msgspec.json.decode(doc, type=_Elapsed).elapsed
