"""A plan: one schedule of one job, its cursor, and the occurrences that come next."""

from collections.abc import Iterator
from datetime import datetime

from apsis.jobs.job import Job
from apsis.runs.core.rows import CursorRow
from apsis.schedules import Occurrence, Schedule
from apsis.times import from_micros, to_micros


class Plan:
    """Walks through a schedule's occurrences, never backward. Times are microseconds."""

    def __init__(self, job: Job, schedule: Schedule, cursor: CursorRow) -> None:
        self.job = job
        self.schedule = schedule
        #: (job id, schedule key); the key of a schedule is a hash that is not made twice
        self.key = (job.job_id, schedule.key)
        self.at = cursor.at
        self.behind = cursor.behind
        self.until = cursor.until
        self.why = cursor.why
        #: when the horizon reaches the next occurrence; None: not known, or made already
        self.refill_at: int | None = None
        self._occurrences: Iterator[Occurrence] | None = None
        self._next: Occurrence | None = None

    @property
    def row(self) -> CursorRow:
        """Return the cursor as it is stored."""
        job_id, key = self.key
        return CursorRow(job_id=job_id, key=key, at=self.at, behind=self.behind, until=self.until, why=self.why)

    def peek(self) -> Occurrence | None:
        """Return the first occurrence after the cursor; None: there is none any more."""
        if self._occurrences is None:
            self._occurrences = iter(self.schedule.occurrences(from_micros(self.at)))
            self._next = next(self._occurrences, None)
        return self._next

    def take(self) -> Occurrence:
        """Move the cursor past the next occurrence, and return it."""
        occurrence = self.peek()
        if occurrence is None or self._occurrences is None:
            raise LookupError(f"schedule {self.schedule.key} of {self.job.job_id} has no more times")
        self.at = max(self.at, to_micros(occurrence.time))
        self._next = next(self._occurrences, None)
        return occurrence

    def skip_to(self, micros: int) -> None:
        """Move the cursor forward to a time, leaving out what lies between."""
        if micros > self.at:
            self.at = micros
            self._occurrences = self._next = None

    def fall_behind(self, now: int) -> None:
        """Leave the range from the cursor to now to be caught up, and go on from now."""
        if self.at < now:
            self.behind = self.at if self.behind is None else self.behind
            self.until = now
            self.skip_to(now)

    def hold(self, now: int) -> None:
        """Leave what is due from now on to be recorded, once it is let go."""
        if self.behind is None:
            self.behind = self.until = now

    def let_go(self, now: int, why: str) -> None:
        """Have all that was left behind up to now recorded as not run, and go on from now."""
        if self.behind is None:
            self.behind = now
        self.until, self.why = now, why
        self.skip_to(now)

    def caught_up(self) -> None:
        """Leave nothing behind."""
        self.behind = self.until = self.why = None

    def missed(self, after: int) -> Iterator[Occurrence]:
        """Yield the occurrences in (after, until]."""
        if self.until is None:
            return
        for occurrence in self.schedule.occurrences(from_micros(after)):
            if to_micros(occurrence.time) > self.until:
                return
            yield occurrence


def due_micros(time: datetime) -> int:
    """Return a due time in microseconds, rounded down to the millisecond."""
    return to_micros(time) // 1000 * 1000
