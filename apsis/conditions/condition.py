"""Conditions as written and as bound for one run. Evaluating them is the scheduler's, with its index."""

from typing import Any, Protocol

from apsis.conditions.binding import Binding
from apsis.conditions.dependency import Dependency
from apsis.conditions.max_running import MaxRunning

#: what a run waits for
Condition = Dependency | MaxRunning


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
    if value["type"] == Dependency.type:
        exist = value["exist"]
        return Dependency(
            job_id=value["job_id"],
            args=dict(value["args"]),
            states=tuple(value["states"]),
            exist=None if exist is None else tuple(exist),
        )
    if value["type"] == MaxRunning.type:
        return MaxRunning(count=value["count"], job_id=value["job_id"], args=value["args"])
    raise ValueError(f"unknown condition type {value['type']!r}")
