"""Calendars from `.cal` files: `START date`, `STOP date` (the first date no longer spoken for), then a date a line."""

import hashlib
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from apsis.calendars.calendar import CalendarError
from apsis.calendars.listed import ListedDays
from apsis.definitions.plain_file import read_plain_file

_MAX_BYTES: Final = 1 << 20
_LIMITS: Final = ("START", "STOP")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


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
        text = data.decode("utf-8-sig")
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
    if stop <= start:
        raise CalendarFileError(
            path, 0, f"STOP {stop} is not after START {start}; STOP is the first date after the end"
        )
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
        # columns may be lined up with several blanks or tabs
        word, rest, *_ = [*line.split(None, 1), "", ""]
        if not word or word.startswith("#"):
            continue
        if word.upper() in _LIMITS:
            limit = word.upper()
            if limit in limits:
                raise CalendarFileError(path, number, f"{limit} stands there twice")
            limits[limit] = _date(path, number, (rest.split(None, 1) or [""])[0])
        else:
            days[_date(path, number, word)] = (rest.strip(), number)
    return limits, days


def _date(path: Path, number: int, word: str) -> date:
    try:
        # `fromisoformat` alone would take 20260630 and 2026-W27-2 too
        if _DATE.fullmatch(word):
            return date.fromisoformat(word)
        why = ""
    except ValueError as error:
        why = f" ({error})"
    raise CalendarFileError(path, number, f"expected START, STOP or a date like 2026-06-30, got {word!r}{why}")
