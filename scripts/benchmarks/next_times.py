"""How many due times a second each type of schedule tells, in one process: in a row, and each asked for anew."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from apsis.jobs import parse_job
from apsis.schedules import Schedule

TARGET: Final = ">= 20,000/s"
#: due times told in a row, and asked for one by one; each figure is the best of some rounds
ROW: Final = 20_000
ANEW: Final = 1_000
ROUNDS: Final = 3
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
NEW_YORK: Final = {"tz": "America/New_York"}

#: what is shown: a definition, and whether the target is meant for it
DEFINITIONS: Final[dict[str, tuple[dict[str, Any], bool]]] = {
    "interval, 1h": ({"type": "interval", "interval": "1h"}, True),
    "daily, one time": ({"type": "daily", "daytime": "09:30", **NEW_YORK}, True),
    "daily, four times, Mon-Fri": (
        {"type": "daily", "daytime": ["09:30", "12:00", "16:00", "18:30"], "calendar": "Mon-Fri", **NEW_YORK},
        True,
    ),
    "daily, shifted by a calendar day": (
        {"type": "daily", "daytime": "09:30", "calendar": "Mon-Fri", "cal_shift": -1, "time_shift": "-5m", **NEW_YORK},
        True,
    ),
    "daily, workdays:US": ({"type": "daily", "daytime": "09:30", "calendar": "workdays:US", **NEW_YORK}, True),
    "daily-interval, 10m": (
        {"type": "daily-interval", "start": "09:30", "stop": "16:00", "interval": "10m", **NEW_YORK},
        True,
    ),
    "explicit": ({"type": "explicit", "times": []}, True),
    "cron */5 * * * *": ({"type": "cron", "cron": "*/5 * * * *", **NEW_YORK}, True),
    "cron 30 6 * * 1-5": ({"type": "cron", "cron": "30 6 * * 1-5", **NEW_YORK}, True),
    "cron 0 9 L * *": ({"type": "cron", "cron": "0 9 L * *", **NEW_YORK}, True),
    "cron 0 0 29 2 *": ({"type": "cron", "cron": "0 0 29 2 *", **NEW_YORK}, False),
}


@dataclass(frozen=True, slots=True)
class Rate:
    """Due times a second of CPU."""

    what: str
    row: float
    anew: float
    #: the usual types, for which the target is meant
    usual: bool


def next_times() -> Iterator[Rate]:
    """Yield the rates of each definition."""
    for what, (definition, usual) in DEFINITIONS.items():
        if definition["type"] == "explicit":
            hours = [(START + n * timedelta(hours=1)).isoformat() for n in range(1, ROW + 1)]
            definition = {**definition, "times": hours}
        schedule = parse_job("bench", {"program": "true", "schedule": definition}).schedules[0]
        rounds = [(_in_a_row(schedule), _anew(schedule)) for _ in range(ROUNDS)]
        yield Rate(what, max(row for row, _ in rounds), max(anew for _, anew in rounds), usual)


def _in_a_row(schedule: Schedule) -> float:
    begun = time.process_time()
    count = sum(1 for _ in islice(schedule.occurrences(START), ROW))
    return count / (time.process_time() - begun)


def _anew(schedule: Schedule) -> float:
    """Ask for the first time after an instant, then for the first one after that, each from the beginning."""
    after, count = START, 0
    begun = time.process_time()
    while count < ANEW and (found := next(schedule.occurrences(after), None)) is not None:
        after, count = found.time, count + 1
    return count / (time.process_time() - begun)
