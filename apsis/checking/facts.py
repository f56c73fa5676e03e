"""Facts: what one job says that concerns others, small enough to go from one process to another."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apsis.definitions.finding import Path
from apsis.jobs.job import Job
from apsis.jobs.params import Param


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Another job that a condition, an action or a successor names."""

    #: `dependency`, `max_running`, ... or `schedule` for what makes runs
    kind: str
    #: where it stands in the definition
    path: Path
    job_id: str
    #: as written, templates and all
    args: dict[str, str] = field(default_factory=dict)
    #: it counts runs with any args
    any_args: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A run of another job that a scheduled run will wait for."""

    path: Path
    job_id: str
    #: what is given and, for what is not, the run's own
    args: dict[str, str]
    #: when the run is due
    time: datetime
    #: the args of the run
    own: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of one job."""

    job_id: str
    file: str
    params: dict[str, Param]
    targets: tuple[Target, ...]
    #: it has an enabled schedule
    scheduled: bool
    #: args of the runs that are due in the window, each once
    runs: tuple[dict[str, str], ...] = ()
    needs: tuple[Need, ...] = ()


def entry_path(job: Job, key: str, index: int) -> Path:
    """Return the path of an entry of `schedule`, `condition`, `action` or `successors`: a list, or one alone."""
    return (key, index) if isinstance(job.definition.get(key), list) else (key,)


def targets_of(job: Job) -> tuple[Target, ...]:
    """Return the jobs that a job names."""
    found = []
    every: tuple[tuple[str, Sequence[Any]], ...] = (
        ("condition", job.conditions),
        ("action", job.actions),
        ("successors", job.successors),
    )
    for key, entries in every:
        for index, entry in enumerate(entries):
            job_id = getattr(entry, "job_id", None)
            if not isinstance(job_id, str):
                continue
            found.append(
                Target(
                    kind=entry.type,
                    path=entry_path(job, key, index),
                    job_id=job_id,
                    args=dict(getattr(entry, "args", None) or {}),
                    any_args=bool(getattr(entry, "any_args", False)),
                )
            )
    return tuple(found)
