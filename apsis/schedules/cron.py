"""Schedules by cron expressions: five fields, or six with seconds first; `@daily` and its kin; `L`, `W` and `#`.

cronsim matches local times without a zone; what a change of the clock makes of them is decided here. As in
Debian's cron, an expression whose minute and hour are fixed names times of day, to which the schedule's `dst`
applies. One with `*` there names every instant at which the clock on the wall matches.
"""

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final
from zoneinfo import ZoneInfo

from apsis.calendars.calendar import ALL, Calendar
from apsis.calendars.finder import Calendars
from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.nearest import did_you_mean
from apsis.schedules.schedule import SEARCH_DAYS, Schedule, Terms, show_time
from apsis.times.daytimes import show_daytime
from apsis.times.local import Fold, Gap, instants, reading
from apsis.times.zones import find_zone

if TYPE_CHECKING:
    from apsis.schedules.cronmatch import Matcher

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_LAST: Final = datetime(9900, 1, 1)
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
        fixed = _fixed(_spelled_out(self.cron))
        waiting: list[tuple[datetime, datetime]] = []
        for local in self._local(_local_start(after, self.zone)):
            found = self._instants(local, fixed)
            # The second passes of a fold come after all of its first ones.
            while waiting and found and waiting[0][0] < found[0]:
                instant, earlier = heapq.heappop(waiting)
                yield instant, self._offered(instant, earlier)
            for instant in found:
                heapq.heappush(waiting, (instant, local))
            while waiting and found and waiting[0][0] <= found[0]:
                instant, earlier = heapq.heappop(waiting)
                yield instant, self._offered(instant, earlier)
        while waiting:
            instant, earlier = heapq.heappop(waiting)
            yield instant, self._offered(instant, earlier)

    def _instants(self, local: datetime, fixed: bool) -> list[datetime]:
        if fixed:
            return instants(local.date(), local.time(), self.zone, self.terms.dst)
        found = reading(local.date(), local.time(), self.zone)
        if isinstance(found, Fold):
            return [found.first, found.second]
        return [] if isinstance(found, Gap) else [found.time]

    def _offered(self, instant: datetime, local: datetime) -> dict[str, str]:
        return {
            "date": str(local.date()),
            "time": show_time(instant),
            "daytime": show_daytime(local.time()),
            "calendar": str(self.calendar),
            "tz": self.zone.key,
        }

    def _local(self, start: datetime) -> Iterator[datetime]:
        """Yield the matching local times after `start` on dates that are allowed; ends after ten years without."""
        matcher = _matcher(self.cron, start)
        limit = start.date() + SEARCH_DAYS * _DAY
        while (local := next(matcher, None)) is not None and local < _LAST:
            day: date | None = local.date()
            if day == self.next_allowed(local.date(), self.calendar):
                limit = local.date() + SEARCH_DAYS * _DAY
                yield local
                continue
            day = self.next_allowed(local.date() + _DAY, self.calendar)
            if day is None or day > limit:
                return
            matcher = _matcher(self.cron, datetime.combine(day, time()) - _SECOND)


def _local_start(after: datetime, zone: ZoneInfo) -> datetime:
    """Return a local time such that no later instant than `after` has an earlier one."""
    begin = max(after, datetime(1900, 1, 1, tzinfo=UTC))
    now, soon = begin.astimezone(zone), (begin + _DAY).astimezone(zone)
    # Within the first pass of a fold, earlier local times come once more.
    back = (now.utcoffset() or timedelta()) - (soon.utcoffset() or timedelta())
    return now.replace(tzinfo=None, fold=0) - max(back, timedelta())


def _spelled_out(cron: str) -> str:
    return _ALIASES.get(cron.strip().lower(), cron.strip())


def _fixed(expression: str) -> bool:
    minute, hour = expression.split()[-5:-3]
    return not minute.startswith("*") and not hour.startswith("*")


def _matcher(cron: str, start: datetime) -> "Matcher":
    # cronsim is imported only where there is a cron schedule
    from apsis.schedules.cronmatch import Matcher

    return Matcher(_spelled_out(cron), start)


def _expression(value: Any) -> str:
    if not isinstance(value, str):
        raise FormError(f'expected a cron expression like "30 6 * * 1-5", got {shown(value)}')
    text = " ".join(value.split())
    if text.startswith("@"):
        if text.lower() not in _ALIASES:
            raise FormError(f"{text!r} is not known{did_you_mean(text, _ALIASES)}; known: {', '.join(_ALIASES)}")
        return text.lower()
    if len(re.split(r"\s+", text)) not in (5, 6):
        fields = "minute hour day month weekday, with seconds before them if there are six"
        raise FormError(f"{text!r} has {len(text.split())} fields; a cron expression has five or six: {fields}")
    from apsis.schedules.cronmatch import CronSyntax

    try:
        _matcher(text, datetime(2000, 1, 1))
    except CronSyntax as error:
        expected = next((f"; expected {range_}" for name, range_ in _RANGES.items() if str(error).endswith(name)), "")
        raise FormError(f"{text!r}: {error}{expected}") from None
    return text
