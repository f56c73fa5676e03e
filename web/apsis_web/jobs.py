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
            following, wrong = self._cache.next_of_jobs(), wrong_with(self._cache)
            self._rows = {
                job_id: _completed(data, following[job_id][0] if job_id in following else None, wrong.get(job_id, []))
                for job_id, data in sorted(self._cache.jobs.items())
            }
            self._made = version
        return self._rows

    def matching(self, filter_: Filter) -> dict[str, bytes]:
        """Return the JSON of each job that matches."""
        if not filter_.terms:
            return self.rows()
        return {job_id: data for job_id, data in self.rows().items() if filter_.matches_job(_facts.decode(data))}


class _Blames(msgspec.Struct, frozen=True):
    """What is needed of a finding: the jobs whose files are not taken over for it."""

    jobs: list[str] = []


_blames: Final = msgspec.json.Decoder(list[_Blames])
_findings: Final = msgspec.json.Decoder(list[msgspec.Raw])
#: jobs that one sentence names
_NAMED: Final = 5


def wrong_with(cache: Cache) -> dict[str, list[msgspec.Raw]]:
    """Return, by job, what is wrong with its file as it is now: its last good version goes on."""
    wrong: dict[str, list[msgspec.Raw]] = {}
    for blame, finding in zip(_blames.decode(cache.job_errors), _findings.decode(cache.job_errors), strict=True):
        for job_id in blame.jobs:
            if job_id in cache.jobs:
                wrong.setdefault(job_id, []).append(finding)
    return wrong


def state_of_files(cache: Cache) -> tuple[str, str]:
    """Return how the job files are, as health shows it: `ok` or `warn`, and a sentence."""
    errors: list[dict[str, Any]] = msgspec.json.decode(cache.job_errors)
    if not errors:
        return "ok", f"{len(cache.jobs)} jobs, all files are good"
    first = next((each for each in errors if each.get("severity", "error") == "error"), errors[0])
    where = ":".join(str(first[key]) for key in ("file", "line") if first.get(key))
    files = len({error.get("file") for error in errors})
    held = sorted(wrong_with(cache))
    kept = ""
    if held:
        names = ", ".join(held[:_NAMED]) + (f" and {len(held) - _NAMED} more" if len(held) > _NAMED else "")
        kept = f"; the last good version of {names} goes on"
    return "warn", f"{files} job files have findings{kept}; the first: {where}: {first.get('message', '')}"


def _completed(data: bytes, due: int | None, wrong: list[msgspec.Raw]) -> bytes:
    """Return a job with the time of its next run, and with what keeps a later version of it from being used.

    Without a run in the cache, `next` is what the scheduler foretold.
    """
    if due is None and not wrong:
        return data
    job: dict[str, Any] = dict(_object.decode(data))
    if due is not None:
        job["next"] = format_time(from_micros(due))
    if wrong:
        job["problems"] = wrong
    return encode(job)
