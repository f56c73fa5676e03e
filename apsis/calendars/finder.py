"""Finding calendars by their names; a directory of `.cal` files belongs to a job directory."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apsis.calendars.calendar import ALL, NONE, Calendar, CalendarError
from apsis.calendars.expression import parse_expression
from apsis.calendars.files import read_calendar
from apsis.calendars.weekdays import parse_weekdays
from apsis.definitions.fields import FormError, shown
from apsis.definitions.nearest import did_you_mean

_FILE_NAME = re.compile(r"[^\x00-\x1f/\\]{1,128}")
#: a template may make any number of names
_KEPT = 4096
_PLAIN = {"all": ALL, "all days": ALL, "none": NONE, "no days": NONE}


@dataclass(slots=True)
class Calendars:
    """Calendars by name, each read once. Without a directory only those that are computed are known."""

    directory: Path | None = None
    _found: dict[str, Calendar] = field(default_factory=dict)

    def get(self, name: str) -> Calendar:
        """Return the calendar of a name or an expression.

        Raises:
            CalendarError: there is none, or its file cannot be read.
        """
        found = self._found.get(name)
        if found is None:
            if len(self._found) >= _KEPT:
                self._found.clear()
            found = self._found[name] = self._find(name)
        return found

    def parse(self, value: Any) -> Calendar:
        """Return the calendar that a definition names; the form for a field."""
        if not isinstance(value, str) or not value.strip():
            raise FormError(f"expected a calendar like all, Mon-Fri or workdays:US, got {shown(value)}")
        return self.get(value.strip())

    def files(self) -> list[Path]:
        """Return the `.cal` files of the directory, in order."""
        return sorted(self.directory.glob("*.cal")) if self.directory else []

    def _find(self, name: str) -> Calendar:
        folded = name.strip().casefold()
        plain = _PLAIN.get(folded) or parse_weekdays(name) or parse_expression(name, self.get)
        if plain is not None:
            return plain
        kind, colon, place = name.partition(":")
        if colon:
            return _computed(kind.strip().casefold(), place.strip())
        return self._from_file(name)

    def _from_file(self, name: str) -> Calendar:
        names = [path.stem for path in self.files()]
        if name not in names or not _FILE_NAME.fullmatch(name):
            places = f"calendars/{name}.cal, all, none, Mon-Fri, holidays:US, workdays:US or exchange:XNYS"
            raise CalendarError(
                f"there is no calendar {name!r}{did_you_mean(name, [*names, 'all', 'none'])}",
                hint=f"a calendar is {places}",
            )
        assert self.directory is not None
        return read_calendar(self.directory / f"{name}.cal")


def _computed(kind: str, place: str) -> Calendar:
    """Return a calendar that a library computes; the library is loaded where somebody names such a calendar."""
    if kind in ("holidays", "workdays"):
        from apsis.calendars.holiday import holiday_calendar

        return holiday_calendar(kind, place)
    if kind == "exchange":
        from apsis.calendars.exchange import exchange_calendar

        return exchange_calendar(place)
    near = did_you_mean(kind, ("holidays", "workdays", "exchange"))
    raise CalendarError(
        f"there is no kind of calendar {kind!r}{near}", hint="kinds are holidays:US, workdays:US and exchange:XNYS"
    )
