"""The `if` of an action: after which ends of a run it is carried out."""

from dataclasses import dataclass
from typing import Any

from apsis.definitions.fields import Fields
from apsis.definitions.forms import boolean, count, one_or_list, states
from apsis.runs.states import FINISHED, State

_STATES = tuple(sorted(FINISHED))
_BAD = ("failure", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """All that is given must hold."""

    states: tuple[str, ...] = _STATES
    exit_codes: tuple[int, ...] | None = None
    late: bool | None = None
    first_failure: bool = False
    recovered: bool = False

    @classmethod
    def read(cls, fields: Fields) -> "When":
        """Take the keys of `if`."""
        codes = fields.optional("exit_codes", one_or_list(count), None)
        return cls(
            states=fields.optional("states", states(_STATES), _STATES),
            exit_codes=None if codes is None else tuple(codes),
            late=fields.optional("late", boolean, None),
            first_failure=fields.optional("first_failure", boolean, False),
            recovered=fields.optional("recovered", boolean, False),
        )

    @classmethod
    def read_in(cls, fields: Fields) -> "When":
        """Take the key `if` of an action."""
        nested = fields.nested("if", "if")
        if nested is None:
            return cls()
        when = cls.read(nested)
        fields.join(nested)
        return when

    def holds(
        self,
        state: State | str,
        *,
        exit_code: int | None = None,
        late: bool = False,
        previous: State | str | None = None,
    ) -> bool:
        """Return whether a run that ended so is meant; `previous` is how the one before it ended."""
        if state not in self.states:
            return False
        if self.exit_codes is not None and exit_code not in self.exit_codes:
            return False
        if self.late is not None and late != self.late:
            return False
        if self.first_failure and (state not in _BAD or previous in _BAD):
            return False
        return not (self.recovered and (state != "success" or previous not in _BAD))

    def to_json(self) -> dict[str, Any]:
        """Return it as a job file would have it; nothing that is as by default."""
        shown: dict[str, Any] = {}
        if self.states != _STATES:
            shown["states"] = list(self.states)
        if self.exit_codes is not None:
            shown["exit_codes"] = list(self.exit_codes)
        if self.late is not None:
            shown["late"] = self.late
        for key in ("first_failure", "recovered"):
            if getattr(self, key):
                shown[key] = True
        return shown


def read_when(value: dict[str, Any]) -> When:
    """Return what `When.to_json` gave."""
    return When(
        states=tuple(value.get("states", _STATES)),
        exit_codes=tuple(value["exit_codes"]) if "exit_codes" in value else None,
        late=value.get("late"),
        first_failure=value.get("first_failure", False),
        recovered=value.get("recovered", False),
    )
