"""Schedules that run again and again within a part of the day: from one time of day to before another."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from apsis.calendars.calendar import ALL, Calendar
from apsis.calendars.finder import Calendars
from apsis.definitions.fields import Fields
from apsis.schedules.dates import Shift, first_nominal, shifted_dates
from apsis.schedules.interval import interval_micros
from apsis.schedules.schedule import SEARCH_DAYS, Schedule, Terms, show_time
from apsis.schedules.shifts import date_count, day_shift, show_shift
from apsis.times.daytimes import parse_daytime, show_daytime
from apsis.times.durations import show_duration
from apsis.times.local import instants
from apsis.times.zones import find_zone

_MIDNIGHT: Final = time()


@dataclass(frozen=True, slots=True)
class Edge:
    """Where the part of the day begins or ends: a time of day, on the nominal date or one shifted from it."""

    daytime: time
    date_shift: int = 0
    cal_shift: int = 0

    def __str__(self) -> str:
        return f"{show_daytime(self.daytime)} {show_shift(self.date_shift, self.cal_shift)}".rstrip()


@dataclass(frozen=True, kw_only=True)
class DailyIntervalSchedule(Schedule):
    """Due each `interval` microseconds of elapsed time from `start` to before `stop`, on the dates of a calendar.

    A start in the spring gap is the first instant after it, or with `skip` the date has no times; a stop in it is
    the end of the gap. In the autumn fold both are the first occurrence; with `twice` the stop is the second.
    """

    type: ClassVar[str] = "daily-interval"

    zone: ZoneInfo
    start: Edge
    stop: Edge
    interval: int
    calendar: Calendar = ALL

    @classmethod
    def read(
        cls, fields: Fields, terms: Terms, definition: dict[str, Any], seed: str, calendars: Calendars
    ) -> "DailyIntervalSchedule":
        """Take the keys of a `daily-interval`."""
        zone = fields.required("tz", find_zone)
        start, stop = _edge(fields, "start"), _edge(fields, "stop")
        if not fields.failed:
            same_date = (start.date_shift, start.cal_shift) == (stop.date_shift, stop.cal_shift)
            if same_date and stop.daytime <= start.daytime:
                near = f'{{daytime: "{show_daytime(stop.daytime)}", date_shift: {stop.date_shift + 1}}}'
                fields.refuse("stop", f"is not after start; for the day after, write {near}")
        return cls(
            terms=terms,
            definition=definition,
            seed=seed,
            zone=zone,
            start=start,
            stop=stop,
            interval=fields.required("interval", interval_micros),
            calendar=fields.optional("calendar", calendars.parse, ALL),
        )

    @property
    def text(self) -> str:
        """What a person reads."""
        on = f" on {self.calendar}" if self.calendar is not ALL else ""
        return f"every {show_duration(self.interval / 1e6)} from {self.start} to {self.stop} {self.zone.key}{on}"

    def nominal(self, after: datetime) -> Iterator[tuple[datetime, dict[str, str]]]:
        """Yield the times of all parts of days that end after an instant; where they overlap, in order."""
        step = timedelta(microseconds=self.interval)
        open_: list[tuple[datetime, date, datetime]] = []
        for begin, day, end in self._parts(after):
            while open_ and open_[0][0] < begin:
                yield from self._next(open_, step)
            # what is past is leapt over: there may be many times between the start and the instant
            time = begin if begin > after else begin + ((after - begin) // step + 1) * step
            if time < end:
                heapq.heappush(open_, (time, day, end))
        while open_:
            yield from self._next(open_, step)

    def _next(
        self, open_: list[tuple[datetime, date, datetime]], step: timedelta
    ) -> Iterator[tuple[datetime, dict[str, str]]]:
        instant, day, end = open_[0]
        if instant + step < end:
            heapq.heapreplace(open_, (instant + step, day, end))
        else:
            heapq.heappop(open_)
        local = instant.astimezone(self.zone)
        yield (
            instant,
            {
                "date": day.isoformat(),
                "sched_date": local.date().isoformat(),
                "time": show_time(instant),
                "daytime": show_daytime(local.time()),
                "calendar": self.calendar.name,
                "tz": self.zone.key,
            },
        )

    def _parts(self, after: datetime) -> Iterator[tuple[datetime, date, datetime]]:
        """Yield start, nominal date and stop of the parts of days that end after an instant, by their start."""
        edges = [Shift(self.calendar, edge.date_shift, edge.cal_shift) for edge in (self.start, self.stop)]
        nominal = min(first_nominal(self.zone, after, edge) for edge in edges)
        empty = 0
        for day, (first, last) in shifted_dates(self, nominal, *edges):
            begins = instants(first, self.start.daytime, self.zone, self.terms.dst)
            ends = instants(last, self.stop.daytime, self.zone, "twice" if self.terms.dst == "twice" else "once")
            if begins and begins[0] < ends[-1]:
                empty = 0
                if ends[-1] > after:
                    yield begins[0], day, ends[-1]
            elif (empty := empty + 1) > SEARCH_DAYS:
                return


def _edge(fields: Fields, key: str) -> Edge:
    """Take `start` or `stop`: a time of day, or `{daytime, date_shift, cal_shift}`."""
    if not isinstance(fields.value.get(key), dict):
        return Edge(fields.required(key, parse_daytime))
    nested = fields.nested(key, key)
    if nested is None:
        return Edge(_MIDNIGHT)
    edge = Edge(
        nested.required("daytime", parse_daytime),
        nested.optional("date_shift", day_shift, 0),
        nested.optional("cal_shift", date_count, 0),
    )
    fields.join(nested)
    return edge
