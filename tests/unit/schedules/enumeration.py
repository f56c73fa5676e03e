"""When a schedule is due, found out the slow and obviously right way, from its definition alone.

Nothing of Apsis is used: local times are found by trying each offset that the zone has around, dates by going from
one to the next, cron fields by looking at each minute or second of a day.
"""

import functools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@functools.cache
def offsets(zone, day):
    """Return the offsets that a zone has from two days before a date to three days after its beginning."""
    noon = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return {(noon + timedelta(hours=n)).astimezone(zone).utcoffset() for n in range(-48, 73, 4)}


def occurring(local, zone):
    """Return the instants at which the wall shows a local time."""
    tried = (local.replace(tzinfo=UTC) - offset for offset in offsets(zone, local.date()))
    return sorted(each for each in tried if each.astimezone(zone).replace(tzinfo=None, fold=0) == local)


def first_after_gap(local, zone):
    """Return the first instant whose wall shows a later time than one that the clock jumps over."""
    low = local.replace(tzinfo=UTC) - max(offsets(zone, local.date())) - DAY
    high = local.replace(tzinfo=UTC) - min(offsets(zone, local.date())) + DAY
    while high - low > timedelta(microseconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).replace(tzinfo=None) > local:
            high = middle
        else:
            low = middle
    return high


def due_times(local, zone, dst):
    found = occurring(local, zone)
    if not found:
        return [] if dst == "skip" else [first_after_gap(local, zone)]
    return found if dst == "twice" else found[:1]


def on_calendar(name, day):
    if name == "all":
        return True
    if name == "none":
        return False
    return any(
        (lambda first, last: (day.weekday() - first) % 7 <= (last - first) % 7)(
            WEEK.index(part[:3]), WEEK.index(part[-3:])
        )
        for part in name.split(",")
    )


def shown_calendar(name):
    if name in ("all", "none"):
        return {"all": "all days", "none": "no days"}[name]
    monday = date(2026, 6, 29)
    days = [n for n in range(7) if on_calendar(name, monday + n * DAY)]
    parts = []
    while days:
        end = next(k for k in range(len(days), 0, -1) if days[k - 1] - days[0] == k - 1)
        run, days = days[:end], days[end:]
        parts += [f"{WEEK[run[0]]}-{WEEK[run[-1]]}"] if len(run) > 2 else [WEEK[each] for each in run]
    return ",".join(parts)


def allowed(definition, day):
    start, end = definition.get("start_date"), definition.get("end_date")
    excepted = definition.get("except", "none")
    return not (
        (start and day < date.fromisoformat(start))
        or (end and day > date.fromisoformat(end))
        or on_calendar(excepted, day)
    )


def shift(calendar, day, dates, days):
    step = DAY if dates > 0 else -DAY
    for _ in range(abs(dates)):
        day += step
        while not on_calendar(calendar, day):
            day += step
    return day + days * DAY


def nominal_dates(definition, after, until):
    """Yield the nominal dates from so early and so late that no shift leads from others into the span."""
    calendar = definition.get("calendar", "all")
    margin = 3
    for each in (definition, definition.get("start"), definition.get("stop")):
        if isinstance(each, dict):
            # each calendar has a date in any week
            margin += 7 * abs(each.get("cal_shift", 0)) + abs(each.get("date_shift", 0))
    day = after.date() - margin * DAY
    while day <= until.date() + margin * DAY:
        if on_calendar(calendar, day) and allowed(definition, day):
            yield day
        day += DAY


def seconds(text):
    return timedelta(seconds=float(text))


def shown(instant):
    return instant.astimezone(UTC).isoformat()


def shown_daytime(daytime):
    text = daytime.strftime("%H:%M:%S")
    return f"{text}.{daytime.microsecond:06d}".rstrip("0") if daytime.microsecond else text


def of_interval(definition, after, until):
    step, phase = seconds(definition["interval"]), seconds(definition.get("phase", 0))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    instant = epoch + phase + (after - epoch - phase) // step * step - 3 * step
    known = {}
    while instant <= until + step:
        day = instant.date()
        if day not in known:
            known[day] = allowed(definition, day)
        if known[day]:
            yield (
                instant,
                {"time": shown(instant), "date": str(instant.date()), "daytime": shown_daytime(instant.time())},
            )
        instant += step


def of_daily(definition, after, until):
    zone, calendar, dst = ZoneInfo(definition["tz"]), definition.get("calendar", "all"), definition.get("dst", "once")
    dates, days = definition.get("cal_shift", 0), definition.get("date_shift", 0)
    for day in nominal_dates(definition, after, until):
        shifted = shift(calendar, day, dates, days)
        for text in definition["daytime"]:
            daytime = time.fromisoformat(text)
            for instant in due_times(datetime.combine(shifted, daytime), zone, dst):
                unshifted = instant
                if shifted != day:
                    (unshifted,) = due_times(datetime.combine(day, daytime), zone, "once")
                offered = {"date": str(day), "time": shown(unshifted), "daytime": shown_daytime(daytime)}
                offered |= {"calendar": shown_calendar(calendar), "tz": zone.key}
                yield instant + seconds(definition.get("time_shift", 0)), offered


def of_daily_interval(definition, after, until):
    zone, calendar, dst = ZoneInfo(definition["tz"]), definition.get("calendar", "all"), definition.get("dst", "once")

    def edge(day, key):
        spec = definition[key] if isinstance(definition[key], dict) else {"daytime": definition[key]}
        shifted = shift(calendar, day, spec.get("cal_shift", 0), spec.get("date_shift", 0))
        return datetime.combine(shifted, time.fromisoformat(spec["daytime"]))

    for day in nominal_dates(definition, after, until):
        begins = due_times(edge(day, "start"), zone, dst)
        ends = due_times(edge(day, "stop"), zone, "twice" if dst == "twice" else "once")
        instant = begins[0] if begins else ends[-1]
        while instant < ends[-1]:
            local = instant.astimezone(zone)
            offered = {"date": str(day), "sched_date": str(local.date()), "time": shown(instant)}
            offered |= {"daytime": shown_daytime(local.time()), "calendar": shown_calendar(calendar), "tz": zone.key}
            yield instant, offered
            instant += seconds(definition["interval"])


def of_explicit(definition, after, until):
    for instant in {datetime.fromisoformat(text).astimezone(UTC) for text in definition["times"]}:
        if allowed(definition, instant.date()):
            yield instant, {"time": shown(instant)}


def members(text, low, high):
    found = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        start, _, end = (str(low), "", str(high)) if span == "*" else span.partition("-")
        found |= set(range(int(start), int(end or (high if step else start)) + 1, int(step or 1)))
    return found


def month_days(text, day):
    """Say whether a day is among those of the field of days: numbers, `L`, `LW` and `15W`."""
    month = [day.replace(day=1) + n * DAY for n in range(31)]
    month = [each for each in month if each.month == day.month]
    for part in text.split(","):
        if part == "L":
            wanted = month[-1]
        elif part == "LW":
            wanted = [each for each in month if each.weekday() < 5][-1]
        elif part.endswith("W"):
            middle = int(part[:-1])
            if middle > len(month):
                continue
            near = sorted(month, key=lambda each: (abs(each.day - middle), each.day))
            wanted = next(each for each in near if each.weekday() < 5)
        else:
            if day.day in members(part, 1, 31):
                return True
            continue
        if wanted == day:
            return True
    return False


def week_days(text, day):
    """Say whether a day is among those of the field of weekdays: numbers, `5L` and `1#2`; Sunday is 0."""
    number = day.isoweekday() % 7
    for part in text.split(","):
        if part.endswith("L"):
            if number == int(part[:-1]) % 7 and (day + 7 * DAY).month != day.month:
                return True
        elif "#" in part:
            wanted, nth = map(int, part.split("#"))
            if number == wanted % 7 and (day.day - 1) // 7 + 1 == nth:
                return True
        elif number in {each % 7 for each in members(part, 0, 7 if "*" not in part else 6)}:
            return True
    return False


def on_cron_day(fields, day):
    on_day, on_weekday = month_days(fields[2], day), week_days(fields[4], day)
    both = fields[2].startswith("*") or fields[4].startswith("*")
    return day.month in members(fields[3], 1, 12) and ((on_day and on_weekday) if both else (on_day or on_weekday))


def of_cron(definition, after, until):
    zone, calendar, dst = ZoneInfo(definition["tz"]), definition.get("calendar", "all"), definition.get("dst", "once")
    fields = definition["cron"].split()
    second, fields = (fields[0], fields[1:]) if len(fields) == 6 else ("0", fields)
    fixed = not fields[0].startswith("*") and not fields[1].startswith("*")
    for day in nominal_dates(definition, after, until):
        if not on_cron_day(fields, day):
            continue
        for hour in sorted(members(fields[1], 0, 23)):
            for minute in sorted(members(fields[0], 0, 59)):
                for each in sorted(members(second, 0, 59)):
                    local = datetime.combine(day, time(hour, minute, each))
                    for instant in due_times(local, zone, dst) if fixed else occurring(local, zone):
                        offered = {"date": str(day), "time": shown(instant), "daytime": shown_daytime(local.time())}
                        yield instant, {**offered, "calendar": shown_calendar(calendar), "tz": zone.key}


TYPES = {
    "interval": of_interval,
    "daily": of_daily,
    "daily-interval": of_daily_interval,
    "explicit": of_explicit,
    "cron": of_cron,
}


def enumerated(definition, after, until, jitter=timedelta(0)):
    """Return the due times after an instant and up to another, with what is offered; those of one instant sorted."""
    found = []
    for instant, offered in TYPES[definition["type"]](definition, after - jitter, until - jitter):
        due = instant + jitter
        due -= timedelta(microseconds=due.microsecond % 1000)
        if after < due <= until:
            found.append((due, {**offered, "schedule_time": shown(due)}))
    return in_order(found)


def in_order(found):
    return sorted(found, key=lambda each: (each[0], sorted(each[1].items())))
