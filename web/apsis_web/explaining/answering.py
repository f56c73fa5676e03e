"""Answering: from a question and the records to what REST answers with."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, Final

import msgspec

from apsis.config import Config
from apsis.errors import BadRequest, NotFound
from apsis.explaining.conflicts import Holder, find_conflicts
from apsis.explaining.durations import Durations
from apsis.explaining.forecast import Made, Window, forecast
from apsis.explaining.holding import who_holds
from apsis.explaining.jobs import missed, why_job, why_job_on
from apsis.explaining.outlook import outlook
from apsis.explaining.runs import dependencies, why_run
from apsis.explaining.sanity import Finding, Seen, look
from apsis.explaining.schedules import due_times_of
from apsis.explaining.stillness import why_nothing
from apsis.filters import FilterError, parse, parse_jobs
from apsis.filters.facts import JobFacts
from apsis.filters.filter import Filter
from apsis.jobs.job import Job
from apsis.runs.run import Run
from apsis.runs.states import State
from apsis.schedules import Schedule
from apsis.times import format_time, parse_time, to_micros
from apsis_web.explaining import questions as ask
from apsis_web.explaining.records import Records

#: seconds that one due time of a user's class may take
_PATIENCE: Final = 2.0
#: runs that began late and are told of
_LATE: Final = 1_000
_DAY: Final = timedelta(days=1)
_facts: Final = msgspec.json.Decoder(JobFacts)
#: what of a definition says that its runs may hold what others need
_HOLDS: Final = (b'"resources"', b"max_running")


def answer(question: ask.Asked, records: Records, config: Config, now: datetime, *, running: bool = True) -> Any:
    """Return the answer to a question, as plain data and structs that go into JSON.

    Raises:
        NotFound: there is no such run or job; BadRequest: a date or a filter cannot be understood.
    """
    match question:
        case ask.Forecast():
            return _forecast(question, records, now)
        case ask.DueTimes():
            return _due_times(question, records)
        case ask.WhyRun(run_id=run_id):
            return why_run(records, _run(records, run_id), now)
        case ask.Needs(run_id=run_id):
            return dependencies(records, _run(records, run_id), now)
        case ask.WhyJob(job_id=job_id, on=None):
            return why_job(records, job_id, now)
        case ask.WhyJob(job_id=job_id, on=on):
            return why_job_on(records, job_id, _day(on or ""), now)
        case ask.WhoHolds(resource=resource):
            return who_holds(records, resource)
        case ask.Missed(start=start, end=end):
            return missed(records, parse_time(start), parse_time(end), _LATE)
        case ask.WhyNothing(checks=checks):
            return why_nothing(records, checks, now)
        case ask.Examine():
            return {"findings": examine(records, config, now, running=running)}


def _run(records: Records, run_id: str) -> Run:
    run = records.run(run_id)
    if run is None:
        raise NotFound(f"no run {run_id[:80]}", hint="`apsis runs` lists them")
    return run


def _day(text: str) -> date | datetime:
    try:
        return date.fromisoformat(text) if len(text) == len("2026-06-30") else parse_time(text)
    except ValueError:
        raise BadRequest(
            f"on is neither a date nor a time: {text[:80]!r}", hint="write 2026-06-30 or 2026-06-30T14:32:07Z", loc="on"
        ) from None


def _forecast(question: ask.Forecast, records: Records, now: datetime) -> dict[str, Any]:
    filter_ = parse(question.q)
    start = max(parse_time(question.start), now)
    window = Window(start=start, end=parse_time(question.end), limit=question.limit, filter=filter_, now=now)
    of_jobs = _of_jobs(question.q)
    jobs, bad = records.jobs(lambda job_id, doc, definition: _matters(of_jobs, doc, definition))
    ahead = records.ahead(start)
    pauses = records.pauses
    held = {key: pause.text for key, pause in pauses.items()}
    made = Made(
        runs=[run for run, _ in ahead],
        schedules={run.run_id: schedule for run, schedule in ahead if schedule},
        held=lambda job_id: held.get(job_id) or held.get("", ""),
    )
    found = forecast(jobs, made, window, _patiently)
    durations = Durations(records.ended_well)
    for coming in found.all:
        durations.fill_in(coming)
    find_conflicts(found.all, jobs, records.resources, _holders(records, jobs, durations, now))
    answer = msgspec.to_builtins(found.forecast)
    answer["left_out"] += [{"job_id": job_id, "reason": "its definition can no longer be read"} for job_id in bad]
    return {**answer, "from": format_time(start), "to": question.end}


def _of_jobs(q: str) -> Filter | None:
    """Return a filter as one of jobs; None where it speaks of what only runs have."""
    try:
        return parse_jobs(q)
    except FilterError:
        return None


def _matters(of_jobs: Filter | None, doc: bytes, definition: bytes) -> bool:
    """Return whether a job's runs may be asked for, or hold what those that are need."""
    if of_jobs is None or not of_jobs.terms or any(word in definition for word in _HOLDS):
        return True
    return of_jobs.matches_job(_facts.decode(doc))


def _holders(records: Records, jobs: Mapping[str, Job], durations: Durations, now: datetime) -> list[Holder]:
    """Return the runs that are on, with when they will probably end."""
    found = []
    for run in records.unfinished(None, ("starting", "running", "stopping"), 2_000):
        job = jobs.get(run.job_id)
        begin = run.timestamps.get("running") or run.timestamps.get("starting")
        if job is None or begin is None:
            continue
        expected, _ = durations.expect(run.job_id, run.args)
        start = to_micros(parse_time(begin))
        end = max(start + int((expected or 0.0) * 1e6), to_micros(now))
        holder = Holder(
            name=run.run_id, job_id=run.job_id, args=run.args, start=start, end=end, resources=job.resources
        )
        found.append(holder)
    return found


def _due_times(question: ask.DueTimes, records: Records) -> dict[str, Any]:
    job = records.job(question.job_id)
    if job is None:
        raise NotFound(f"no job {question.job_id[:200]!r}", hint="`apsis jobs` lists them")
    held = records.pause_of(job.job_id)
    return {
        "job_id": job.job_id,
        "from": question.start,
        "to": question.end,
        "paused": held.text if held else None,
        "schedules": due_times_of(job, parse_time(question.start), parse_time(question.end)),
    }


def examine(records: Records, config: Config, now: datetime, *, running: bool) -> list[Finding]:
    """Return all that is not as it should be."""
    jobs, bad = records.jobs()
    held = {key: pause.text for key, pause in records.pauses.items()}
    states = tuple(
        state.value for state in (State.SCHEDULED, State.WAITING, State.STARTING, State.RUNNING, State.STOPPING)
    )
    seen = Seen(
        now=now,
        jobs=jobs,
        unfinished=records.unfinished(None, states, 50_000),
        late=records.late(now - _DAY, _LATE),
        cursors=records.cursors(),
        held=lambda job_id: held.get(job_id) or held.get("", ""),
        horizon=config.schedule.horizon,
        latest=records.last_event(),
        ahead=frozenset((run.job_id, run.schedule_time or "") for run, _ in records.ahead(now)),
        lives=_lives,
        running=running,
        hosts=frozenset(host.host for host in records.hosts()),
    )
    lost = [
        Finding(
            id="unreadable_job",
            severity="error",
            subject=job_id,
            text=f"{job_id}: this version cannot read its definition",
        )
        for job_id in islice(bad, 50)
    ]
    return [*look(seen), *lost, *outlook(jobs, config.resources, now)]


def settled(first: list[Finding], second: list[Finding]) -> list[Finding]:
    """Return what two looks have found: what only the first one saw was about to be put right."""
    again = {(each.id, each.subject) for each in first}
    return [each for each in second if (each.id, each.subject) in again]


def _lives(run: Run) -> bool | None:
    """Return whether the process of a run on this machine is there; None: it is on another."""
    if run.host != "local" or run.pid is None:
        return None
    return Path(f"/proc/{run.pid}").exists()


@contextmanager
def _patiently(schedule: Schedule) -> Iterator[None]:
    """Let a user's schedule class take some seconds, and break it off then."""
    if "." not in schedule.type:
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"it took longer than {_PATIENCE:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def wait(seconds: float) -> None:
    """Wait before a second look."""
    time.sleep(seconds)
