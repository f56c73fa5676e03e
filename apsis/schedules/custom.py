"""Schedules of classes that users bring: what a job writes of one, and the times that its process tells."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import Any, ClassVar, Final

from apsis.calendars.finder import Calendars
from apsis.definitions.fields import Fields
from apsis.definitions.plain import plain
from apsis.extensions import imports_classes, target
from apsis.schedules.custom_times import CustomTimes, times_of
from apsis.schedules.schedule import Schedule, Terms

_MIDNIGHT: Final = time()
_MILLISECOND: Final = timedelta(milliseconds=1)
#: times on dates that are not allowed, one after the other, after which the schedule counts as ended
_PASSED: Final = 2000


@dataclass(frozen=True, kw_only=True)
class CustomSchedule(Schedule):
    """Due when a class says so. The class is imported in a process of its own alone, never here."""

    type: ClassVar[str] = "custom"
    outside: ClassVar[bool] = True

    #: as the job has it: a dotted path, or a short name
    name: str
    keys: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(
        cls, fields: Fields, terms: Terms, definition: dict[str, Any], seed: str, calendars: Calendars
    ) -> "CustomSchedule":
        """Take all keys that are not those of every schedule."""
        keys = {str(key): plain(fields.take(key)) for key in fields.untaken()}
        made = cls(terms=terms, definition=definition, seed=seed, name=str(fields.value["type"]), keys=keys)
        if imports_classes() and (trouble := made.times.look()):
            fields.refuse("type", trouble, code="extension")
        return made

    @property
    def text(self) -> str:
        """What a person reads: what the class says of itself, once it was asked."""
        return self.times.text or f"{self.name}({', '.join(f'{key}={value}' for key, value in self.keys.items())})"

    @property
    def trouble(self) -> str:
        """What is wrong with the class."""
        return self.times.trouble

    @cached_property
    def times(self) -> CustomTimes:
        """The times that the class has told so far, shared with all schedules that are written alike."""
        return times_of(self.name, target(self.name, "schedule") or self.name, self.keys)

    def prepare(self, after: datetime) -> None:
        """Ask the class for its first times after an instant."""
        next(self.times.after(after - self.shift), None)

    def nominal(self, after: datetime) -> Iterator[tuple[datetime, dict[str, str]]]:
        """Yield the times that the class tells, on the dates (UTC) that are allowed; ends where it is in trouble."""
        terms, passed = self.terms, 0
        if terms.start_date is not None:
            after = max(after, datetime.combine(terms.start_date, _MIDNIGHT, UTC) - _MILLISECOND)
        for due, offered in self.times.after(after):
            if terms.end_date is not None and due.date() > terms.end_date:
                return
            if terms.allows(due.date()):
                passed = 0
                yield due, offered
            elif (passed := passed + 1) > _PASSED:
                return
