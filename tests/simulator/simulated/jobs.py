"""The jobs of the simulated installation, and the settings under which its scheduler runs."""

from functools import cache
from typing import Any

import msgspec
from simulated import waits

from apsis.jobs.job import Job
from apsis.jobs.parse import parse_job
from apsis.runs.core.settings import Settings

SETTINGS = Settings(
    horizon=40.0, max_ahead=3, waiting_max=15.0, away_grace=4.0, late_grace=3.0, per_core=2, resources=waits.RESOURCES
)
#: cores of each host; times `per_core` runs at a time
CORES = 4


def _program(host: str = "local") -> dict[str, Any]:
    return {
        "type": "program",
        "argv": ["/bin/true"],
        "host": host,
        "stop": {"signal": "SIGTERM", "grace_period": 1},
    }


def _every(seconds: int, **terms: Any) -> dict[str, Any]:
    return {"type": "interval", "interval": seconds, **terms}


#: what a schedule makes
TIMED: dict[str, dict[str, Any]] = {
    "timer": {"program": _program(), "schedule": _every(16)},
    # two schedules that name the same moments
    "twin": {"program": _program("far"), "schedule": [_every(15), _every(30)]},
    "latest": {"program": {"type": "no-op", "duration": 1}, "schedule": _every(9, catch_up="last")},
    "strict": {"program": {"type": "no-op", "duration": 1}, "schedule": _every(11, catch_up="none")},
    "fading": {
        "program": {"type": "program", "argv": ["{{ 1 // (schedule_time.second % 2) }}"]},
        "schedule": _every(13),
    },
}
#: what people ask for
ASKED: dict[str, dict[str, Any]] = {
    "plain": {"program": _program(), "params": ["n"]},
    "far": {"program": _program("far"), "params": ["n"]},
    "one": {
        "program": _program(),
        "condition": {"type": "max_running", "count": 1},
        "successors": ["after"],
    },
    "after": {"program": _program(), "condition": {"type": "dependency", "job_id": "one"}},
    "pause": {"program": {"type": "no-op", "duration": 2}},
    "wrong": {"program": {"type": "program", "argv": ["{{ 1 // (n|int) }}"]}, "params": ["n"]},
}


@cache
def _parsed(job_id: str, definition: bytes) -> Job:
    return parse_job(job_id, msgspec.json.decode(definition))


def parse(job_id: str, definition: dict[str, Any]) -> Job:
    """Return a job; parsed once however often it is asked for."""
    return _parsed(job_id, msgspec.json.encode(definition))


@cache
def job(job_id: str, *, timed: bool = True) -> Job:
    """Return one of the jobs above; without its schedules if `timed` is false."""
    definition = dict(ASKED.get(job_id) or waits.JOBS.get(job_id) or TIMED[job_id])
    if not timed:
        definition.pop("schedule", None)
    return parse(job_id, definition)
