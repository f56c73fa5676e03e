"""Conflicts: runs to come that will probably wait, as more of a resource or a place is wanted than there is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from apsis.conditions.max_running import MaxRunning
from apsis.errors import ApsisError
from apsis.explaining.forecast import Coming, Conflict, due_micros
from apsis.jobs.bind import expand
from apsis.jobs.job import Job
from apsis.programs.noop import NoOpSpec
from apsis.times import from_micros

#: holders that one conflict names
_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A run that is on from `start` to about `end`, microseconds."""

    name: str
    job_id: str
    args: Mapping[str, str]
    start: int
    end: int
    resources: Mapping[str, int]


def find_conflicts(
    runs: Iterable[Coming], jobs: Mapping[str, Job], resources: Mapping[str, int], on: Iterable[Holder] = ()
) -> None:
    """Note the conflicts of each run to come, given in order of time; `on` are those that run already."""
    holding = list(on)
    for coming in runs:
        job = jobs.get(coming.job_id)
        if job is None or coming.wrong:
            continue
        start = due_micros(coming)
        # of two that are due at one instant the first holds what the second wants, also where it takes no time
        holding = [each for each in holding if each.end > start or each.start == start]
        coming.conflicts = [*_of_resources(job, resources, holding), *_of_places(job, coming, holding)]
        holding.append(
            Holder(
                name=coming.run_id or f"{coming.job_id} at {coming.schedule_time}",
                job_id=coming.job_id,
                args=coming.args,
                start=start,
                end=start + int((coming.duration or 0.0) * 1e6),
                resources=job.resources,
            )
        )


def _of_resources(job: Job, resources: Mapping[str, int], holding: list[Holder]) -> list[Conflict]:
    found = []
    for name, wanted in job.resources.items():
        total = resources.get(name, 0)
        holders = [each for each in holding if each.resources.get(name)]
        held = sum(each.resources[name] for each in holders)
        if held + wanted > total:
            if name not in resources:
                text = f"there is no resource {name} in the config"
            elif wanted > total:
                text = f"it needs {wanted} of {name}, of which there are {total}: it never starts"
            else:
                text = f"it needs {wanted} of {name}: {held} of {total} will be held"
            found.append(Conflict(kind="resource", name=name, text=text, holders=_names(holders)))
    return found


def _of_places(job: Job, coming: Coming, holding: list[Holder]) -> list[Conflict]:
    found = []
    for each in _places(job, coming):
        others = [
            other
            for other in holding
            if other.job_id == each["job_id"] and (each["args"] is None or dict(other.args) == each["args"])
        ]
        if len(others) >= each["count"]:
            text = f"at most {each['count']} of {each['job_id']} may run: {len(others)} will"
            found.append(Conflict(kind="max_running", name=each["job_id"], text=text, holders=_names(others)))
    return found


def _places(job: Job, coming: Coming) -> list[dict[str, Any]]:
    """Return the `max_running` conditions of a run, as bound; what cannot be bound is told elsewhere."""
    specs = tuple(each for each in job.conditions if each.type == MaxRunning.type)
    if not specs:
        return []
    bare = replace(job, program=NoOpSpec(), conditions=specs, actions=(), successors=(), timeout=None)
    try:
        bound = expand(bare, coming.run_id or "r0", coming.args, from_micros(due_micros(coming)))
    except ApsisError:
        return []
    return [each.to_json() for each in bound.conditions]


def _names(holders: list[Holder]) -> list[str]:
    more = len(holders) - _NAMED
    return [each.name for each in holders[:_NAMED]] + ([f"{more} more"] if more > 0 else [])
