"""A schedule: the last days of months."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta

import apsis


class MonthEnd(apsis.Schedule):
    """The last day of each month, at an hour of UTC; offers `date` and `month`."""

    def __init__(self, hour: int = 0) -> None:
        if not 0 <= hour <= 23:
            raise ValueError(f"hour is {hour}; give 0 to 23")
        self.hour = hour

    def times(self, after: datetime) -> Iterator[tuple[datetime, Mapping[str, str]]]:
        """Yield them from the month of `after` on, without end."""
        month = after.date().replace(day=1)
        while True:
            following = _next_month(month)
            day = following - timedelta(days=1)
            due = datetime.combine(day, time(self.hour), UTC)
            if due > after:
                yield due, {"date": day.isoformat(), "month": f"{day:%Y-%m}"}
            month = following

    @property
    def text(self) -> str:
        """What a person reads of it."""
        return f"the last day of each month, {self.hour:02}:00 UTC"


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)
