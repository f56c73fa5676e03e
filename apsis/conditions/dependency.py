"""The condition that a run of another job has ended as it should."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from apsis.conditions.binding import Binding
from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.forms import boolean, mapping_of, name, states, text
from apsis.runs.states import State

_STATES = states(tuple(State))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """Wait until a run of `job_id` with exactly these `args` is in one of `states`.

    `exist`: None: wait for such a run, however long; else it is an error at once when no run with these args
    is in one of these states (True gives every state from which `states` can still be reached, and `states`).
    """

    type: ClassVar[str] = "dependency"

    job_id: str
    args: dict[str, str] = field(default_factory=dict)
    states: tuple[str, ...] = ("success",)
    exist: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a run shows it, and as `read_bound` takes it."""
        shown_exist = None if self.exist is None else list(self.exist)
        return {
            "type": self.type,
            "job_id": self.job_id,
            "args": self.args,
            "states": list(self.states),
            "exist": shown_exist,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Dependency":
        """Return what `to_json` gave."""
        exist = value["exist"]
        return cls(
            job_id=value["job_id"],
            args=dict(value["args"]),
            states=tuple(value["states"]),
            exist=None if exist is None else tuple(exist),
        )

    @property
    def text(self) -> str:
        """What a person reads: `etl/load(date=2026-06-30) is success`."""
        args = ", ".join(f"{key}={value}" for key, value in self.args.items())
        return f"{self.job_id}{f'({args})' if args else ''} is {' or '.join(self.states)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencySpec:
    """A `dependency` as a job file has it: the values of `args` are templates; missing ones are the run's own."""

    type: ClassVar[str] = "dependency"

    job_id: str
    args: dict[str, str] = field(default_factory=dict)
    states: tuple[str, ...] = ("success",)
    exist: tuple[str, ...] | None = None

    @classmethod
    def read(cls, fields: Fields) -> "DependencySpec":
        """Take the keys of a `dependency`."""
        return cls(
            job_id=fields.required("job_id", name),
            args=fields.optional("args", mapping_of(text), {}),
            states=fields.optional("states", _STATES, ("success",)),
            exist=fields.optional("exist", _exist, None),
        )

    def bind(self, binding: Binding, key: str) -> Dependency:
        """Return the condition for one run."""
        args = {name: binding.expand(value, f"{key}.args.{name}") for name, value in self.args.items()}
        full = binding.target_args(self.job_id, args, key)
        return Dependency(job_id=self.job_id, args=full, states=self.states, exist=self.exist)

    def to_json(self) -> dict[str, Any]:
        """Return it as a job shows it."""
        return Dependency(job_id=self.job_id, args=self.args, states=self.states, exist=self.exist).to_json()


#: not finished, so that success may still come
_HOPEFUL = ("new", "scheduled", "waiting", "starting", "running", "stopping", "success")


def _exist(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, bool):
        return _HOPEFUL if boolean(value) else None
    if isinstance(value, (str, list)):
        return _STATES(value)
    raise FormError(f"expected true or states, got {shown(value)}")
