"""Conditions as written and as bound for one run. Evaluating them is the scheduler's, with its index."""

from typing import Any, Protocol

from apsis.conditions.dependency import Dependency
from apsis.conditions.max_running import MaxRunning

#: what a run waits for
Condition = Dependency | MaxRunning


class Binding(Protocol):
    """The run that a condition or an action is bound for."""

    @property
    def job_id(self) -> str:
        """The job of the run."""
        ...

    def expand(self, value: str, key: str) -> str:
        """Return a text with its templates expanded; raises BindError that names `key`."""
        ...

    def target_args(self, job_id: str, given: dict[str, str], key: str) -> dict[str, str]:
        """Return the args of a run of another job: those given, and for its other params the run's own."""
        ...


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
