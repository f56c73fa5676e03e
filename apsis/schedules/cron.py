"""Schedules by cron expressions: five fields, or six with seconds first; `@daily` and its kin; `L`, `W` and `#`.

cronsim matches local times without a zone; what a change of the clock makes of them is decided here. As in
Debian's cron, an expression whose minute and hour are fixed names times of day, to which the schedule's `dst`
applies. One with `*` there names every instant at which the clock on the wall matches.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final
from zoneinfo import ZoneInfo

from apsis.calendars.calendar import ALL, Calendar
from apsis.calendars.finder import Calendars
from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.nearest import did_you_mean
from apsis.schedules.schedule import Schedule, Terms, show_time
from apsis.times.daytimes import show_daytime
from apsis.times.local import in_order, instants, plain_midnight, since_midnight
from apsis.times.zones import find_zone

if TYPE_CHECKING:
    from apsis.schedules.cronmatch import Expression

_DAY: Final = timedelta(days=1)
_MIDNIGHT: Final = time()
_LAST: Final = date(9750, 1, 1)
#: a 29 February on one weekday may be 40 years from the next
_FOR_EVER: Final = timedelta(days=41 * 366)
_ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
#: what each field may hold, by the name that cronsim complains of
_RANGES: Final = {
    "second": "0-59",
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, L, LW or a day with W",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 (0 and 7 are Sunday) or SUN-SAT",
}


@dataclass(frozen=True, kw_only=True)
class CronSchedule(Schedule):
    """Due where a cron expression matches the local time of a zone, on the dates of a calendar."""

    type: ClassVar[str] = "cron"

    #: as written
    cron: str
    zone: ZoneInfo
    calendar: Calendar = ALL

    @classmethod
    def read(
        cls, fields: Fields, terms: Terms, definition: dict[str, Any], seed: str, calendars: Calendars
    ) -> "CronSchedule":
        """Take the keys of a `cron`."""
        return cls(
            terms=terms,
            definition=definition,
            seed=seed,
            cron=fields.required("cron", _expression),
            zone=fields.optional("tz", find_zone, ZoneInfo("UTC")),
            calendar=fields.optional("calendar", calendars.parse, ALL),
        )

    @property
    def text(self) -> str:
        """What a person reads."""
        on = f" on {self.calendar}" if self.calendar is not ALL else ""
        return f"cron {self.cron} {self.zone.key}{on}"

    def nominal(self, after: datetime) -> Iterator[tuple[datetime, dict[str, str]]]:
        """Yield the instants that the matching local times name, in order."""
        for instant, local in in_order(self._found(after)):
            if instant > after:
                yield instant, self._offered(instant, local)

    def _found(self, after: datetime) -> Iterator[tuple[list[datetime], tuple[date, time]]]:
        """Yield what each matching local time names, from one on that is surely not after the first that is due."""
        zone, expression = self.zone, self._expression
        # where the expression has a star, a local time is whenever the wall shows it
        policy = self.terms.dst if expression.fixed else "wall"
        local = _local_start(after, zone)
        start, daytime = local.date(), local.time()
        day = self._next(start)
        while day is not None:
            midnight = plain_midnight(day, zone)
            for each in expression.daytimes(daytime if day == start else _MIDNIGHT):
                if midnight is not None:
                    yield [midnight + since_midnight(each)], (day, each)
                else:
                    yield instants(day, each, zone, policy), (day, each)
            day = self._next(day + _DAY)

    def _next(self, day: date) -> date | None:
        """Return the first date that matches and is allowed; the search ends after forty years without."""
        last = day + _FOR_EVER
        while day <= last:
            matching = self._expression.next_date(day)
            if matching is None or matching >= _LAST:
                return None
            allowed = self.next_allowed(matching, self.calendar)
            if allowed is None or allowed == matching:
                return allowed
            day = allowed
        return None

    @cached_property
    def _expression(self) -> "Expression":
        return _read(self.cron)

    def _offered(self, instant: datetime, local: tuple[date, time]) -> dict[str, str]:
        day, daytime = local
        return {
            "date": day.isoformat(),
            "time": show_time(instant),
            "daytime": show_daytime(daytime),
            "calendar": self.calendar.name,
            "tz": self.zone.key,
        }


def _local_start(after: datetime, zone: ZoneInfo) -> datetime:
    """Return a local time such that no later instant than `after` has an earlier one."""
    now, soon = after.astimezone(zone), (after + _DAY).astimezone(zone)
    # Within the first pass of a fold, earlier local times come once more.
    back = (now.utcoffset() or timedelta()) - (soon.utcoffset() or timedelta())
    return now.replace(tzinfo=None, fold=0) - max(back, timedelta())


@functools.lru_cache(maxsize=1024)
def _read(cron: str) -> "Expression":
    # cronsim is imported only where there is a cron schedule
    from apsis.schedules.cronmatch import Expression

    return Expression(_ALIASES.get(cron, cron))


def _expression(value: Any) -> str:
    if not isinstance(value, str):
        raise FormError(f'expected a cron expression like "30 6 * * 1-5", got {shown(value)}')
    text = " ".join(value.split())
    if text.startswith("@"):
        if text.lower() not in _ALIASES:
            raise FormError(f"{text!r} is not known{did_you_mean(text, _ALIASES)}; known: {', '.join(_ALIASES)}")
        return text.lower()
    if len(text.split()) not in (5, 6):
        fields = "minute hour day month weekday, with seconds before them if there are six"
        raise FormError(f"{text!r} has {len(text.split())} fields; a cron expression has five or six: {fields}")
    from apsis.schedules.cronmatch import CronSyntax

    try:
        _read(text)
    except CronSyntax as error:
        expected = next((f"; expected {range_}" for name, range_ in _RANGES.items() if str(error).endswith(name)), "")
        raise FormError(f"{text!r}: {error}{expected}") from None
    return text
