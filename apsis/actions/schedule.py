"""The action that makes a run of another job when this one has ended; `successors` are these, on success."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from apsis.actions.when import When, read_when
from apsis.definitions.fields import Fields
from apsis.definitions.forms import mapping_of, name, text

if TYPE_CHECKING:
    from apsis.conditions.binding import Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleAction:
    """Make a run of `job_id`. As a job has it, `args` are templates; as bound for a run they are whole and plain."""

    type: ClassVar[str] = "schedule"

    job_id: str
    args: dict[str, str] = field(default_factory=dict)
    when: When = field(default_factory=When)

    @property
    def if_states(self) -> tuple[str, ...]:
        """The states in which the run must have ended."""
        return self.when.states

    @classmethod
    def read(cls, fields: Fields, default: When | None = None) -> "ScheduleAction":
        """Take the keys of a `schedule` action."""
        when = default or When.read_in(fields)
        return cls(
            job_id=fields.required("job_id", name),
            args=fields.optional("args", mapping_of(text), {}),
            when=when,
        )

    def bind(self, binding: "Binding", key: str) -> "ScheduleAction":
        """Return the action for one run; raises BindError."""
        args = {name: binding.expand(value, f"{key}.args.{name}") for name, value in self.args.items()}
        return ScheduleAction(job_id=self.job_id, args=binding.target_args(self.job_id, args, key), when=self.when)

    def texts(self) -> Mapping[tuple[str | int, ...], str]:
        """Return nothing: its args are expanded when the run leaves `scheduled`, and speak of no end."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """Return it as a job file would have it, and as `read_bound` takes it."""
        shown = {"type": self.type, "job_id": self.job_id, "args": self.args}
        return {**shown, "if": self.when.to_json()} if self.when != When() else shown


#: when a successor follows
ON_SUCCESS = When(states=("success",))


def read_bound(value: dict[str, Any]) -> ScheduleAction:
    """Return a bound action from what its `to_json` gave."""
    return ScheduleAction(job_id=value["job_id"], args=dict(value["args"]), when=read_when(value.get("if", {})))
