"""Pages of a snapshot: documents and the head, read in one transaction; no transaction outlives its page.

The documents of a later page may be newer than the head of the first. That is no fault: the events after that head
are replayed, and a run's `rev` tells which of two is the newer.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from apsis.messages.body import decode
from apsis.messages.snapshots import Snap, Snapshot
from apsis.runs.run import Run
from apsis.times import format_time, parse_time

#: rows and bytes of one page
ROWS: Final = 500
BYTES: Final = 512 * 1024
#: ended runs that are looked at for one page, found or not
LOOKED_AT: Final = 2_000

_HEAD: Final = "SELECT coalesce(max(id), 0) FROM event"
_JOBS: Final = "SELECT job_id, doc FROM v_job WHERE job_id > ? ORDER BY job_id LIMIT ?"
_LIVE: Final = """
    SELECT num, doc FROM run INDEXED BY run_unfinished WHERE finished = 0 AND num > ? ORDER BY num LIMIT ?
"""
_ENDED: Final = "SELECT num, doc FROM run WHERE finished = 1 AND num > ? ORDER BY num LIMIT ?"


class BadQuestion(ValueError):
    """What is asked for cannot be understood."""


class _Times(msgspec.Struct, frozen=True):
    """What tells when a run ended."""

    timestamps: dict[str, str]


@dataclass(slots=True)
class _Filling:
    """A page as far as it is filled."""

    jobs: list[dict[str, Any]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    elided: list[str] = field(default_factory=list)
    size: int = 0

    def has_room(self, doc: bytes) -> bool:
        """Whether a document still goes in; an empty page takes any that can be sent at all."""
        rows = len(self.jobs) + len(self.runs)
        return rows < ROWS and (rows == 0 or self.size + min(len(doc), BYTES) <= BYTES)

    def take_job(self, job_id: str, doc: bytes) -> None:
        """Take a job; of one that is too large its name."""
        whole = len(doc) <= BYTES
        self.jobs.append(decode(dict[str, Any], doc) if whole else {"job_id": job_id, "elided": True})
        self.size += len(doc) if whole else 0

    def take_run(self, doc: bytes) -> None:
        """Take a run; of one that is too large what is small."""
        run: Run = decode(Run, doc)
        if len(doc) > BYTES:
            run = msgspec.structs.replace(run, args={}, program={}, conditions=[], actions=[])
            self.elided.append(run.run_id)
        else:
            self.size += len(doc)
        self.runs.append(run)


def read_snapshot(sql: sqlite3.Connection, journal: int, snap: Snap) -> Snapshot:
    """Return one page, inside a read transaction.

    Raises:
        BadQuestion: `after` is not of a page of ours, or `since` is no time.
    """
    phase, key = _place(snap.after)
    since = _time(snap.since)
    now = format_time(datetime.now(UTC))
    head = sql.execute(_HEAD).fetchone()[0]
    page = _Filling()
    after = None
    if phase == "jobs":
        after = _take_jobs(sql, key, page)
        phase, key = ("live", "0") if after is None else (phase, key)
    if phase == "live":
        after = _take_runs(sql, "live", _LIVE, int(key), page, None)
        phase, key = ("ended", "0") if after is None and since else (phase, key)
    if phase == "ended":
        after = _take_runs(sql, "ended", _ENDED, int(key), page, since)
    return Snapshot(
        journal=journal, head=head, now=now, jobs=page.jobs, runs=page.runs, elided=page.elided, next=after
    )  # fmt: skip


def _place(after: str) -> tuple[str, str]:
    phase, _, key = after.partition(":")
    if not after:
        return "jobs", ""
    number = key.isascii() and key.isdigit() and len(key) <= 18
    if phase not in ("jobs", "live", "ended") or (phase != "jobs" and not number):
        raise BadQuestion("`after` is the `next` of the page before")
    return phase, key


def _time(text: str) -> str:
    """Return a time in the one form, in which times compare as texts."""
    try:
        return format_time(parse_time(text)) if text else ""
    except ValueError as error:
        raise BadQuestion(f"`since` is no time: {error}") from None


def _take_jobs(sql: sqlite3.Connection, key: str, page: _Filling) -> str | None:
    """Fill in jobs; return where to go on, None if these were all."""
    for job_id, doc in sql.execute(_JOBS, (key, ROWS + 1)):
        if not page.has_room(doc):
            return f"jobs:{key}"
        page.take_job(job_id, doc)
        key = job_id
    return None


def _take_runs(
    sql: sqlite3.Connection, phase: str, query: str, key: int, page: _Filling, since: str | None
) -> str | None:
    """Fill in runs; return where to go on, None if these were all."""
    for looked_at, (num, doc) in enumerate(_rows(sql, query, key), 1):
        if since is None or _ended_at(doc) >= since:
            if not page.has_room(doc):
                return f"{phase}:{key}"
            page.take_run(doc)
        key = num
        if looked_at == LOOKED_AT:
            return f"{phase}:{key}"
    return None


def _rows(sql: sqlite3.Connection, query: str, key: int) -> Iterator[tuple[int, bytes]]:
    yield from sql.execute(query, (key, LOOKED_AT))


def _ended_at(doc: bytes) -> str:
    times: _Times = decode(_Times, doc)
    return max(times.timestamps.values(), default="")
