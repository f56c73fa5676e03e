"""Definitions of schedules made up at random from a seed: each type, with any of its keys."""

from datetime import UTC, datetime, time, timedelta

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia",
    "Asia/Kathmandu", "America/St_Johns", "Africa/Casablanca", "Antarctica/Troll", "Europe/Dublin", "Asia/Tehran",
    "America/Havana", "America/Asuncion", "Asia/Beirut", "Pacific/Kiritimati", "America/Scoresbysund", "Asia/Gaza",
)  # fmt: skip
#: dates around which clocks are changed in some of the zones
CHANGES = (
    "2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04", "2011-12-30", "2008-10-19",
    "2018-11-04", "2006-10-29", "2007-03-11", "2010-11-07", "2009-09-22", "2024-03-31", "2030-02-05", "2037-03-29",
)  # fmt: skip
CALENDARS = ("Mon", "Mon-Fri", "Sat,Sun", "Tue-Thu,Sun", "Fri-Mon")


def moment(random):
    """Return an instant near which something may go wrong, or any other."""
    if random.random() < 0.6:
        return datetime.fromisoformat(random.choice(CHANGES)).replace(tzinfo=UTC) + timedelta(
            minutes=random.randint(-2000, 600)
        )
    return datetime(2000, 1, 1, tzinfo=UTC) + timedelta(
        seconds=random.randint(0, 41 * 365 * 86400), microseconds=random.choice((0, 1, 999))
    )


def daytime(random):
    if random.random() < 0.5:
        return f"{random.choice((0, 1, 2, 3, 23)):02d}:{random.choice((0, 0, 1, 15, 30, 59)):02d}:00"
    text = f"{random.randint(0, 23):02d}:{random.randint(0, 59):02d}:{random.choice((0, 0, 30, 59)):02d}"
    return text + random.choice(("", "", "", ".250", ".0005"))


def number(random, low, high):
    return random.choice(
        (
            str(random.randint(low, high)),
            ",".join(str(each) for each in sorted(random.sample(range(low, high + 1), 3))),
            "{}-{}".format(*sorted(random.sample(range(low, high + 1), 2))),
            f"*/{random.randint(2, 9)}",
            f"{random.randint(low, high)}/{random.randint(2, 9)}",
        )
    )


def cron(random):
    minute = random.choice(("*", str(random.choice((0, 1, 30, 59))), number(random, 0, 59)))
    hour = random.choice(("*", str(random.choice((0, 1, 2, 3, 23))), number(random, 0, 23)))
    day = random.choice(("*", "*", "*", number(random, 1, 28), "L", "LW", "15W", "1W", "31W,3"))
    weekday = random.choice(("*", "*", "*", number(random, 0, 6), "5L", "1#2", "7", "0#1,3"))
    fields = f"{minute} {hour} {day} {random.choice(('*', '*', '*', '*/2', '3,10,11'))} {weekday}"
    return f"{random.choice(('0', '30', '*/20'))} {fields}" if random.random() < 0.15 else fields


def edge(random, day):
    return random.choice(
        (
            {"daytime": daytime(random), "date_shift": day + random.choice((0, 0, 1))},
            {"daytime": daytime(random), "date_shift": day, "cal_shift": random.choice((-1, 0, 1))},
        )
    )


def within_a_day(random):
    start, stop = sorted((daytime(random), daytime(random)), key=time.fromisoformat)
    if time.fromisoformat(start) == time.fromisoformat(stop):
        start, stop = "00:00", "23:59:59"
    return {"start": start, "stop": stop}


def definition(random):
    """Return a definition."""
    kind = random.choice(("interval", "daily", "daily-interval", "explicit", "cron"))
    made = {"type": kind}
    if kind in ("daily", "daily-interval", "cron"):
        made["tz"] = random.choice(ZONES)
        if random.random() < 0.4:
            made["calendar"] = random.choice(CALENDARS)
        if random.random() < 0.6:
            made["dst"] = random.choice(("once", "skip", "twice"))
    if kind == "interval":
        made["interval"] = random.choice((1, 7, 0.5, 60, 900, 3600, 5400.25, 86400, 100000))
        made["phase"] = random.choice((0, 0, 1, 0.125, 12345))
    elif kind == "daily":
        made["daytime"] = sorted({daytime(random) for _ in range(random.randint(1, 4))})
        made["cal_shift"] = random.choice((0, 0, 0, -1, 1, 2, 5, -5))
        made["date_shift"] = random.choice((0, 0, 0, -1, 1, 3))
        made["time_shift"] = random.choice((0, 0, 0, -3600, 5400, 0.5))
    elif kind == "daily-interval":
        made |= within_a_day(random) if random.random() < 0.5 else {"start": edge(random, -1), "stop": edge(random, 1)}
        made["interval"] = random.choice((600, 1800, 3600, 7200, 10000.5, 80000))
    elif kind == "explicit":
        begin = moment(random)
        made["times"] = [
            (begin + timedelta(seconds=random.choice((0, 1, 0.0001, 3600, random.randint(0, 900000))))).isoformat()
            for _ in range(random.randint(1, 8))
        ]
    else:
        made["cron"] = cron(random)
    if random.random() < 0.2:
        made["jitter"] = random.choice((1, 600, 86400))
    if random.random() < 0.2:
        made["except"] = random.choice(CALENDARS)
    return made
