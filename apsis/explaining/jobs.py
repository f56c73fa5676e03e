"""Jobs: when a job runs next, why it did not run on a day or at a time, and whether it can ever run."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Final

from apsis.checking.stuck import check_stuck
from apsis.definitions.finding import Findings
from apsis.explaining.answers import Answer, Because
from apsis.explaining.days import Day, day_of, due_times, why_not_on, zone_of
from apsis.explaining.endings import sentence
from apsis.explaining.knows import JobEntry, Knows, NotRun
from apsis.jobs.job import Job
from apsis.runs.run import Run
from apsis.runs.states import FINISHED, State
from apsis.schedules import Schedule
from apsis.times import format_time

#: runs of one day that are told of, and records of what did not run
_TOLD: Final = 20
_DAY: Final = timedelta(days=1)
#: a time stands for this much after it
_MOMENT: Final = timedelta(minutes=1)


def why_job(knows: Knows, job_id: str, now: datetime) -> Answer:
    """Answer when a job runs next, or why it does not."""
    job = knows.job(job_id)
    if job is None:
        return Answer(
            subject=job_id, answer=_no_such(knows, job_id), because=[*_broken(knows, job_id), *_past(knows, job_id)]
        )
    because = [*_held(knows, job_id), *_broken(knows, job_id), *never(job, knows)]
    waiting = knows.unfinished(job_id, ("waiting",), _TOLD)
    because += [
        Because(kind="run", text=f"{run.run_id} waits: {run.reason}", run_id=run.run_id, hint=f"apsis why {run.run_id}")
        for run in waiting
    ]
    enabled = [schedule for schedule in job.schedules if schedule.enabled]
    because += [Because(kind="schedule", text=_next_of(schedule, now)) for schedule in job.schedules]
    first = min((each.time for schedule in enabled for each in islice(schedule.occurrences(now), 1)), default=None)
    held = knows.pause_of(job_id)
    if any(each.kind == "never" for each in because):
        answer = "it can never run by itself"
    elif held is not None:
        answer = held.text
    elif first is not None:
        answer = f"it is due next at {format_time(first)}"
    elif enabled:
        answer = "its schedules have no times to come any more"
    elif job.schedules:
        answer = "all its schedules are switched off"
    else:
        answer = "it has no schedule: it runs when it is asked for, or when another job's end makes it"
    return Answer(subject=job_id, answer=answer, because=because)


def why_job_on(knows: Knows, job_id: str, day: date | datetime, now: datetime) -> Answer:
    """Answer why a job ran or did not run on a date (in the zone of each schedule), or at a time."""
    shown = format_time(day) if isinstance(day, datetime) else f"{day:%A} {day}"
    subject = f"{job_id} on {shown}"
    job = knows.job(job_id)
    because: list[Because] = []
    spans: list[Day] = []
    for schedule in job.schedules if job is not None else ():
        span = _span(schedule, day)
        spans.append(span)
        because.append(_of_schedule(knows, job_id, schedule, span, now))
    if not spans:
        spans.append(_utc_span(day))
    start, end = min(span.start for span in spans), max(span.end for span in spans)
    runs = knows.due(job_id, start, end, _TOLD)
    because = [*(_ran(run) for run in runs), *_records(knows, job_id, start, end), *because]
    if job is None:
        because = [*because, *_broken(knows, job_id), *_past(knows, job_id)]
    else:
        because += [*_held(knows, job_id), *_broken(knows, job_id), *_not_there_then(knows, job_id, end)]
    return Answer(subject=subject, answer=_verdict(knows, job_id, runs, because, start, now), because=because)


def _verdict(knows: Knows, job_id: str, runs: list[Run], because: list[Because], start: datetime, now: datetime) -> str:
    done = [run for run in runs if run.state in FINISHED and run.state is not State.SKIPPED]
    if done:
        return f"it did run: {', '.join(run.run_id for run in done)}"
    if runs:
        return f"{runs[0].run_id} is {runs[0].state.value}{f': {runs[0].reason}' if runs[0].reason else ''}"
    if not knows.has_job(job_id):
        return _no_such(knows, job_id)
    outs = [each for schedule in because if schedule.kind == "schedule" for each in schedule.because]
    due = any(each.kind == "due" for each in because)
    told = {each.kind: each.text for each in reversed(because)}
    if "not_run" in told:
        return told["not_run"]
    if outs and not due:
        return outs[0].text
    if "not_there" in told:
        return told["not_there"]
    held = knows.pause_of(job_id)
    if held is not None:
        return held.text
    if due:
        if start > now:
            return "it is due then"
        return "it was due, and there is neither a run nor a record of it: runs are kept for as long as the config says"
    return "it has no schedule: nobody asked for a run"


def _of_schedule(knows: Knows, job_id: str, schedule: Schedule, span: Day, now: datetime) -> Because:
    times = due_times(schedule, span)
    if times and schedule.enabled:
        shown = ", ".join(format_time(each) for each in times[:_TOLD])
        more = f" and {len(times) - _TOLD} more" if len(times) > _TOLD else ""
        word = "is due" if times[0] > now else "was due"
        return Because(kind="due", text=f"{schedule.text}: {word} at {shown}{more}", at=format_time(times[0]))
    reasons = why_not_on(schedule, span.date) if span.end - span.start > _MOMENT else []
    if not reasons:
        reasons = [each for each in why_not_on(schedule, span.date) if each.kind != "times"] or [
            _nearest(schedule, span)
        ]
    return Because(kind="schedule", text=f"{schedule.text}: not due then", because=reasons)


def _nearest(schedule: Schedule, span: Day) -> Because:
    following = next(iter(schedule.occurrences(span.end)), None)
    then = f"; the next one after it is {format_time(following.time)}" if following else ""
    return Because(kind="times", text=f"no due time falls on that time{then}")


def _span(schedule: Schedule, day: date | datetime) -> Day:
    zone = zone_of(schedule)
    if isinstance(day, datetime):
        return Day(day.astimezone(zone).date(), day, day + _MOMENT)
    return day_of(day, zone)


def _utc_span(day: date | datetime) -> Day:
    from zoneinfo import ZoneInfo

    if isinstance(day, datetime):
        return Day(day.date(), day, day + _MOMENT)
    return day_of(day, ZoneInfo("UTC"))


def _ran(run: Run) -> Because:
    words = (
        sentence(run) if run.state in FINISHED else f"it is {run.state.value}{f': {run.reason}' if run.reason else ''}"
    )
    due = run.schedule_time or "made by hand"
    return Because(
        kind="run", text=f"{run.run_id}, due at {due}: {words}", run_id=run.run_id, hint=f"apsis why {run.run_id}"
    )


def _records(knows: Knows, job_id: str, start: datetime, end: datetime) -> Iterator[Because]:
    """Yield what is on record of due times that did not become runs, where it concerns a window."""
    first, last = format_time(start), format_time(end)
    for record in knows.not_run(job_id, start, end, _TOLD):
        if record.first < last and record.last >= first:
            yield Because(kind="not_run", text=_of_record(record), at=record.at)


def _of_record(record: NotRun) -> str:
    more = "more than " if record.more else ""
    if record.count == 1:
        return f"the run due at {record.first} was not made: {record.reason}"
    return f"{more}{record.count} due times from {record.first} to {record.last} did not run: {record.reason}"


def missed(knows: Knows, start: datetime, end: datetime, limit: int) -> Answer:
    """Answer which due times in a window did not become runs, of all jobs."""
    records = knows.not_run(None, start, end, limit)
    because = [
        Because(kind="not_run", text=f"{record.job_id}: {_of_record(record)}", job_id=record.job_id, at=record.at)
        for record in records
    ]
    count = sum(record.count for record in records)
    more = "more than " if any(record.more for record in records) else ""
    answer = f"{more}{count} due times did not run" if records else "nothing was missed"
    return Answer(subject=f"from {format_time(start)} to {format_time(end)}", answer=answer, because=because)


def _held(knows: Knows, job_id: str) -> list[Because]:
    held = knows.pause_of(job_id)
    if held is None:
        return []
    hint = f"resume it: apsis resume {held.job_id}" if held.job_id else "resume everything: apsis resume --all"
    return [Because(kind="pause", text=held.text, at=held.at, hint=hint)]


def _broken(knows: Knows, job_id: str) -> list[Because]:
    """Return what is wrong with the job's file; where a good version was there, that one is in force."""
    found = []
    for error in knows.job_errors:
        file = str(error.get("file", ""))
        if file.rpartition(".")[0] != job_id or error.get("severity", "error") != "error":
            continue
        place = ":".join(str(error[key]) for key in ("file", "line", "column") if error.get(key))
        last = "its last good version is in force" if knows.has_job(job_id) else "it was never loaded"
        text = f"its file is broken, {last}: {place}: {error.get('message', '')}"
        found.append(Because(kind="broken", text=text, hint="mend the file; it is read again by itself"))
    return found


def _past(knows: Knows, job_id: str) -> list[Because]:
    """Return what happened to a job that is not there."""
    return [_happened(entry) for entry in knows.history(job_id) if entry.event in {"added", "removed"}]


def _not_there_then(knows: Knows, job_id: str, end: datetime) -> list[Because]:
    """Return when a job came or was changed, where that was after the end of a window."""
    history, then = knows.history(job_id), format_time(end)
    came = next((entry for entry in history if entry.event == "added"), None)
    if came is not None and came.at > then:
        return [Because(kind="not_there", text=f"the job was not there yet: it was added at {came.at}", at=came.at)]
    changed = [entry for entry in history if entry.event == "changed" and entry.at > then]
    if not changed:
        return []
    text = f"its definition has changed since, at {changed[0].at}: the schedules told here are those of today"
    return [Because(kind="changed", text=text, at=changed[0].at)]


def _happened(entry: JobEntry) -> Because:
    return Because(kind=entry.event, text=f"it was {entry.event} at {entry.at} by {entry.actor}", at=entry.at)


def _no_such(knows: Knows, job_id: str) -> str:
    gone = [entry for entry in knows.history(job_id) if entry.event == "removed"]
    if gone:
        return f"the job is not there any more: it was removed at {gone[-1].at}"
    if any(str(error.get("file", "")).rpartition(".")[0] == job_id for error in knows.job_errors):
        return "the job is not loaded: its file is broken"
    return "there is no such job"


def _next_of(schedule: Schedule, now: datetime) -> str:
    if not schedule.enabled:
        return f"{schedule.text}: switched off (enabled: false)"
    first = next(iter(schedule.occurrences(now)), None)
    if first is None:
        return f"{schedule.text}: no times to come any more"
    return f"{schedule.text}: next at {format_time(first.time)}"


def never(job: Job, knows: Knows) -> list[Because]:
    """Return what keeps every run of a job from starting by itself, whoever makes it."""
    findings = Findings()
    check_stuck(job, findings, knows.resources)
    return [Because(kind="never", text=problem.message, holds=False) for problem in findings.problems]
