"""Jobs as they are shown: the definition that the scheduler published, and the next run that the cache knows of."""

from typing import Any, Final

import msgspec

from apsis.filters import Filter
from apsis.filters.facts import JobFacts
from apsis.messages.body import encode
from apsis.times import format_time, from_micros
from apsis_web.cache import Cache

_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_facts: Final = msgspec.json.Decoder(JobFacts)


class JobList:
    """The jobs of a cache, made anew only when something changed."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._made: tuple[int, int] | None = None
        self._rows: dict[str, bytes] = {}

    def rows(self) -> dict[str, bytes]:
        """Return the JSON of each job, by id in alphabetical order."""
        version = (self._cache.generation, self._cache.jobs_version)
        if self._made != version:
            following = self._cache.next_of_jobs()
            self._rows = {
                job_id: _with_next(data, following[job_id][0] if job_id in following else None)
                for job_id, data in sorted(self._cache.jobs.items())
            }
            self._made = version
        return self._rows

    def matching(self, filter_: Filter) -> dict[str, bytes]:
        """Return the JSON of each job that matches."""
        if not filter_.terms:
            return self.rows()
        return {job_id: data for job_id, data in self.rows().items() if filter_.matches_job(_facts.decode(data))}


def _with_next(data: bytes, due: int | None) -> bytes:
    """Return a job with the time of its next run; without a run in the cache, with what the scheduler foretold."""
    if due is None:
        return data
    job: dict[str, Any] = dict(_object.decode(data))
    job["next"] = format_time(from_micros(due))
    return encode(job)
