"""Durations: how long a run will probably take, from how long its like have taken."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from statistics import median
from typing import Final

from apsis.explaining.forecast import Coming
from apsis.times import format_time, parse_time

#: successes that are looked at
LAST: Final = 10

#: run times (s) of the latest successes: (job, args or None for any, how many)
EndedWell = Callable[[str, Mapping[str, str] | None, int], list[float]]


class Durations:
    """Medians, each found once."""

    def __init__(self, ended_well: EndedWell) -> None:
        self._ended_well = ended_well
        self._of_jobs: dict[str, float | None] = {}

    def expect(self, job_id: str, args: Mapping[str, str]) -> tuple[float | None, str | None]:
        """Return seconds and what they are based on: `args` or `job`; (None, None) where nothing has succeeded yet."""
        own = self._ended_well(job_id, args, LAST)
        if own:
            return median(own), "args"
        if job_id not in self._of_jobs:
            times = self._ended_well(job_id, None, LAST)
            self._of_jobs[job_id] = median(times) if times else None
        found = self._of_jobs[job_id]
        return found, None if found is None else "job"

    def fill_in(self, coming: Coming) -> None:
        """Write down how long a run will take, and when it will end."""
        coming.duration, coming.based_on = self.expect(coming.job_id, coming.args)
        if coming.duration is not None:
            end = parse_time(coming.schedule_time) + timedelta(seconds=coming.duration)
            coming.expected_end = format_time(end)
