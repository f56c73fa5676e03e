"""Sanity: what is not as it should be in an installation, from its records; each check is one function.

Severity is `error` where something does not run or is not known, `warning` where it soon will not, or where a person
should look.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

import msgspec

from apsis.explaining.knows import Cursor
from apsis.jobs.job import Job
from apsis.runs.run import Run
from apsis.runs.states import State
from apsis.schedules import Occurrence
from apsis.times import format_time, from_micros, parse_time, to_micros

ERROR: Final = "error"
WARNING: Final = "warning"
#: seconds by which a scheduled run may be past its due time, and a due time without a run
GRACE: Final = 60.0
#: seconds after which a start that is not answered, or a process that is not there, is told of
ORPHANED: Final = 60.0
#: seconds that the database may be ahead of the clock
DRIFT: Final = 2.0
#: subjects of one kind that are told one by one
EACH_AT_MOST: Final = 50
_HOLDING: Final = frozenset({State.STARTING, State.RUNNING, State.STOPPING})


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be."""

    #: of the check: `late_scheduled`, `unscheduled`, ...; with the subject it names the finding
    id: str
    severity: str
    #: what it is about: `r12`, `etl/load`, `host local`, a calendar, the clock
    subject: str
    text: str
    hint: str = ""
    #: since when it has been so, as far as is known
    since: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the checks look at, read in one transaction."""

    now: datetime
    jobs: Mapping[str, Job]
    #: runs that have not ended
    unfinished: list[Run]
    #: runs of the last day that began late
    late: list[Run]
    cursors: list[Cursor]
    #: job: why nothing of it is made
    held: Callable[[str], str]
    #: seconds ahead that runs are made
    horizon: float
    #: when the last event was written
    latest: datetime | None
    #: (job, due time as text) of all runs that are due after now, ended ones too
    ahead: frozenset[tuple[str, str]]
    #: whether a process of this machine lives; None: not known here
    lives: Callable[[Run], bool | None] = lambda _run: None
    #: the scheduler does its work: what is behind is a fault and not a pause
    running: bool = True
    hosts: frozenset[str] = field(default_factory=frozenset)


def late_scheduled(seen: Seen) -> Iterator[Finding]:
    """Yield runs whose time has come and that are scheduled still."""
    for run in seen.unfinished if seen.running else ():
        due = run.not_before or run.schedule_time
        if run.state is not State.SCHEDULED or due is None or seen.held(run.job_id):
            continue
        past = (seen.now - parse_time(due)).total_seconds()
        if past > GRACE:
            yield Finding(
                id="late_scheduled",
                severity=ERROR,
                subject=run.run_id,
                text=f"{run.run_id} of {run.job_id} was due at {due}, {past:.0f} s ago, and is scheduled still",
                hint="see what keeps the scheduler: apsisctl status; apsis why",
                since=due,
            )


def unscheduled(seen: Seen) -> Iterator[Finding]:
    """Yield due times that should have become runs, past ones and the next of each schedule, and have not."""
    cursors = {(each.job_id, each.key): each for each in seen.cursors}
    for job in seen.jobs.values() if seen.running else ():
        if seen.held(job.job_id):
            continue
        for schedule in job.schedules:
            if not schedule.enabled:
                continue
            cursor = cursors.get((job.job_id, schedule.key))
            try:
                missing = _missing(seen, job, schedule.occurrences, cursor)
            except Exception as error:  # noqa: BLE001  a schedule class of a user's may raise anything
                text = f"the times of {schedule.text!r} cannot be computed: {type(error).__name__}: {error}"
                yield Finding(id="unscheduled", severity=ERROR, subject=job.job_id, text=text)
                continue
            if missing is not None:
                yield Finding(
                    id="unscheduled",
                    severity=ERROR,
                    subject=job.job_id,
                    text=f"no run exists for {format_time(missing)}, when {schedule.text!r} is due",
                    hint="have the jobs read again: apsisctl reload; if that does not help, restart the scheduler",
                    since=format_time(missing) if missing < seen.now else "",
                )


def _missing(
    seen: Seen, job: Job, occurrences: Callable[[datetime], Iterable[Occurrence]], cursor: Cursor | None
) -> datetime | None:
    """Return the first due time of a schedule that no run is there for, though there should be one."""
    if cursor is None:
        return None
    now = to_micros(seen.now)
    start = from_micros(min(cursor.at, now))
    for each in islice(occurrences(start), 1):
        if cursor.at < now and each.time < seen.now - timedelta(seconds=GRACE):
            return each.time
    for each in islice(occurrences(seen.now + timedelta(seconds=1)), 1):
        time = each.time
        soon = time - seen.now < timedelta(seconds=max(0.0, seen.horizon - GRACE))
        if soon and to_micros(time) <= cursor.at and (job.job_id, format_time(time)) not in seen.ahead:
            return time
    return None


def orphaned(seen: Seen) -> Iterator[Finding]:
    """Yield runs that count as running and of which no process, or no host, is known to be there."""
    for run in seen.unfinished:
        if run.state not in _HOLDING or run.host is None:
            continue
        entered = run.timestamps.get(run.state.value, "")
        age = (seen.now - parse_time(entered)).total_seconds() if entered else ORPHANED + 1
        why = ""
        if not run.reachable:
            why = f"its host {run.host} cannot be reached"
        elif seen.hosts and run.host not in seen.hosts:
            why = f"its host {run.host} is not known"
        elif run.state is State.STARTING and age > ORPHANED:
            why = f"its start was sent to host {run.host} {age:.0f} s ago and is not answered"
        elif run.pid is not None and age > GRACE / 2 and seen.lives(run) is False:
            why = f"its process {run.pid} is not there any more, and its host {run.host} has not told how it ended"
        if why:
            yield Finding(
                id="orphaned",
                severity=ERROR,
                subject=run.run_id,
                text=f"{run.run_id} of {run.job_id} counts as {run.state.value}: {why}",
                hint=f"see that its supervisor runs: apsisctl status; else give it up: apsis abandon {run.run_id}",
                since=entered,
            )


def ran_late(seen: Seen) -> Iterator[Finding]:
    """Yield the jobs of which runs began later than they may, in the last day."""
    by_job: dict[str, list[Run]] = defaultdict(list)
    for run in seen.late:
        by_job[run.job_id].append(run)
    for job_id, runs in sorted(by_job.items()):
        last = max(runs, key=lambda run: run.timestamps.get("running", ""))
        count = f"{len(runs)} runs" if len(runs) > 1 else "a run"
        began = f"the latest of them {last.run_id}" if len(runs) > 1 else last.run_id
        yield Finding(
            id="ran_late",
            severity=WARNING,
            subject=job_id,
            text=f"{count} of {job_id} began late in the last day, {began} by {last.late_by or 0.0:.0f} s",
            hint=f"see where the time went: apsis why {last.run_id}",
            since=last.timestamps.get("running", ""),
        )


def clock_drift(seen: Seen) -> Iterator[Finding]:
    """Yield what is said where the database was written later than the clock says it is."""
    if seen.latest is None:
        return
    ahead = (seen.latest - seen.now).total_seconds()
    if ahead > DRIFT:
        yield Finding(
            id="clock_drift",
            severity=ERROR if ahead > 3600 else WARNING,
            subject="clock",
            text=f"the clock stands {ahead:.0f} s before the last entry of the database, {format_time(seen.latest)}",
            hint="set the clock right, or have it kept by NTP; more than an hour behind, nothing is started",
        )


def wrong_ahead(seen: Seen) -> Iterator[Finding]:
    """Yield jobs of which runs made ahead will end in error, as their args or templates do not fit."""
    told: set[str] = set()
    for run in seen.unfinished:
        if run.state is State.SCHEDULED and run.reason.startswith("will not run: ") and run.job_id not in told:
            told.add(run.job_id)
            yield Finding(
                id="will_not_run",
                severity=ERROR,
                subject=run.job_id,
                text=f"{run.run_id} of {run.job_id}, due at {run.schedule_time}, {run.reason}",
                hint="mend its job file; the run is made anew",
            )


CHECKS: Final = (late_scheduled, unscheduled, orphaned, ran_late, clock_drift, wrong_ahead)


def look(seen: Seen) -> list[Finding]:
    """Return all that the checks of records find; of each at most fifty, and how many more there are."""
    found: list[Finding] = []
    for check in CHECKS:
        found += at_most(list(check(seen)))
    return found


def at_most(findings: list[Finding]) -> list[Finding]:
    """Return at most fifty findings of one check, and one that counts the others."""
    if len(findings) <= EACH_AT_MOST:
        return findings
    last = findings[EACH_AT_MOST]
    more = len(findings) - EACH_AT_MOST
    rest = Finding(id=last.id, severity=last.severity, subject="", text=f"and {more} more like these")
    return [*findings[:EACH_AT_MOST], rest]
