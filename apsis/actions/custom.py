"""An action of a class that users bring. It is made and carried out in a process of its own, by `runner`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from apsis.actions.base import Action
from apsis.actions.when import When
from apsis.definitions.fields import Fields
from apsis.extensions import ExtensionError, check_keys, imports_classes, load_class, target

if TYPE_CHECKING:
    from apsis.conditions.binding import Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomAction:
    """A class as a job file has it: its keys are those that are not Apsis's. Texts in them are templates."""

    #: as the job has it: a dotted path, or a short name
    type: str
    #: the dotted path
    path: str
    keys: dict[str, Any] = field(default_factory=dict)
    when: When = field(default_factory=When)

    @classmethod
    def read(cls, fields: Fields) -> "CustomAction":
        """Take `if`, and all other keys for the class."""
        when = When.read_in(fields)
        name = str(fields.value["type"])
        keys = {str(key): fields.take(key) for key in fields.untaken()}
        if imports_classes():
            try:
                check_keys(load_class(name, Action, "action"), keys, name)
            except ExtensionError as error:
                fields.refuse(
                    "type", f"{error.message}; {error.hint}" if error.hint else error.message, code=error.code
                )
        return cls(type=name, path=target(name, "action") or name, keys=keys, when=when)

    def bind(self, binding: "Binding", key: str) -> "CustomAction":
        """Return it as it is: its templates speak of the run's end."""
        return self

    def texts(self) -> Mapping[tuple[str | int, ...], str]:
        """Return the templates."""
        return dict(_texts(self.keys, ()))

    def to_json(self) -> dict[str, Any]:
        """Return it as a job file would have it."""
        return {"type": self.type, **self.keys, **({"if": self.when.to_json()} if self.when != When() else {})}


def _texts(value: Any, path: tuple[str | int, ...]) -> list[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        return [(path, value)]
    if isinstance(value, dict):
        return [found for key, each in value.items() for found in _texts(each, (*path, str(key)))]
    if isinstance(value, list):
        return [found for index, each in enumerate(value) for found in _texts(each, (*path, index))]
    return []
