"""Endings: calendars whose dates run out, after which nothing is due and nobody is told."""

from datetime import date, timedelta
from typing import Final

from apsis.calendars.calendar import Calendar
from apsis.checking.facts import entry_path
from apsis.checking.windows import start_of
from apsis.definitions.finding import WARNING, Findings
from apsis.jobs.job import Job

#: how long before its end a calendar is spoken of
SOON: Final = timedelta(days=30)


def check_endings(job: Job, findings: Findings, today: date, horizon: timedelta) -> None:
    """Note each calendar of a schedule that has ended, or ends within 30 days or the horizon."""
    for index, schedule in enumerate(job.schedules):
        if not schedule.enabled:
            continue
        path = entry_path(job, "schedule", index)
        if start_of(schedule) is not schedule.definition:
            path = (*path, "start")
        end_date = schedule.terms.end_date
        for key, calendar in (("calendar", getattr(schedule, "calendar", None)), ("except", schedule.terms.excepted)):
            if not isinstance(calendar, Calendar) or calendar.stop is None:
                continue
            if calendar.stop - today > max(SOON, horizon) or (end_date is not None and end_date < calendar.stop):
                continue
            ended = "ended" if calendar.stop <= today else "ends"
            then = "no run is due from then on" if key == "calendar" else "what it leaves out is not known from then on"
            message = f"{key}: calendar {calendar.name!r} {ended} before {calendar.stop}; {then}"
            findings.add((*path, key), message, code="calendar_ends", severity=WARNING)
