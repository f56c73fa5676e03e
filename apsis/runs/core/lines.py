"""Lines: who comes first where many want what few can have, and what those claim who have got past it."""

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from typing import Final, Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)

#: entries of those who have gone, beside as many who stand, from which on a line is cleared of them
_SLACK: Final = 16


class Order(NamedTuple):
    """What decides who comes first: the higher priority, then the earlier due time, then the smaller number."""

    #: the negative of the priority
    behind: int
    #: when it was due, microseconds; for one that was asked for without a time: when that was
    due: int
    num: int


class Line:
    """Those who wait for one thing, the first at the front; putting, taking and asking cost the logarithm of all."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._heap: list[tuple[Order, str]] = []

    def __len__(self) -> int:
        return len(self._orders)

    def put(self, run_id: str, order: Order) -> None:
        """Add one to the line."""
        self._orders[run_id] = order
        heappush(self._heap, (order, run_id))

    def remove(self, run_id: str) -> None:
        """Take one out of the line."""
        del self._orders[run_id]
        if len(self._heap) > 2 * len(self._orders) + _SLACK:
            self._heap = [(order, each) for each, order in self._orders.items()]
            heapify(self._heap)

    def first(self) -> str | None:
        """Return who stands first."""
        while self._heap:
            order, run_id = self._heap[0]
            if self._orders.get(run_id) == order:
                return run_id
            heappop(self._heap)
        return None

    def before(self, order: Order) -> str | None:
        """Return who stands first, if that is before one of this order."""
        first = self.first()
        return first if first is not None and self._orders[first] < order else None

    def all(self) -> list[str]:
        """Return everyone, in order."""
        return sorted(self._orders, key=self._orders.__getitem__)


class Claims(Generic[K]):
    """What waiting runs count on: they have got past it, and wait for something that comes after it.

    Without claims, whoever is next in the line would be let past as well, find the same thing lacking behind it, and
    with each step ten thousand would move from one line to the other and back.
    """

    def __init__(self) -> None:
        self._by_key: dict[K, dict[str, tuple[Order, int]]] = {}
        self._by_run: dict[str, dict[K, int]] = {}

    def add(self, key: K, run_id: str, order: Order, amount: int) -> None:
        """Let a run count on an amount of something."""
        self._by_key.setdefault(key, {})[run_id] = (order, amount)
        self._by_run.setdefault(run_id, {})[key] = amount

    def drop(self, run_id: str) -> list[K]:
        """Forget what a run claims, and return of what."""
        keys = list(self._by_run.pop(run_id, ()))
        for key in keys:
            claims = self._by_key[key]
            del claims[run_id]
            if not claims:
                del self._by_key[key]
        return keys

    def of(self, run_id: str) -> dict[K, int]:
        """Return what a run claims."""
        return self._by_run.get(run_id, {})

    def before(self, key: K, order: Order) -> int:
        """Return how much of something those claim who come before one of this order."""
        return sum(amount for other, amount in self._by_key.get(key, {}).values() if other < order)
