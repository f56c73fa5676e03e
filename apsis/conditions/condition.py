"""Conditions as written and as bound for one run. Judging them is the scheduler's, with its index."""

from typing import Any, Protocol

from apsis.conditions.asked import Asked
from apsis.conditions.binding import Binding
from apsis.conditions.const import Const
from apsis.conditions.dependency import Dependency
from apsis.conditions.max_running import MaxRunning
from apsis.conditions.skip_duplicate import SkipDuplicate

#: what a run waits for
Condition = Asked | Const | Dependency | MaxRunning | SkipDuplicate

_BOUND: dict[str, type[Const | Dependency | MaxRunning | SkipDuplicate]] = {
    each.type: each for each in (Const, Dependency, MaxRunning, SkipDuplicate)
}


class ConditionSpec(Protocol):
    """A condition as a job file has it."""

    @property
    def type(self) -> str:
        """The word in the job file."""
        ...

    def bind(self, binding: Binding, key: str) -> Condition:
        """Return the condition for one run; raises BindError."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return it as a job file would have it."""
        ...


def read_bound(value: dict[str, Any]) -> Condition:
    """Return a bound condition from what its `to_json` gave."""
    kind = _BOUND.get(value["type"])
    return Asked.from_json(value) if kind is None else kind.from_json(value)
