"""What all types of actions have in common, and the facts of an ended run that their templates may name."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from apsis.actions.when import When

if TYPE_CHECKING:
    from apsis.conditions.binding import Binding

#: names that templates of actions may use beside those of the run; an arg of such a name goes before
FACTS: Final = (
    "event_id", "event", "state", "reason", "exit_code", "signal", "elapsed", "late_by", "started", "ended", "host",
    "attempt", "labels", "output", "url",
)  # fmt: skip


class ActionSpec(Protocol):
    """An action as a job or the config has it, and as it is bound into a run."""

    type: ClassVar[str]

    @property
    def when(self) -> When:
        """After which ends it is carried out."""
        ...

    def bind(self, binding: "Binding", key: str) -> "ActionSpec":
        """Return it for one run; raises BindError."""
        ...

    def texts(self) -> Mapping[tuple[str | int, ...], str]:
        """Return each text in which templates are expanded when the run has ended, by its path in the action."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return it as a job file would have it."""
        ...


def shown(kind: str, when: When, **keys: Any) -> dict[str, Any]:
    """Return an action as a job file would have it: keys that are None or empty are left out."""
    given = {key.rstrip("_"): value for key, value in keys.items() if value is not None and value not in ({}, [], ())}
    return {"type": kind, **given, **({"if": when.to_json()} if when != When() else {})}
