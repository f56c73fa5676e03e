"""Calendars of the sessions of stock exchanges: `exchange:XNYS`, by the optional package exchange_calendars.

The package and what it stands on take 70 MB and half a second. They are loaded in a process of their own,
`python -m apsis.calendars.exchange XNYS`, which prints the dates and ends.
"""

import functools
import importlib
import re
import subprocess
import sys
import warnings
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from apsis.calendars.calendar import CalendarError
from apsis.calendars.listed import ListedDays
from apsis.definitions.nearest import did_you_mean

#: sessions are asked for between these, or as far as the package knows them
_FIRST: Final = date(1990, 1, 1)
_LAST: Final = date(2050, 12, 31)
#: seconds
_DEADLINE: Final = 60.0
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_/.]{0,31}")
_INSTALL: Final = "pip install 'apsis[exchanges]' where Apsis is installed"


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """What the process tells of one exchange."""

    days: list[date] = []
    #: the first date that it speaks for, and the last
    first: date | None = None
    last: date | None = None
    #: why there are none: `missing` package, `unknown` name (with those there are), or the package's own words
    missing: bool = False
    known: list[str] = []
    error: str = ""


def exchange_calendar(place: str) -> ListedDays:
    """Return the calendar `exchange:PLACE`; PLACE is a market identifier code.

    Raises:
        CalendarError: the exchange is not known, or the package is not installed.
    """
    name = f"exchange:{place}"
    if not _NAME.fullmatch(place):
        raise CalendarError(f"{name!r} is no exchange", hint="exchanges are market identifier codes: XNYS, XLON, XETR")
    found = _ask(place)
    if found.missing:
        raise CalendarError(f"{name}: the package exchange_calendars is not installed", hint=_INSTALL)
    if found.known:
        raise CalendarError(
            f"there is no exchange {place!r}{did_you_mean(place, found.known)}",
            hint="exchanges are market identifier codes: XNYS, XLON, XETR",
        )
    if found.error or found.last is None:
        raise CalendarError(f"{name}: exchange_calendars cannot tell its sessions: {found.error}")
    return ListedDays(name, tuple(found.days), found.first, found.last + timedelta(days=1))


@functools.lru_cache(maxsize=64)
def _ask(place: str) -> Sessions:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "apsis.calendars.exchange", place],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            timeout=_DEADLINE,
        )
    except subprocess.TimeoutExpired:
        return Sessions(error=f"no answer within {_DEADLINE:g} s")
    try:
        found: Sessions = msgspec.json.decode(done.stdout, type=Sessions)
    except msgspec.DecodeError:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
        return Sessions(error=lines[-1][:300])
    return found


def sessions(place: str) -> Sessions:
    """Return the sessions of an exchange; only in the process that is there for it."""
    warnings.simplefilter("ignore")
    try:
        package: Any = importlib.import_module("exchange_calendars")
    except ModuleNotFoundError:
        return Sessions(missing=True)
    try:
        known = _known(package, place)
        return Sessions(
            days=[each.date() for each in known.sessions], first=known.first_session.date(), last=_last(known)
        )
    except package.errors.InvalidCalendarName:
        return Sessions(known=package.get_calendar_names())
    except Exception as error:  # noqa: BLE001  what the package cannot do is told, whatever it is
        return Sessions(error=f"{type(error).__name__}: {error}"[:300])


def _known(package: Any, place: str) -> Any:
    """Return the package's calendar, as long as the package can make it."""
    try:
        return package.get_calendar(place, start=str(_FIRST), end=str(_LAST))
    except ValueError:
        # some exchanges announce their holidays year by year: theirs reaches only so far
        short = package.get_calendar(place)
        first, last = short.bound_min(), short.bound_max()
        start = _FIRST if first is None else max(_FIRST, first.date())
        end = _LAST if last is None else min(_LAST, last.date())
        return package.get_calendar(place, start=str(start), end=str(end))


def _last(known: Any) -> date:
    bound = known.bound_max()
    return _LAST if bound is None else min(_LAST, bound.date())


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(sessions(sys.argv[1])))
