"""What is known: the questions that explaining asks of whoever has the records."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from apsis.jobs.job import Job
from apsis.runs.run import LogEntry, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """Who holds a job, or everything (`job_id` is empty)."""

    job_id: str
    by: str
    at: str
    reason: str = ""

    @property
    def text(self) -> str:
        """What a person reads."""
        what = f"job {self.job_id}" if self.job_id else "everything"
        return f"{what} is paused by {self.by} since {self.at}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """Due times of one schedule that are on record as not run."""

    at: str
    job_id: str
    schedule: str
    first: str
    last: str
    count: int
    more: bool
    reason: str

    def covers(self, due: str) -> bool:
        """Return whether a due time is among them; times in the one form compare as texts."""
        return self.first <= due <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Up to where a schedule's due times have become runs or are on record; microseconds."""

    job_id: str
    key: str
    at: int
    behind: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEntry:
    """One thing that happened to a job: it was `added`, `changed`, `removed`, `paused` or `resumed`."""

    at: str
    event: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSeen:
    """What is known of a host: when it was last heard, and how many runs it may have at a time."""

    host: str
    heard: str
    cores: int


class Knows(Protocol):
    """The records, as they were at one moment."""

    @property
    def resources(self) -> Mapping[str, int]:
        """Counts by name, from the config."""
        ...

    @property
    def job_errors(self) -> list[dict[str, Any]]:
        """What the last reading of the job directory complained of: `{file, line, column, message}`."""
        ...

    def run(self, run_id: str) -> Run | None:
        """Return a run."""
        ...

    def log(self, run_id: str) -> list[LogEntry]:
        """Return its action log, oldest first."""
        ...

    def passed(self, run_id: str) -> int:
        """Return how many of its conditions, in order, have become true."""
        ...

    def with_args(self, job_id: str, args: Mapping[str, str], limit: int) -> list[Run]:
        """Return runs of a job with exactly these args: unfinished ones first, then the latest that have ended."""
        ...

    def unfinished(self, job_id: str | None, states: Collection[str], limit: int) -> list[Run]:
        """Return runs that have not ended, of one job or of all, in these states, in order of time."""
        ...

    def due(self, job_id: str, start: datetime, end: datetime, limit: int) -> list[Run]:
        """Return runs of a job whose time is in [start, end), in order."""
        ...

    def ended_well(self, job_id: str, args: Mapping[str, str] | None, limit: int) -> list[float]:
        """Return run times (s) of the latest successes of a job: with exactly these args, or with any."""
        ...

    def latest(self, job_id: str, limit: int) -> list[Run]:
        """Return the latest runs of a job that have ended, the latest first."""
        ...

    def job(self, job_id: str) -> Job | None:
        """Return a job as it is in force; None: there is none, or it can no longer be read."""
        ...

    def has_job(self, job_id: str) -> bool:
        """Return whether there is such a job."""
        ...

    def pause_of(self, job_id: str) -> Paused | None:
        """Return who holds a job, or everything."""
        ...

    def not_run(self, job_id: str | None, start: datetime, end: datetime, limit: int) -> list[NotRun]:
        """Return the records of due times in a window that did not become runs; of one job, or of all."""
        ...

    def history(self, job_id: str) -> list[JobEntry]:
        """Return what happened to a job, as far as it is kept, oldest first."""
        ...

    def hosts(self) -> list[HostSeen]:
        """Return the hosts that have ever been heard."""
        ...
