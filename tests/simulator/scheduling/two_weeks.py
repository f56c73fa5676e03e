"""Two weeks of mixed jobs around a change of the clock."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from mixed_jobs import mixed_jobs
from scheduled_play import Play

from apsis.runs.core.settings import Settings

#: forward and back by an hour, half an hour and two, at midnight and by day, in both hemispheres, by odd offsets
ZONES = [
    "America/New_York", "America/Los_Angeles", "America/St_Johns", "America/Havana", "America/Santiago",
    "America/Asuncion", "America/Nuuk", "Atlantic/Azores", "Europe/London", "Europe/Dublin", "Europe/Berlin",
    "Europe/Chisinau", "Africa/Cairo", "Africa/Casablanca", "Asia/Beirut", "Asia/Jerusalem", "Australia/Sydney",
    "Australia/Lord_Howe", "Pacific/Chatham", "Antarctica/Troll",
]  # fmt: skip
YEAR = 2024
JOBS = 30
FAULTS = 12


def changes(zone: str, year: int = YEAR) -> list[datetime]:
    """Return the hours of a year after which a zone's clock goes otherwise."""
    info, found = ZoneInfo(zone), []
    hour = datetime(year, 1, 1, tzinfo=UTC)
    while hour.year == year:
        following = hour + timedelta(hours=1)
        if hour.astimezone(info).utcoffset() != following.astimezone(info).utcoffset():
            found.append(hour)
        hour = following
    return found


def play(zone: str, change: datetime, *, jobs: int = JOBS, faults: int = FAULTS, number: int = 0) -> Play:
    draw = random.Random(f"{zone} {change} {number}")
    begin = change - timedelta(days=7, minutes=draw.randrange(1440))
    settings = Settings(
        horizon=draw.choice([6 * 3600.0, 86_400.0]),
        max_ahead=draw.choice([1, 3, 100]),
        total_ahead=draw.choice([20, 20_000]),
    )
    game = Play(draw, mixed_jobs(draw, zone, begin, jobs), begin, begin + timedelta(days=14), settings)
    game.play(faults)
    return game
