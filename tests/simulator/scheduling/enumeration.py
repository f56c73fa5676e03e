"""When each schedule of a job is due, found the slow way: by looking at the wall clock of every minute.

Written from the words of the job format alone, and of nothing that Apsis itself uses for this.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
#: days around the range of which the wall clock is known, and from which shifts may lead into it
_MARGIN = 4
_FAR = 24


class Walls:
    """What the wall clock of a zone shows at each minute of a range, looked at one minute after another."""

    def __init__(self, zone: str, begin: datetime, end: datetime) -> None:
        self.zone = ZoneInfo(zone)
        first = begin.replace(minute=0, second=0, microsecond=0) - _MARGIN * _DAY
        last = end + _MARGIN * _DAY
        #: what the wall shows: the minutes at which it does, in order
        self.shown: dict[datetime, list[datetime]] = {}
        #: (the wall's time before a jump forward, that after it, the minute of the jump)
        self.jumps: list[tuple[datetime, datetime, datetime]] = []
        minute, before = first, None
        while minute < last:
            wall = minute.astimezone(self.zone).replace(tzinfo=None)
            self.shown.setdefault(wall, []).append(minute)
            if before is not None and wall - before > _MINUTE:
                self.jumps.append((before, wall, minute))
            minute, before = minute + _MINUTE, wall

    def when(self, wall: datetime, dst: str) -> list[datetime]:
        """Return the instants that the wall shows a time, as a policy for the gap and the fold picks them."""
        whole = wall.replace(second=0, microsecond=0)
        rest = wall - whole
        found = [minute + rest for minute in self.shown.get(whole, [])]
        if len(found) > 1:
            return found if dst == "twice" else found[:1]
        if not found and dst != "skip":
            # the first instant after the gap
            found = [minute for before, after, minute in self.jumps if before < wall < after]
        return found


def due_times(
    schedule: dict[str, Any], begin: datetime, end: datetime, walls: dict[str, Walls]
) -> list[tuple[datetime, str]]:
    """Return (due time, nominal date or "") in [begin, end) of a schedule, sorted."""
    schedule = schedule.get("start", schedule) if "type" not in schedule else schedule
    kind = schedule["type"]
    if kind == "interval":
        found = [(when, "") for when in _intervals(schedule, begin, end)]
    elif kind == "explicit":
        found = [(datetime.fromisoformat(text).astimezone(UTC), "") for text in schedule["times"]]
    elif kind == "cron":
        found = list(_cron(schedule, begin, end, walls[schedule["tz"]]))
    else:
        days = _days(schedule, begin, end)
        of_day = _daily if kind == "daily" else _daily_interval
        found = [(when, str(day)) for day in days for when in of_day(schedule, day, walls[schedule["tz"]])]
    return sorted({(when, day) for when, day in found if begin <= when < end})


def _intervals(schedule: dict[str, Any], begin: datetime, end: datetime) -> Iterator[datetime]:
    step = timedelta(seconds=schedule["interval"])
    when = _EPOCH + timedelta(seconds=schedule.get("phase", 0))
    when += (begin - when) // step * step
    while when < end:
        yield when
        when += step


def _days(schedule: dict[str, Any], begin: datetime, end: datetime) -> Iterator[date]:
    """Yield the nominal dates."""
    day = begin.date() - _FAR * _DAY
    while day <= end.date() + _FAR * _DAY:
        if _in_calendar(schedule.get("calendar", "all"), day) and _within(schedule, day):
            yield day
        day += _DAY


def _within(schedule: dict[str, Any], day: date) -> bool:
    if "start_date" in schedule and str(day) < schedule["start_date"]:
        return False
    if "end_date" in schedule and str(day) > schedule["end_date"]:
        return False
    return "except" not in schedule or not _in_calendar(schedule["except"], day)


def _in_calendar(calendar: str, day: date) -> bool:
    if calendar == "all":
        return True
    for part in calendar.split(","):
        first, _, last = part.partition("-")
        if _WEEKDAYS.index(first) <= day.weekday() <= _WEEKDAYS.index(last or first):
            return True
    return False


def _shifted(day: date, shifts: dict[str, Any], calendar: str) -> date:
    left = shifts.get("cal_shift", 0)
    while left:
        day += _DAY if left > 0 else -_DAY
        if _in_calendar(calendar, day):
            left += -1 if left > 0 else 1
    return day + timedelta(days=shifts.get("date_shift", 0))


def _daily(schedule: dict[str, Any], day: date, walls: Walls) -> Iterator[datetime]:
    on = _shifted(day, schedule, schedule.get("calendar", "all"))
    daytimes = schedule["daytime"] if isinstance(schedule["daytime"], list) else [schedule["daytime"]]
    for daytime in daytimes:
        for when in walls.when(datetime.combine(on, time.fromisoformat(daytime)), schedule.get("dst", "once")):
            yield when + timedelta(seconds=schedule.get("time_shift", 0))


def _daily_interval(schedule: dict[str, Any], day: date, walls: Walls) -> Iterator[datetime]:
    edges = []
    for key in ("start", "stop"):
        edge = schedule[key] if isinstance(schedule[key], dict) else {"daytime": schedule[key]}
        on = _shifted(day, edge, schedule.get("calendar", "all"))
        edges += walls.when(datetime.combine(on, time.fromisoformat(edge["daytime"])), "once")
    if len(edges) < 2:
        # far from the range
        return
    when, stop = edges
    while when < stop:
        yield when
        when += timedelta(seconds=schedule["interval"])


def _cron(schedule: dict[str, Any], begin: datetime, end: datetime, walls: Walls) -> Iterator[tuple[datetime, str]]:
    """Yield the times of a cron expression with a fixed minute and hour, and a weekday or none."""
    minute, hour, _, _, weekdays = schedule["cron"].split()
    day = begin.date() - 3 * _DAY
    while day <= end.date() + 3 * _DAY:
        if weekdays == "*" or (day.weekday() + 1) % 7 == int(weekdays):
            wall = datetime.combine(day, time(int(hour), int(minute)))
            for when in walls.when(wall, schedule.get("dst", "once")):
                yield when, str(day)
        day += _DAY
