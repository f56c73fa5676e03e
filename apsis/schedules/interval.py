"""Schedules by elapsed time: at epoch + phase + n x interval, whatever the clocks on the wall do."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, ClassVar

from apsis.calendars.finder import Calendars
from apsis.definitions.fields import Fields, FormError
from apsis.schedules.schedule import Schedule, Terms, show_time
from apsis.times.daytimes import show_daytime
from apsis.times.durations import parse_duration, show_duration
from apsis.times.instants import from_micros, to_micros

_DAY = timedelta(days=1)
#: the end of time for schedules; datetimes end a little later
_LAST = to_micros(datetime(9999, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, kw_only=True)
class IntervalSchedule(Schedule):
    """Due each `interval` microseconds, at multiples of it after the epoch, shifted by `phase`."""

    type: ClassVar[str] = "interval"

    interval: int
    phase: int = 0

    @classmethod
    def read(
        cls, fields: Fields, terms: Terms, definition: dict[str, Any], seed: str, calendars: Calendars
    ) -> "IntervalSchedule":
        """Take the keys of an `interval`."""
        return cls(
            terms=terms,
            definition=definition,
            seed=seed,
            interval=fields.required("interval", interval_micros),
            phase=round(fields.optional("phase", parse_duration, 0.0) * 1_000_000),
        )

    @property
    def text(self) -> str:
        """What a person reads."""
        phase = f" + {show_duration(self.phase / 1e6)}" if self.phase else ""
        return f"every {show_duration(self.interval / 1e6)}{phase}"

    def nominal(self, after: datetime) -> Iterator[tuple[datetime, dict[str, str]]]:
        """Yield the multiples after an instant; days that are not allowed are passed over whole."""
        step = (to_micros(after) - self.phase) // self.interval + 1
        while (micros := self.phase + step * self.interval) < _LAST:
            due = from_micros(micros)
            if not self.terms.allows(due.date()):
                day = self.next_allowed(due.date() + _DAY)
                if day is None:
                    return
                step = max(step + 1, -((self.phase - _midnight(day)) // self.interval))
                continue
            yield due, {"time": show_time(due), "date": str(due.date()), "daytime": show_daytime(due.time())}
            step += 1


def _midnight(day: date) -> int:
    return to_micros(datetime.combine(day, time(), UTC))


def interval_micros(value: Any) -> int:
    """Return an interval in microseconds; at least a millisecond, which is what due times are rounded to."""
    micros = round(parse_duration(value) * 1_000_000)
    if micros < 1000:
        raise FormError(f"an interval is at least a millisecond, got {value!r}")
    return micros
