"""What a condition or an action asks of the run that it is bound for."""

from typing import Protocol


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
