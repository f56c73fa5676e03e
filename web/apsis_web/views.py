"""A view: the ordered keys of the cached runs that match one filter, kept by each change."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Final

from apsis.filters import Filter
from apsis.filters.facts import RunFacts
from apsis.times import from_micros
from apsis_web.database import Order
from apsis_web.rows import Row

#: microseconds for which the answer of a filter that depends on the time is taken as true
STALE: Final = 10_000_000


class View:
    """What of the cache matches a filter. Several connections share one; it holds keys, not rows."""

    def __init__(self, filter_: Filter) -> None:
        self.filter = filter_
        self.orders: list[Order] = []
        #: grows with each change of a run that matches or matched
        self.version = 0
        self._made = 0

    def build(self, rows: Iterable[Row], now: int) -> None:
        """Find what matches from nothing."""
        moment = from_micros(now)
        everything = not self.filter.terms
        found = [row.order for row in rows if everything or self.filter.matches(row.facts(), moment)]
        found.sort()
        if found != self.orders:
            self.orders = found
            self.version += 1
        self._made = now

    def refresh(self, rows: Iterable[Row], now: int) -> None:
        """Find it anew if the filter depends on the time and some has passed."""
        if self.filter.relative and now - self._made >= STALE:
            self.build(rows, now)

    def change(self, old: Row | None, new: Row | None, facts: RunFacts | None, now: int) -> None:
        """Take a run's change: `old` is None for a new one, `new` (and its facts) for one that is gone."""
        had = old is not None and self.contains(old.order)
        has = new is not None and facts is not None and self._matches(facts, now)
        if had and (not has or new is None or new.order != old.order):  # type: ignore[union-attr]
            assert old is not None
            del self.orders[bisect_left(self.orders, old.order)]
            had = False
            self.version += 1
        if has:
            assert new is not None
            if not had:
                insort(self.orders, new.order)
            self.version += 1

    def _matches(self, facts: RunFacts, now: int) -> bool:
        return not self.filter.terms or self.filter.matches(facts, from_micros(now))

    def contains(self, order: Order) -> bool:
        """Tell whether a key is in the view."""
        index = bisect_left(self.orders, order)
        return index < len(self.orders) and self.orders[index] == order

    def position(self, order: Order) -> int:
        """Return how many keys stand before a key."""
        return bisect_left(self.orders, order)
