"""Expansion: what one run of a job would be, with everything bound and nothing run."""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final

from apsis.definitions.nearest import nearest
from apsis.errors import NotFound
from apsis.jobs.bind import bind_args, complete_args, expand
from apsis.jobs.job import Job
from apsis.jobs.parse import schedule_json
from apsis.programs.process import ProcessProgram
from apsis.programs.program import Program
from apsis.programs.templated import BindError
from apsis.programs.variables import arg_variable
from apsis.schedules.schedule import Schedule
from apsis.times.instants import format_time

#: the number that a run would get is not known before it is made
RUN_ID: Final = "r0"
_NEXT: Final = 3
#: due times that are looked through for those whose args fit
_LOOKED: Final = 1_000
_OWN_VARIABLES: Final = ("APSIS_RUN_ID", "APSIS_JOB_ID", "APSIS_SCHEDULE_TIME", "APSIS_SPOOL", "APSIS_JOURNAL")


def find_job(jobs: Mapping[str, Job], job_id: str) -> Job:
    """Return a job of a directory; raises NotFound that names what may be meant."""
    if job_id not in jobs:
        near = nearest(job_id, jobs)
        raise NotFound(f"no job {job_id!r}", hint=f"Did you mean: {near}" if near else "the directory has no such file")
    return jobs[job_id]


def expand_run(job: Job, args: Mapping[str, str], due: datetime, jobs: Mapping[str, Job]) -> dict[str, Any]:
    """Return what a run with these args, due at `due`, would be.

    Raises:
        BindError: an arg, a template or a job that it names does not fit.
    """
    complete = complete_args(job, args)
    bound = expand(job, RUN_ID, complete, due, params_of=lambda name: jobs[name].params if name in jobs else None)
    return {
        "job_id": job.job_id,
        "args": complete,
        "program": bound.program.to_json(),
        "environment": _environment(job, bound.program),
        "conditions": [{**each.to_json(), "text": getattr(each, "text", each.type)} for each in bound.conditions],
        "actions": [each.to_json() for each in bound.actions],
        "resources": job.resources,
        "schedules": [_schedule(job, schedule, complete, due) for schedule in job.schedules],
    }


def _environment(job: Job, program: Program) -> list[str]:
    """Return the names of the variables that are set for the program; values are never shown."""
    if not isinstance(program, ProcessProgram):
        return []
    own = [name for name, value in program.env.items() if value is not None]
    return sorted({*own, *program.around.secrets, *map(arg_variable, job.params), *_OWN_VARIABLES})


def _schedule(job: Job, schedule: Schedule, args: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Return a schedule with its next times, and the next ones at which it makes a run with just these args."""
    shown = schedule_json(schedule)
    found: list[datetime] = []
    matching: list[datetime] = []
    for occurrence in islice(schedule.occurrences(now), _LOOKED) if schedule.enabled else ():
        if len(found) < _NEXT:
            found.append(occurrence.time)
        try:
            same = bind_args(job, schedule, occurrence) == args
        except BindError:
            same = False
        if same:
            matching.append(occurrence.time)
        if len(matching) >= _NEXT:
            break
    return {
        "type": schedule.type,
        "text": shown["text"],
        "enabled": schedule.enabled,
        "next": [format_time(time) for time in found],
        "next_with_args": [format_time(time) for time in matching],
    }
