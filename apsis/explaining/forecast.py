"""Forecast: the runs to come, those that are made already and, beyond them, those that schedules will make."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec

from apsis.conditions.max_running import MaxRunning
from apsis.errors import ApsisError
from apsis.filters import Filter
from apsis.filters.facts import StoredRun
from apsis.jobs.bind import bind_args
from apsis.jobs.job import Job
from apsis.runs.run import Run
from apsis.runs.states import FINISHED, State
from apsis.schedules import Occurrence, Schedule
from apsis.times import format_time, parse_time, to_micros

#: runs of one forecast at most, where nothing else is said
LIMIT: Final = 1_000
#: occurrences looked at for one forecast, whether or not they match what is asked for
LOOKED_AT: Final = 200_000
#: a job, its due time as text, its args in order of their names
Key = tuple[str, str, tuple[tuple[str, str], ...]]


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """A run will probably not start when it is due, as others hold what it needs."""

    #: `resource` or `max_running`
    kind: str
    #: of the resource, or of the job that is counted
    name: str
    text: str
    #: who holds it then: `r12`, or `etl/load at 2026-06-30T14:32:07.120000Z`
    holders: list[str] = []


class Coming(msgspec.Struct, kw_only=True):
    """A run to come; times in the one form. `expected_end` assumes that it starts when it is due."""

    job_id: str
    args: dict[str, str]
    schedule_time: str
    stop_time: str | None = None
    #: key of the schedule: its name, or the hash of its definition; null: a person made it, or a rule
    schedule: str | None = None
    #: null: it is not made yet
    run_id: str | None = None
    #: median of the last ten successes, seconds; null: there are none
    duration: float | None = None
    #: `args`: successes of this job with these args; `job`: with any
    based_on: str | None = None
    expected_end: str | None = None
    #: why it will not run as things stand, e.g. args that do not fit
    wrong: str = ""
    conflicts: list[Conflict] = []

    @property
    def key(self) -> Key:
        """By which one run is known in two forecasts."""
        return self.job_id, self.schedule_time, tuple(sorted(self.args.items()))


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was not forecast, and why."""

    job_id: str
    reason: str


class Forecast(msgspec.Struct, kw_only=True):
    """Runs to come in order of time."""

    runs: list[Coming]
    left_out: list[LeftOut] = []
    #: the first due time that is not in it any more, for want of room; null: it is whole
    cut_at: str | None = None


@dataclass(slots=True)
class Foretold:
    """A forecast, and beside it the runs that nobody asked for but that may hold what the others need."""

    forecast: Forecast
    #: all in order of time, with those that were asked for
    all: list[Coming] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From when (exclusive) to when (inclusive), and how many at most."""

    start: datetime
    end: datetime
    limit: int = LIMIT
    filter: Filter | None = None
    now: datetime | None = None

    def takes(self, coming: Coming, labels: list[str]) -> bool:
        """Return whether a run is asked for."""
        if self.filter is None or not self.filter.terms:
            return True
        facts = StoredRun(
            run_id=coming.run_id or "",
            job_id=coming.job_id,
            args=coming.args,
            state=State.SCHEDULED.value,
            schedule_time=coming.schedule_time,
            labels=labels,
        )
        return self.filter.matches(facts, self.now or self.start)


@dataclass(slots=True)
class Made:
    """What there is already: runs whose time has not come, and all that a schedule need not make again."""

    runs: list[Run] = field(default_factory=list)
    #: keys of schedules by run id
    schedules: Mapping[str, str] = field(default_factory=dict)
    #: job: why nothing of it runs
    held: Callable[[str], str] = lambda _job_id: ""


#: what a schedule's code runs within: it may be a user's, and take for ever
Guard = Callable[[Schedule], AbstractContextManager[None]]


def no_guard(_schedule: Schedule) -> AbstractContextManager[None]:
    """Let it run as long as it likes."""
    return nullcontext()


def forecast(jobs: Mapping[str, Job], made: Made, window: Window, guard: Guard = no_guard) -> Foretold:
    """Return the runs of a window: those that are made, and those that schedules will make."""
    found = Foretold(Forecast(runs=[], left_out=[]))
    answer = found.forecast
    held: dict[str, str] = {}
    streams = [_ahead(made, window)]
    for job in jobs.values():
        if reason := made.held(job.job_id):
            held[job.job_id] = reason
        else:
            streams += [_of(job, each, window, answer, guard) for each in job.schedules if each.enabled]
    known = {_stored(run, None).key for run in made.runs}
    places = _counted(jobs.values())
    for looked_at, (time, job_id, coming) in enumerate(heapq.merge(*streams, key=lambda each: each[:2])):
        if coming.run_id is None and coming.key in known:
            continue
        if len(answer.runs) >= window.limit or looked_at >= LOOKED_AT:
            answer.cut_at = time
            break
        if reason := made.held(job_id):
            held[job_id] = reason
            continue
        known.add(coming.key)
        job_of = jobs.get(job_id)
        asked = window.takes(coming, job_of.labels if job_of else [])
        if asked:
            answer.runs.append(coming)
        if asked or job_id in places:
            found.all.append(coming)
    answer.left_out += [LeftOut(job_id=job_id, reason=reason) for job_id, reason in held.items()]
    return found


def _ahead(made: Made, window: Window) -> Iterator[tuple[str, str, Coming]]:
    """Yield the runs of a window that are made and have not started."""
    start, end = format_time(window.start), format_time(window.end)
    pending = [_stored(run, made.schedules.get(run.run_id)) for run in made.runs if run.state not in FINISHED]
    ahead = [each for each in pending if start < each.schedule_time <= end]
    yield from sorted(((each.schedule_time, each.job_id, each) for each in ahead), key=lambda each: each[:2])


def _counted(jobs: Iterable[Job]) -> set[str]:
    """Return the jobs whose runs may hold what others need."""
    found = set()
    for job in jobs:
        for each in job.conditions:
            if each.type == MaxRunning.type:
                found.add(getattr(each, "job_id", None) or job.job_id)
        if job.resources:
            found.add(job.job_id)
    return found


def _stored(run: Run, schedule: str | None) -> Coming:
    wrong = run.reason.removeprefix("will not run: ") if run.reason.startswith("will not run: ") else ""
    return Coming(
        job_id=run.job_id,
        args=run.args,
        schedule_time=run.not_before or run.schedule_time or "",
        stop_time=run.stop_time,
        schedule=schedule,
        run_id=run.run_id,
        wrong=wrong,
    )


def _of(
    job: Job, schedule: Schedule, window: Window, found: Forecast, guard: Guard
) -> Iterator[tuple[str, str, Coming]]:
    """Yield what one schedule will make; what its code does wrong is noted, and ends it alone."""
    try:
        occurrences = iter(schedule.occurrences(window.start))
        while True:
            with guard(schedule):
                occurrence = next(occurrences, None)
            if occurrence is None or occurrence.time > window.end:
                return
            coming = _coming(job, schedule, occurrence)
            yield coming.schedule_time, coming.job_id, coming
    except Exception as error:  # noqa: BLE001  a schedule class of a user's may raise anything
        why = error.message if isinstance(error, ApsisError) else f"{type(error).__name__}: {error}"
        found.left_out.append(
            LeftOut(job_id=job.job_id, reason=f"the times of {schedule.text!r} cannot be computed: {why}")
        )


def _coming(job: Job, schedule: Schedule, occurrence: Occurrence) -> Coming:
    wrong = ""
    try:
        args = bind_args(job, schedule, occurrence)
    except ApsisError as error:
        offered = {**occurrence.offered, **schedule.args}
        args, wrong = {name: offered[name] for name in job.params if name in offered}, error.message
    stop = schedule.stop_time(occurrence.time)
    return Coming(
        job_id=job.job_id,
        args=args,
        schedule_time=format_time(occurrence.time),
        stop_time=format_time(stop) if stop else None,
        schedule=schedule.key,
        wrong=wrong,
    )


def due_micros(coming: Coming) -> int:
    """Return when a run is due, microseconds."""
    return to_micros(parse_time(coming.schedule_time))
