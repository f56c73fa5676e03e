"""The condition that is what the job file says: for ever true, or never."""

from dataclasses import dataclass
from typing import Any, ClassVar

from apsis.conditions.binding import Binding
from apsis.definitions.fields import Fields
from apsis.definitions.forms import boolean


@dataclass(frozen=True, slots=True, kw_only=True)
class Const:
    """True lets each run go on; false holds it until somebody starts it by hand. As written and as bound."""

    type: ClassVar[str] = "const"

    value: bool

    @classmethod
    def read(cls, fields: Fields) -> "Const":
        """Take the keys of a `const`."""
        return cls(value=fields.required("value", boolean))

    def bind(self, binding: Binding, key: str) -> "Const":
        """Return the condition for one run: it has no templates."""
        return self

    def to_json(self) -> dict[str, Any]:
        """Return it as a job and a run show it, and as `read_bound` takes it."""
        return {"type": self.type, "value": self.value}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Const":
        """Return what `to_json` gave."""
        return cls(value=value["value"])

    @property
    def text(self) -> str:
        """What a person reads."""
        return "nothing" if self.value else "a start by hand: its condition `const` is false"
