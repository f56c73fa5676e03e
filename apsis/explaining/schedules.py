"""Schedules of a job in a window: their due times, and the days that they leave out, each with what leaves it out."""

from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, Final

from apsis.explaining.answers import Because
from apsis.explaining.days import why_not_on, zone_of
from apsis.jobs.job import Job
from apsis.schedules import Schedule
from apsis.times import format_time

#: due times of one schedule, and days that it leaves out, in one answer
TIMES: Final = 1_000
DAYS: Final = 400
_DAY: Final = timedelta(days=1)


def due_times_of(job: Job, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Return each schedule with its due times in (start, end] and the days that it leaves out."""
    return [_of(schedule, start, end) for schedule in job.schedules]


def _of(schedule: Schedule, start: datetime, end: datetime) -> dict[str, Any]:
    zone = zone_of(schedule)
    times: list[datetime] = []
    cut = False
    if schedule.enabled:
        for occurrence in takewhile(lambda each: each.time <= end, schedule.occurrences(start)):
            cut = len(times) == TIMES
            if cut:
                break
            times.append(occurrence.time)
    until = times[-1] if cut else end
    days = {time.astimezone(zone).date() for time in times}
    left_out: list[dict[str, Any]] = []
    day = start.astimezone(zone).date()
    while day <= until.astimezone(zone).date() and len(left_out) < DAYS:
        if day not in days:
            because = [each for each in why_not_on(schedule, day) if each.kind not in {"times", "disabled"}]
            if because:
                left_out.append({"date": day.isoformat(), "because": because})
        day += _DAY
    because = (
        [] if schedule.enabled else [Because(kind="disabled", text="the schedule is switched off: enabled: false")]
    )
    return {
        "schedule": schedule.key,
        "text": schedule.text,
        "enabled": schedule.enabled,
        "zone": zone.key,
        "times": [format_time(time) for time in times],
        "left_out": left_out,
        "because": because,
        "cut_at": format_time(until) if cut else None,
    }
