"""Windows: the due times of schedules between two instants; the same schedule of a thousand jobs is computed once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from apsis.definitions.plain import canonical
from apsis.schedules.occurrence import Occurrence
from apsis.schedules.schedule import Schedule

#: occurrences of one schedule in one window; what is beyond is not looked at
MOST: Final = 2_000


@dataclass(slots=True)
class Windows:
    """Occurrences between two instants, remembered by what a schedule says and not by whose it is."""

    _known: dict[tuple[bytes, datetime, datetime], tuple[Occurrence, ...]] = field(default_factory=dict)

    def occurrences(self, schedule: Schedule, after: datetime, until: datetime) -> tuple[Occurrence, ...]:
        """Return the first occurrences after an instant and not after the other."""
        key = (_shape(schedule), after, until)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = tuple(_within(schedule, after, until))
        return found

    def first(self, schedule: Schedule, after: datetime) -> Occurrence | None:
        """Return the first occurrence after an instant, however far it is."""
        key = (_shape(schedule), after, after)
        found = self._known.get(key)
        if found is None:
            one = next(schedule.occurrences(after), None)
            found = self._known[key] = () if one is None else (one,)
        return found[0] if found else None


def _within(schedule: Schedule, after: datetime, until: datetime) -> Iterator[Occurrence]:
    for count, occurrence in enumerate(schedule.occurrences(after)):
        if count >= MOST or occurrence.time > until:
            return
        yield occurrence


def _shape(schedule: Schedule) -> bytes:
    """Return what the due times of a schedule depend on."""
    if schedule.terms.jitter:
        return canonical([schedule.seed, schedule.definition])
    return canonical({key: value for key, value in start_of(schedule).items() if key != "args"})


def start_of(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as it is written, without its stop."""
    written = schedule.definition
    if "type" in written:
        return written
    start: dict[str, Any] = written["start"]
    return start
