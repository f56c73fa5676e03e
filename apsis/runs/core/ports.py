"""What the core asks of stored things, and cannot keep in memory: finished runs, old versions, old answers."""

from collections.abc import Collection
from typing import Any, Protocol

from apsis.jobs.job import Job
from apsis.runs.core.rows import RunRow
from apsis.runs.states import State


class ParsesJob(Protocol):
    """Makes a job of a definition that was good once."""

    def __call__(self, job_id: str, definition: dict[str, Any], /) -> Job:
        """Return the job; raises JobError where this version of Apsis no longer takes it."""
        ...


class Archive(Protocol):
    """Looks up what was committed. What the present turn has changed is not in it: the core minds that itself."""

    def run(self, run_id: str) -> RunRow | None:
        """Return any stored run."""
        ...

    def finished(self, job_id: str, args_key: str, states: Collection[State], limit: int) -> list[str]:
        """Return at most `limit` ids of finished runs of a job with exactly these args, in one of the states."""
        ...

    def made(self, job_id: str, due: int, args_key: str) -> bool:
        """Say whether a schedule has made a run of this job for this due time (microseconds) and these args."""
        ...

    def made_between(self, job_id: str, after: int, until: int) -> list[tuple[int, str]]:
        """Return (due, args) of the runs that schedules of a job have made for due times in (after, until]."""
        ...

    def run_times(self, job_id: str, until: int, limit: int) -> list[float]:
        """Return the run times, seconds, of the last successes of a job that were due by then, the newest first.

        Of many runs that ended otherwise since, it need not look beyond: then there are fewer.
        """
        ...

    def previous(self, job_id: str, args_key: str, before: int) -> tuple[int, State] | None:
        """Return number and end of the latest finished run of a job with these args and a number below `before`."""
        ...

    def version(self, version: str) -> tuple[str, dict[str, Any]] | None:
        """Return the job id and the definition that has this content hash."""
        ...

    def answer(self, request_id: str) -> tuple[str, bytes] | None:
        """Return the body hash and the encoded answer of a request that was done."""
        ...
