"""What a start of the scheduler is told: from when on due times count, and by which rules the time zones go.

`apsisctl start --since` leaves its time in a file of the home, and the first start that has committed it takes it away.
"""

import logging
from datetime import datetime
from typing import Final

from apsis.config import Config
from apsis.home import Home
from apsis.runs.core.inputs import Began
from apsis.times import parse_time, to_micros
from apsis.times.rules import rules_version
from apsis.times.since import read_since

log: Final = logging.getLogger("scheduler")


def began(home: Home, config: Config, now: datetime) -> Began:
    """Return the first input of the core."""
    times = [_told(home)]
    if config.schedule.since is not None:
        times.append(to_micros(read_since(config.schedule.since, now)))
    return Began(since=max(times), zones=rules_version())


def has_begun(home: Home) -> None:
    """Take away what was said for this start alone: it is committed."""
    home.since.unlink(missing_ok=True)


def _told(home: Home) -> int:
    try:
        return to_micros(parse_time(home.since.read_text(encoding="utf-8").strip()))
    except FileNotFoundError:
        return 0
    except (ValueError, OSError) as error:
        log.warning("%s is passed over: %s", home.since, error, extra={"event": "since"})
        return 0
