"""The condition that not too many runs are on at once."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from apsis.conditions.binding import Binding
from apsis.definitions.fields import Fields, FormError
from apsis.definitions.forms import boolean, integer, mapping_of, name, text
from apsis.programs.templated import bound, templated


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxRunning:
    """Wait while `count` runs of `job_id` with these `args` (None: any) are starting, running or stopping."""

    type: ClassVar[str] = "max_running"

    count: int
    job_id: str
    args: dict[str, str] | None

    def to_json(self) -> dict[str, Any]:
        """Return it as a run shows it, and as `read_bound` takes it."""
        return {"type": self.type, "count": self.count, "job_id": self.job_id, "args": self.args}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "MaxRunning":
        """Return what `to_json` gave."""
        return cls(count=value["count"], job_id=value["job_id"], args=value["args"])

    @property
    def text(self) -> str:
        """What a person reads: `fewer than 1 of backup running`."""
        args = "" if not self.args else f"({', '.join(f'{key}={value}' for key, value in self.args.items())})"
        return f"fewer than {self.count} of {self.job_id}{args} running"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxRunningSpec:
    """A `max_running` as a job file has it: `job_id` and `args` are the run's own where they are not given."""

    type: ClassVar[str] = "max_running"

    count: str = "1"
    job_id: str | None = None
    args: dict[str, str] = field(default_factory=dict)
    any_args: bool = False

    @classmethod
    def read(cls, fields: Fields) -> "MaxRunningSpec":
        """Take the keys of a `max_running`."""
        return cls(
            count=fields.optional("count", templated(_positive), "1"),
            job_id=fields.optional("job_id", name, None),
            args=fields.optional("args", mapping_of(text), {}),
            any_args=fields.optional("all", boolean, False),
        )

    def bind(self, binding: Binding, key: str) -> MaxRunning:
        """Return the condition for one run."""
        count = bound(_positive, binding.expand(self.count, f"{key}.count"), f"{key}.count")
        job_id = self.job_id or binding.job_id
        if self.any_args:
            return MaxRunning(count=count, job_id=job_id, args=None)
        args = {name: binding.expand(value, f"{key}.args.{name}") for name, value in self.args.items()}
        return MaxRunning(count=count, job_id=job_id, args=binding.target_args(job_id, args, key))

    def to_json(self) -> dict[str, Any]:
        """Return it as a job shows it."""
        shown: dict[str, Any] = {"type": self.type, "count": self.count}
        if self.job_id is not None:
            shown["job_id"] = self.job_id
        if self.args:
            shown["args"] = self.args
        return {**shown, "all": True} if self.any_args else shown


def _positive(value: Any) -> int:
    found = int(value) if isinstance(value, str) and value.isdigit() else integer(value)
    if found < 1:
        raise FormError(f"expected a number from 1 on, got {found}")
    return found
