"""The runs that a job directory makes, computed from its files by code of its own: PyYAML, zoneinfo, nothing of Apsis.

It is slow and plain on purpose: each date is looked at, each schedule's times are listed and sorted. It knows just
what the job files beside it use, and raises KeyError or ValueError for anything else.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml

DAY = timedelta(days=1)
NAMES = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
#: calendars by their name in a job file: how args show them
SHOWN = {"all": "all days", "none": "no days"}


def table(folder, start, count):
    """Return the first `count` runs due after an instant: (time, job id, args), by time, job and args."""
    until = start
    rows = []
    while len(rows) < count:
        until += 10 * DAY
        rows = sorted(
            (due, job_id, tuple(sorted(args.items())))
            for job_id, text in files(folder)
            for due, args in runs(folder, text, start, until)
        )
    return rows[:count]


def files(folder):
    for path in sorted(folder.rglob("*.yaml")):
        yield str(path.relative_to(folder))[: -len(".yaml")], yaml.safe_load(path.read_text())


def runs(folder, job, start, until):
    """Yield (time, args) of one job, after `start` and up to `until`."""
    params = job.get("params") or []
    params = [params] if isinstance(params, str) else list(params)
    schedules = job.get("schedule") or []
    for schedule in schedules if isinstance(schedules, list) else [schedules]:
        schedule = schedule["start"] if "type" not in schedule else schedule
        if not schedule.get("enabled", True):
            continue
        for due, offered in times(folder, schedule, start, until):
            if start < due <= until:
                known = {**offered, "schedule_time": iso(due), **(schedule.get("args") or {})}
                yield due, {name: str(known[name]) for name in params if name in known}


def times(folder, schedule, start, until):
    kind = schedule["type"]
    if kind == "interval":
        step, phase = seconds(schedule["interval"]), seconds(schedule.get("phase", 0))
        number = (start.timestamp() - phase) // step
        while (due := datetime.fromtimestamp(phase + number * step, UTC)) <= until:
            yield due, {"time": iso(due), "date": str(due.date()), "daytime": clock(due.time())}
            number += 1
    elif kind == "explicit":
        for value in schedule["times"]:
            # PyYAML reads a time without quotes as a datetime, and one with an offset as aware
            due = value if isinstance(value, datetime) else datetime.fromisoformat(value)
            yield due.astimezone(UTC), {"time": iso(due)}
    elif kind == "compat_classes.EveryThirdDay":
        day = date(2026, 1, 1)
        while day <= until.date():
            yield datetime.combine(day, time(schedule["hour"]), UTC), {"date": str(day)}
            day += 3 * DAY
    elif kind in ("daily", "daily-interval"):
        day = start.date() - 45 * DAY
        while day < until.date() + 45 * DAY:
            if has(folder, schedule.get("calendar", "all"), day):
                yield from (daily if kind == "daily" else within)(folder, schedule, day)
            day += DAY
    else:
        raise ValueError(kind)


def daily(folder, schedule, day):
    zone = ZoneInfo(schedule["tz"])
    calendar = schedule.get("calendar", "all")
    due_day = shifted(folder, calendar, day, schedule)
    given = schedule["daytime"]
    for daytime in map(daytime_of, given if isinstance(given, list) else [given]):
        yield (
            instant(due_day, daytime, zone) + timedelta(seconds=schedule.get("time_shift", 0)),
            {
                "date": str(day),
                "time": iso(instant(day, daytime, zone)),
                "daytime": clock(daytime),
                "calendar": SHOWN.get(calendar, calendar),
                "tz": schedule["tz"],
            },
        )


def within(folder, schedule, day):
    zone = ZoneInfo(schedule["tz"])
    calendar = schedule.get("calendar", "all")
    edges = []
    for edge in (schedule["start"], schedule["stop"]):
        edge = edge if isinstance(edge, dict) else {"daytime": edge}
        edges.append(instant(shifted(folder, calendar, day, edge), daytime_of(edge["daytime"]), zone))
    due, stop = edges
    while due < stop:
        local = due.astimezone(zone)
        yield (
            due,
            {
                "date": str(day),
                "sched_date": str(local.date()),
                "time": iso(due),
                "daytime": clock(local.time()),
                "calendar": SHOWN.get(calendar, calendar),
                "tz": schedule["tz"],
            },
        )
        due += timedelta(seconds=seconds(schedule["interval"]))


def shifted(folder, calendar, day, shifts):
    left = shifts.get("cal_shift", 0)
    while left:
        step = DAY if left > 0 else -DAY
        day += step
        if has(folder, calendar, day):
            left -= 1 if left > 0 else -1
    return day + shifts.get("date_shift", 0) * DAY


def has(folder, calendar, day):
    """Return whether a calendar has a date."""
    if calendar in ("all", "none"):
        return calendar == "all"
    path = folder / "calendars" / f"{calendar}.cal"
    if path.exists():
        words = [line.split() for line in path.read_text().splitlines() if line.strip()]
        return str(day) in {each[0] for each in words}
    days = set()
    for part in calendar.split(","):
        first, _, last = part.partition("-")
        number = NAMES.index(first)
        while True:
            days.add(number % 7)
            if number % 7 == NAMES.index(last or first):
                break
            number += 1
    return day.weekday() in days


def instant(day, daytime, zone):
    """Return when it is that time on that date: of two the first, of none the first moment after the jump.

    Found by asking each minute of two days what the clock on the wall shows.
    """
    wanted = datetime.combine(day, daytime)
    guess = wanted.replace(tzinfo=zone).astimezone(UTC)
    if guess.astimezone(zone).replace(tzinfo=None) == wanted:
        return guess
    moment = datetime.combine(day, time(), UTC) - DAY
    while moment.astimezone(zone).replace(tzinfo=None) < wanted:
        moment += timedelta(minutes=1)
    return moment


def daytime_of(value):
    """Return a time of day; YAML 1.1 reads one without quotes as seconds."""
    if isinstance(value, int):
        return (datetime.min + timedelta(seconds=value)).time()
    hour, minute, second = value.split(":")
    whole, _, fraction = second.partition(".")
    return time(int(hour), int(minute), int(whole), int((fraction + "000000")[:6]))


def seconds(value):
    if isinstance(value, (int, float)):
        return value
    number, unit = re.fullmatch(r"([\d.]+) *([a-z]*?)s?", value).groups()
    return float(number) * UNITS[unit or "s"]


def clock(daytime):
    return daytime.isoformat() if not daytime.microsecond else daytime.isoformat().rstrip("0")


def iso(moment):
    return moment.astimezone(UTC).isoformat()


if __name__ == "__main__":
    for due, job_id, args in table(Path(__file__).parent / "jobs", datetime(2026, 3, 6, tzinfo=UTC), 1000):
        print(due.isoformat(), job_id, dict(args))
