"""The matching of local times by a cron expression: cronsim, and the `W` that it does not know."""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from cronsim import CronSim, CronSimError

_NEAREST = re.compile(r"(\d{1,2})W", re.IGNORECASE)
_DAY = timedelta(days=1)


class CronSyntax(ValueError):
    """An expression that cannot be understood, or that can never match."""


class Matcher(Iterator[datetime]):
    """The local times after `start` that an expression matches."""

    def __init__(self, expression: str, start: datetime) -> None:
        try:
            self._simulation = _Simulation(expression, start)
        except CronSimError as error:
            raise CronSyntax(f"{str(error)[:1].lower()}{str(error)[1:]}") from None

    def __next__(self) -> datetime:
        try:
            return next(self._simulation)
        except OverflowError:
            raise StopIteration from None


class _Simulation(CronSim):
    """cronsim, with `15W`: the working day (Monday to Friday) of the month that is nearest to the 15th."""

    def __init__(self, expression: str, start: datetime) -> None:
        fields = expression.split()
        terms = fields[-3].split(",") if len(fields) >= 3 else []
        near = [term for term in terms if _NEAREST.fullmatch(term)]
        self.nearest = frozenset(int(term[:-1]) for term in near)
        if near:
            fields[-3] = ",".join(term[:-1] if term in near else term for term in terms)
        super().__init__(" ".join(fields), start)
        if near:
            plain = [term for term in terms if term not in near]
            self.days = set().union(*(self._days(term, fields, start) for term in plain))

    @staticmethod
    def _days(term: str, fields: list[str], start: datetime) -> set[int]:
        alone = [*fields[:-3], term, *fields[-2:]]
        return CronSim(" ".join(alone), start).days

    def match_dom(self, d: date) -> bool:
        """Return whether the day of the month matches."""
        return super().match_dom(d) or any(d == _nearest_working_day(d, day) for day in self.nearest)


def _nearest_working_day(month: date, day: int) -> date | None:
    """Return the working day nearest to a day of a month, without leaving the month."""
    try:
        wanted = month.replace(day=day)
    except ValueError:
        return None
    shift = {5: -_DAY, 6: _DAY}.get(wanted.weekday())
    if shift is None:
        return wanted
    moved = wanted + shift
    if moved.month != wanted.month:
        moved = wanted - 2 * shift
    return moved
