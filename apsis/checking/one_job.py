"""What can be found in one job alone, and the facts about it that others are checked with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from apsis.checking.clocks import check_clocks
from apsis.checking.endings import check_endings
from apsis.checking.facts import Facts, targets_of
from apsis.checking.first_runs import check_first_runs
from apsis.checking.quoting import check_quoting
from apsis.checking.stuck import check_stuck
from apsis.checking.waits import needs_of
from apsis.checking.windows import Windows
from apsis.definitions.finding import Findings
from apsis.errors import ApsisError
from apsis.jobs.bind import bind_args
from apsis.jobs.job import Job

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """When a check is made, and what it looks at."""

    now: datetime
    #: how far ahead scheduled runs are looked at
    horizon: timedelta = timedelta(days=7)
    #: counts by name, from the config; None: there is no config
    resources: Mapping[str, int] | None = None


def check_job(job: Job, frame: Frame, windows: Windows) -> tuple[Findings, Facts]:
    """Return what is wrong with one job, and the facts about it."""
    findings = Findings()
    check_first_runs(job, findings, windows, frame.now)
    check_quoting(job, findings)
    check_clocks(job, findings, windows, frame.now)
    check_endings(job, findings, frame.now.date(), frame.horizon)
    check_stuck(job, findings, frame.resources)
    runs = _runs(job, frame, windows)
    distinct = {repr(sorted(args.items())): args for _, args in runs}
    return findings, Facts(
        job_id=job.job_id,
        file=job.file,
        params=job.params,
        targets=targets_of(job),
        scheduled=any(schedule.enabled for schedule in job.schedules),
        runs=tuple(distinct.values()),
        needs=needs_of(job, [run for run in runs if frame.now < run[0] <= frame.now + frame.horizon]),
    )


def _runs(job: Job, frame: Frame, windows: Windows) -> list[tuple[datetime, dict[str, str]]]:
    """Return the runs that are due within the horizon, and those of a day before and after, each args once."""
    found: dict[tuple[str, ...], tuple[datetime, dict[str, str]]] = {}
    for schedule in job.schedules:
        if not schedule.enabled:
            continue
        try:
            for occurrence in windows.occurrences(schedule, frame.now - _DAY, frame.now + frame.horizon + _DAY):
                args = bind_args(job, schedule, occurrence)
                past = found.get(key := tuple(args.values()))
                if past is None or past[0] <= frame.now:
                    found[key] = occurrence.time, args
        except (ApsisError, ValueError, ArithmeticError):
            # told of the first run
            continue
    return list(found.values())
