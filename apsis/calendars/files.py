"""Calendars from `.cal` files: `START date`, `STOP date` (the first date no longer spoken for), then a date a line."""

import bisect
import hashlib
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from apsis.calendars.calendar import Calendar, CalendarError
from apsis.definitions.plain_file import read_plain_file

_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class ListedDays(Calendar):
    """Has the dates of a file."""

    name: str
    days: tuple[date, ...]
    start: date | None
    stop: date | None
    digest: str = ""
    notes: dict[date, str] = field(default_factory=dict, compare=False)

    def has(self, day: date) -> bool:
        """Return whether the file lists a date."""
        index = bisect.bisect_left(self.days, day)
        return index < len(self.days) and self.days[index] == day

    def next_from(self, day: date) -> date | None:
        """Return the first listed date from `day` on."""
        index = bisect.bisect_left(self.days, day)
        return self.days[index] if index < len(self.days) else None

    def last_to(self, day: date) -> date | None:
        """Return the last listed date up to `day`."""
        index = bisect.bisect_right(self.days, day)
        return self.days[index - 1] if index else None


class CalendarFileError(CalendarError):
    """A `.cal` file cannot be read; `line` counts from 1, 0: the file as a whole."""

    def __init__(self, path: Path, line: int, why: str) -> None:
        place = f"{path.parent.name}/{path.name}"
        super().__init__(f"{place}:{line}: {why}" if line else f"{place}: {why}", loc=f"{path}:{line}")
        self.path = path
        self.line = line
        self.why = why


def read_calendar(path: Path) -> ListedDays:
    """Return the calendar of a file; its name is that of the file without the suffix.

    Raises:
        CalendarFileError: the file cannot be read, or a line in it.
    """
    try:
        data = read_plain_file(path, _MAX_BYTES + 1)
        text = data.decode()
    except OSError as error:
        raise CalendarFileError(path, 0, error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise CalendarFileError(path, 0, "is not UTF-8 text") from None
    if len(data) > _MAX_BYTES:
        raise CalendarFileError(path, 0, "is larger than 1 MiB")
    limits, days = _lines(path, text)
    if not days and len(limits) < 2:
        raise CalendarFileError(path, 0, "has no dates; write START date, STOP date, then a date a line")
    start = limits.get("START") or min(days)
    stop = limits.get("STOP") or max(days) + timedelta(days=1)
    for day, (_, number) in days.items():
        if not start <= day < stop:
            raise CalendarFileError(path, number, f"{day} is not from START {start} to before STOP {stop}")
    return ListedDays(
        name=path.stem,
        days=tuple(sorted(days)),
        start=start,
        stop=stop,
        digest=hashlib.sha256(data).hexdigest(),
        notes={day: note for day, (note, _) in days.items() if note},
    )


def _lines(path: Path, text: str) -> tuple[dict[str, date], dict[date, tuple[str, int]]]:
    limits: dict[str, date] = {}
    days: dict[date, tuple[str, int]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        word, _, rest = line.strip().partition(" ")
        if not word or word.startswith("#"):
            continue
        if word.upper() in ("START", "STOP"):
            limits[word.upper()] = _date(path, number, rest.split(" ")[0])
        else:
            days[_date(path, number, word)] = (rest.strip(), number)
    return limits, days


def _date(path: Path, number: int, word: str) -> date:
    try:
        return date.fromisoformat(word)
    except ValueError:
        raise CalendarFileError(path, number, f"expected START, STOP or a date like 2026-06-30, got {word!r}") from None
