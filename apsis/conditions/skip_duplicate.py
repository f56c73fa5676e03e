"""The condition that no older run of the same job and args is on its way."""

from dataclasses import dataclass
from typing import Any, ClassVar

from apsis.conditions.binding import Binding
from apsis.definitions.fields import Fields
from apsis.definitions.forms import one_of, states
from apsis.runs.states import FINISHED, State

_CHECKED = states(tuple(State))
_TARGET = one_of(*sorted(state.value for state in FINISHED))
_CHECK_STATES = (State.WAITING.value, State.STARTING.value, State.RUNNING.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipDuplicate:
    """End a run that could start, in `target_state`, where an older one is in one of `check_states`.

    Older is the one that came due first, and of two that came due in one moment the one with the smaller number; so of
    two runs never both are duplicates. It has no templates: this is the condition as written and as bound.
    """

    type: ClassVar[str] = "skip_duplicate"

    check_states: tuple[str, ...] = _CHECK_STATES
    target_state: str = State.SKIPPED.value

    @classmethod
    def read(cls, fields: Fields) -> "SkipDuplicate":
        """Take the keys of a `skip_duplicate`."""
        return cls(
            check_states=fields.optional("check_states", _CHECKED, _CHECK_STATES),
            target_state=fields.optional("target_state", _TARGET, State.SKIPPED.value),
        )

    def bind(self, binding: Binding, key: str) -> "SkipDuplicate":
        """Return the condition for one run."""
        return self

    def to_json(self) -> dict[str, Any]:
        """Return it as a job and a run show it, and as `read_bound` takes it."""
        return {"type": self.type, "check_states": list(self.check_states), "target_state": self.target_state}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "SkipDuplicate":
        """Return what `to_json` gave."""
        return cls(check_states=tuple(value["check_states"]), target_state=value["target_state"])

    @property
    def text(self) -> str:
        """What a person reads."""
        return f"no older run of the same job and args is {' or '.join(self.check_states)}"
