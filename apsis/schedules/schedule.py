"""What all schedule types have in common: their keys, their identity, and the order in which times come."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Final

from apsis.calendars.calendar import ALL, Calendar
from apsis.definitions.plain import canonical
from apsis.schedules.occurrence import Occurrence
from apsis.schedules.stop import StopRule

_DAY: Final = timedelta(days=1)
#: between these, far enough from the ends of what a date can be for any shift, are all due times
BEGIN: Final = datetime(1900, 1, 1, tzinfo=UTC)
END: Final = datetime(9700, 1, 1, tzinfo=UTC)
#: days without an occurrence after which a schedule counts as ended; longer than from one 29 February to the next
SEARCH_DAYS: Final = 366 * 10
#: how far a shift, in days, may lead
FARTHEST: Final = 3660


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The keys that any schedule may have; durations in seconds."""

    enabled: bool = True
    args: dict[str, str] = field(default_factory=dict)
    name: str | None = None
    dst: str = "once"
    catch_up: str = "all"
    max_age: float | None = None
    start_date: date | None = None
    end_date: date | None = None
    excepted: Calendar | None = None
    jitter: float = 0.0
    late_after: float | None = None
    stop: StopRule | None = None

    def allows(self, day: date) -> bool:
        """Return whether a nominal date is within the dates of the schedule, and not excepted."""
        if self.start_date is not None and day < self.start_date:
            return False
        if self.end_date is not None and day > self.end_date:
            return False
        return self.excepted is None or not self.excepted.contains_or_ends(day)


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """Due times, as an iterator over occurrences. Knows no job: the binder merges and cuts the args."""

    type: ClassVar[str]
    #: its times come from another process, and may be long in coming
    outside: ClassVar[bool] = False

    terms: Terms
    #: the schedule as it is written, normalised
    definition: dict[str, Any]
    #: what the jitter is taken from, with the args: the id of the job
    seed: str = ""

    @property
    def calendars(self) -> tuple[Calendar, ...]:
        """The calendars that its due times depend on."""
        own = getattr(self, "calendar", None)
        return tuple(each for each in (own, self.terms.excepted) if isinstance(each, Calendar))

    @property
    def trouble(self) -> str:
        """Why its times cannot be told, or ""; only a class that a user brings can be in trouble."""
        return ""

    @property
    def enabled(self) -> bool:
        """False: the schedule makes no runs."""
        return self.terms.enabled

    @property
    def args(self) -> dict[str, str]:
        """The args given in the schedule; they win over those that it offers."""
        return self.terms.args

    @cached_property
    def key(self) -> str:
        """Its identity in its job over reloads: its name, else the hash of its definition; never its position."""
        if self.terms.name is not None:
            return self.terms.name
        return hashlib.sha256(canonical(self.definition)).hexdigest()[:16]

    @cached_property
    def shift(self) -> timedelta:
        """By how much the jitter delays it: always the same for the same job and args."""
        if not self.terms.jitter:
            return timedelta(0)
        digest = hashlib.sha256(canonical([self.seed, self.terms.args])).digest()
        return timedelta(seconds=self.terms.jitter * int.from_bytes(digest[:4]) / 2**32)

    def prepare(self, after: datetime) -> None:  # noqa: B027  only what is `outside` has anything to prepare
        """Have the first times after an instant ready; whoever must not wait has this done in another thread."""

    def occurrences(self, after: datetime) -> Iterator[Occurrence]:
        """Yield each due time strictly after an instant, in order; ends only where the schedule does.

        Two occurrences may have the same time (two daytimes in one spring gap): whoever keeps the last time
        as a cursor takes such a pair together.
        """
        if after > END:
            return
        after, shift = max(after, BEGIN), self.shift
        for time, offered in self.nominal(after - shift):
            due = _whole(time + shift)
            if due > END:
                return
            if due > after:
                yield Occurrence(due, {**offered, "schedule_time": show_time(due)})

    def stop_time(self, schedule_time: datetime) -> datetime | None:
        """Return when a run that was due then has to be stopped."""
        return self.terms.stop.after(schedule_time) if self.terms.stop else None

    @abstractmethod
    def nominal(self, after: datetime) -> Iterator[tuple[datetime, dict[str, str]]]:
        """Yield times before jitter, in order, and what is offered with each; some may be at or before `after`."""

    @property
    @abstractmethod
    def text(self) -> str:
        """What a person reads: `every 10 s`, `10:30:00 Europe/Berlin on Mon-Fri`."""

    def next_allowed(self, day: date, calendar: Calendar = ALL) -> date | None:
        """Return the first date from `day` on that the calendar has and the terms allow, if there is one soon."""
        terms = self.terms
        if terms.start_date is not None and day < terms.start_date:
            day = terms.start_date
        for _ in range(SEARCH_DAYS):
            found = calendar.next_from(day)
            if found is None or (terms.end_date is not None and found > terms.end_date):
                return None
            if terms.allows(found):
                return found
            if found >= date.max - _DAY:
                return None
            day = found + _DAY
        return None


def _whole(time: datetime) -> datetime:
    return time - timedelta(microseconds=time.microsecond % 1000)


def show_time(time: datetime) -> str:
    """Return a time as args have it: `2024-03-01T04:15:00+00:00`."""
    return time.isoformat() if time.tzinfo is UTC else time.astimezone(UTC).isoformat()
