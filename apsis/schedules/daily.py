"""Schedules at times of day in a zone, on the dates of a calendar, with shifts between the two."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from apsis.calendars.calendar import ALL, Calendar
from apsis.calendars.finder import Calendars
from apsis.definitions.fields import Fields
from apsis.definitions.forms import one_or_list
from apsis.schedules.dates import Shift, first_nominal, shifted_dates
from apsis.schedules.schedule import Schedule, Terms, show_time
from apsis.schedules.shifts import date_count, day_shift, second_shift, show_shift
from apsis.times.daytimes import parse_daytime, show_daytime
from apsis.times.local import in_order, instants
from apsis.times.zones import find_zone

#: nominal date, shifted date, time of day
_Local = tuple[date, date, time]
_NO_SHIFT: Final = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class DailySchedule(Schedule):
    """Due at each of `daytimes` on each nominal date.

    The due time comes from the nominal date by shifts, in this order: dates of the calendar, days, the
    conversion from local time, seconds.
    """

    type: ClassVar[str] = "daily"

    zone: ZoneInfo
    daytimes: tuple[time, ...]
    calendar: Calendar = ALL
    date_shift: int = 0
    cal_shift: int = 0
    time_shift: float = 0.0

    @classmethod
    def read(
        cls, fields: Fields, terms: Terms, definition: dict[str, Any], seed: str, calendars: Calendars
    ) -> "DailySchedule":
        """Take the keys of a `daily`."""
        daytimes = fields.required("daytime", one_or_list(parse_daytime))
        if daytimes is not None and not daytimes:
            fields.refuse("daytime", "the list is empty; give at least one time of day")
        return cls(
            terms=terms,
            definition=definition,
            seed=seed,
            zone=fields.required("tz", find_zone),
            daytimes=tuple(sorted(set(daytimes or ()))),
            calendar=fields.optional("calendar", calendars.parse, ALL),
            date_shift=fields.optional("date_shift", day_shift, 0),
            cal_shift=fields.optional("cal_shift", date_count, 0),
            time_shift=fields.optional("time_shift", second_shift, 0.0),
        )

    @property
    def text(self) -> str:
        """What a person reads."""
        parts = [", ".join(show_daytime(each) for each in self.daytimes), self.zone.key]
        if self.calendar is not ALL:
            parts.append(f"on {self.calendar}")
        return " ".join([*parts, show_shift(self.date_shift, self.cal_shift, self.time_shift)]).rstrip()

    def nominal(self, after: datetime) -> Iterator[tuple[datetime, dict[str, str]]]:
        """Yield the due times of each nominal date from an instant on."""
        shift = timedelta(seconds=self.time_shift)
        for instant, (day, shifted, daytime) in in_order(self._local(after - shift)):
            due = instant + shift
            if due <= after:
                continue
            # `time` is the time as it would be without any shift; there is one even in a gap
            nominal = instant if shifted == day else instants(day, daytime, self.zone, "once")[0]
            yield (
                due,
                {
                    "date": day.isoformat(),
                    "time": show_time(nominal),
                    "daytime": show_daytime(daytime),
                    "calendar": self.calendar.name,
                    "tz": self.zone.key,
                },
            )

    def _local(self, after: datetime) -> Iterator[tuple[list[datetime], _Local]]:
        zone, dst = self.zone, self.terms.dst
        shift = Shift(self.calendar, self.date_shift, self.cal_shift)
        for day, (shifted,) in shifted_dates(self, first_nominal(zone, after, shift), shift):
            for daytime in self.daytimes:
                yield instants(shifted, daytime, zone, dst), (day, shifted, daytime)
