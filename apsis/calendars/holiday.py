"""Calendars of public holidays and of the working days between them: `holidays:GB-ENG`, `workdays:US`."""

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from apsis.calendars.calendar import Calendar, CalendarError
from apsis.definitions.nearest import did_you_mean

if TYPE_CHECKING:
    from holidays import HolidayBase


@dataclass(frozen=True)
class Holidays(Calendar):
    """Has the public holidays of a country or a part of one."""

    name: str
    listed: "HolidayBase" = field(compare=False, repr=False)
    start: date | None = None
    stop: date | None = None

    def has(self, day: date) -> bool:
        """Return whether a date is a holiday."""
        return day in self.listed


@dataclass(frozen=True)
class Workdays(Calendar):
    """Has the days that are neither a public holiday nor in the weekend of the country."""

    name: str
    listed: "HolidayBase" = field(compare=False, repr=False)
    start: date | None = None
    stop: date | None = None

    def has(self, day: date) -> bool:
        """Return whether a date is a working day."""
        return day.weekday() not in self.listed.weekend and day not in self.listed


def holiday_calendar(kind: str, place: str) -> Calendar:
    """Return the calendar `holidays:PLACE` or `workdays:PLACE`.

    Raises:
        CalendarError: the place is not known.
    """
    # imported only where a job names such a calendar: its tables are large
    import holidays

    country, _, part = place.partition("-")
    try:
        listed = holidays.country_holidays(country, subdiv=part or None)
    except NotImplementedError:
        codes = holidays.list_supported_countries()
        where, known = (country, list(codes)) if country not in codes else (part, codes[country])
        raise CalendarError(
            f"there are no holidays of {place!r}{did_you_mean(where, known)}",
            hint="places are ISO 3166 codes: US, DE, GB-ENG, DE-BY",
        ) from None
    kind_of = Holidays if kind == "holidays" else Workdays
    # beyond these years it has no holidays, which is not the same as that there are none
    start, stop = date(max(listed.start_year, 1), 1, 1), date(listed.end_year + 1, 1, 1)
    return kind_of(f"{kind}:{place}", listed, start, stop)
