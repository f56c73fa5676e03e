"""Jobs of every kind of schedule, drawn by a number: the same number gives the same jobs."""

import random
from datetime import datetime, timedelta
from typing import Any

NO_OP = {"type": "no-op"}
_CALENDARS = ["all", "all", "Mon-Fri", "Mon,Wed,Fri", "Sun", "Sat,Sun", "Tue-Thu"]
#: times of day, most of them where clocks are changed
_DAYTIMES = ["00:00:00", "00:30:00", "01:00:00", "01:30:00", "02:00:00", "02:15:30", "02:45:00", "03:00:00", "12:00:00"]


def mixed_jobs(draw: random.Random, zone: str, begin: datetime, count: int) -> dict[str, dict[str, Any]]:
    """Return so many jobs, with each type of schedule among each five."""
    makers = [_daily, _daily, _interval, _daily_interval, _cron, _daily_pair, _explicit, _stopping]
    return {f"job {n}": makers[n % len(makers)](draw, zone, begin) for n in range(count)}


def _job(*schedules: dict[str, Any], dated: bool = True) -> dict[str, Any]:
    return {"program": NO_OP, "params": ["date"] if dated else [], "schedule": list(schedules)}


def _terms(draw: random.Random) -> dict[str, Any]:
    terms: dict[str, Any] = {"dst": draw.choice(["once", "once", "skip", "twice"])}
    terms["catch_up"] = draw.choice(["all", "all", "last", "none"])
    if draw.random() < 0.2:
        terms["max_age"] = draw.choice([600, 7200])
    return terms


def _one(draw: random.Random, zone: str) -> dict[str, Any]:
    daytimes = draw.sample(_DAYTIMES, draw.choice([1, 1, 2]))
    schedule = {"type": "daily", "tz": zone, "daytime": daytimes, "calendar": draw.choice(_CALENDARS), **_terms(draw)}
    if draw.random() < 0.3:
        schedule["date_shift"] = draw.randint(-2, 2)
    if draw.random() < 0.3 and schedule["calendar"] != "all":
        schedule["cal_shift"] = draw.randint(-2, 2)
    if draw.random() < 0.2:
        schedule["time_shift"] = draw.choice([-5400, -60, 90, 7200])
    if draw.random() < 0.15:
        schedule["except"] = draw.choice(["Mon", "Fri", "Sun"])
    return schedule


def _daily(draw: random.Random, zone: str, begin: datetime) -> dict[str, Any]:
    schedule = _one(draw, zone)
    if draw.random() < 0.2:
        schedule["start_date"] = str((begin + timedelta(days=3)).date())
        schedule["end_date"] = str((begin + timedelta(days=9)).date())
    return _job(schedule)


def _daily_pair(draw: random.Random, zone: str, begin: datetime) -> dict[str, Any]:
    """Two schedules of one job; where both give one time and date, there is one run."""
    one, other = _one(draw, zone), _one(draw, draw.choice([zone, "UTC"]))
    return _job({**one, "name": "one"}, {**other, "name": "other"})


def _interval(draw: random.Random, zone: str, begin: datetime) -> dict[str, Any]:
    seconds = draw.choice([3600, 5400, 14_400, 86_400])
    schedule = {"type": "interval", "interval": seconds, "phase": draw.choice([0, 1, 1800]), **_terms(draw)}
    del schedule["dst"]
    return _job(schedule, dated=False)


def _daily_interval(draw: random.Random, zone: str, begin: datetime) -> dict[str, Any]:
    start, stop = draw.choice([("00:30:00", "04:30:00"), ("01:00:00", "02:30:00"), ("22:00:00", None)])
    terms = _terms(draw)
    del terms["dst"]
    schedule = {"type": "daily-interval", "tz": zone, "interval": draw.choice([1800, 3600]), "start": start}
    schedule |= {"stop": stop or {"daytime": "03:00:00", "date_shift": 1}, "calendar": draw.choice(_CALENDARS)}
    return _job({**schedule, **terms})


def _cron(draw: random.Random, zone: str, begin: datetime) -> dict[str, Any]:
    daytime = draw.choice(_DAYTIMES)
    text = f"{int(daytime[3:5])} {int(daytime[:2])} * * {draw.choice(['*', '*', '0', '5'])}"
    terms = {key: value for key, value in _terms(draw).items() if key != "dst"}
    return _job({"type": "cron", "tz": zone, "cron": text, **terms}, dated=False)


def _explicit(draw: random.Random, zone: str, begin: datetime) -> dict[str, Any]:
    times = sorted({begin + timedelta(minutes=draw.randrange(1, 14 * 1440)) for _ in range(6)})
    schedule = {"type": "explicit", "times": [time.isoformat() for time in times], **_terms(draw)}
    del schedule["dst"]
    return _job(schedule, dated=False)


def _stopping(draw: random.Random, zone: str, begin: datetime) -> dict[str, Any]:
    """A job that is stopped: after a while, or at a time of day."""
    stop = draw.choice([
        {"type": "duration", "duration": 1800}, {"type": "daytime", "daytime": "02:30:00", "tz": zone},
    ])  # fmt: skip
    start = {**_one(draw, zone), "calendar": "all"}
    start.pop("cal_shift", None)
    return {**_job({"start": start, "stop": stop}), "program": {"type": "no-op", "duration": 86_400}}
