"""Outlook: what the jobs in force will come to: those that can never run, calendars that end, waits for nothing."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from apsis.checking.facts import Facts
from apsis.checking.links import check_links
from apsis.checking.one_job import Frame, check_job
from apsis.checking.waits import Waits
from apsis.checking.windows import Windows
from apsis.explaining.sanity import ERROR, WARNING, Finding, at_most
from apsis.jobs.job import Job

#: code of a finding of `apsis check`: id here, and what a person can do
_CODES: Final = {
    "never_runs": ("never_runs", "change the condition or the resources in its file"),
    "cycle": ("never_runs", "take one of the dependencies away"),
    "no_such_job": ("never_runs", "mend the name, or add the job"),
    "never_due": ("never_due", "look at its calendar, its dates and its expression"),
    "calendar_ends": ("calendar_ends", "add dates to the calendar, and a later STOP"),
    "not_scheduled": ("dependency_not_scheduled", "schedule the other job, or make the run by hand when it is needed"),
}
#: how far ahead runs are looked at for whether what they wait for is scheduled
HORIZON: Final = timedelta(days=2)


def outlook(jobs: Mapping[str, Job], resources: Mapping[str, int], now: datetime) -> list[Finding]:
    """Return what `apsis check` would say of the jobs in force that concerns whether they ever run."""
    return at_most(list(_outlook(jobs, resources, now)))


def _outlook(jobs: Mapping[str, Job], resources: Mapping[str, int], now: datetime) -> Iterator[Finding]:
    frame = Frame(now=now, horizon=HORIZON, resources=resources)
    windows = Windows()
    facts: dict[str, Facts] = {}
    for job in jobs.values():
        findings, facts[job.job_id] = check_job(job, frame, windows)
        for problem in findings.problems:
            yield from _told(job.job_id, problem.code, problem.severity, problem.message)
    waits = Waits(facts, jobs.get, now, HORIZON)
    for fault in (*check_links(facts, frozenset()), *waits.check()):
        yield from _told(fault.job_id, fault.code, fault.severity, fault.message)


def _told(job_id: str, code: str, severity: str, message: str) -> Iterator[Finding]:
    if code in _CODES:
        id_, hint = _CODES[code]
        yield Finding(
            id=id_,
            severity=ERROR if severity == "error" else WARNING,
            subject=job_id,
            text=f"{job_id}: {message}",
            hint=hint,
        )
