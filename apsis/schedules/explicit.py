"""Schedules that list their times one by one."""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from apsis.calendars.finder import Calendars
from apsis.definitions.fields import Fields, FormError
from apsis.definitions.forms import one_or_list
from apsis.schedules.schedule import BEGIN, END, Schedule, Terms, show_time
from apsis.times.instants import read_time

#: times that a text shows before it says how many more there are
_SHOWN: Final = 3


@dataclass(frozen=True, kw_only=True)
class ExplicitSchedule(Schedule):
    """Due at each of `times`."""

    type: ClassVar[str] = "explicit"

    #: in order, each once
    times: tuple[datetime, ...]

    @classmethod
    def read(
        cls, fields: Fields, terms: Terms, definition: dict[str, Any], seed: str, calendars: Calendars
    ) -> "ExplicitSchedule":
        """Take the keys of an `explicit`."""
        times = fields.required("times", one_or_list(_time))
        return cls(terms=terms, definition=definition, seed=seed, times=tuple(sorted(set(times or ()))))

    @property
    def text(self) -> str:
        """What a person reads."""
        listed = ", ".join(show_time(each) for each in self.times[:_SHOWN])
        more = len(self.times) - _SHOWN
        return f"at {listed}, and {more} more" if more > 0 else f"at {listed}" if listed else "never"

    def nominal(self, after: datetime) -> Iterator[tuple[datetime, dict[str, str]]]:
        """Yield the listed times after an instant whose date (UTC) is allowed."""
        for index in range(bisect.bisect_right(self.times, after), len(self.times)):
            time = self.times[index]
            if self.terms.allows(time.date()):
                yield time, {"time": show_time(time)}


def _time(value: Any) -> datetime:
    found = read_time(value)
    if not BEGIN <= found < END:
        raise FormError(f"{value!r} is not between the years {BEGIN.year} and {END.year}")
    return found
