"""A condition of a class that users bring: looked at by a process that can be ended, never by the scheduler itself."""

from dataclasses import dataclass, field
from typing import Any, Final

from apsis.conditions.asked import Asked
from apsis.conditions.base import Condition
from apsis.conditions.binding import Binding
from apsis.definitions.fields import Fields, FormError
from apsis.extensions import ExtensionError, check_keys, imports_classes, load_class, target
from apsis.programs.values import checked, expanded

#: characters of a text that a person reads
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomSpec:
    """A class as a job file has it: its keys are those that are not Apsis's."""

    #: as the job has it: a dotted path, or a short name
    type: str
    keys: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, fields: Fields) -> "CustomSpec":
        """Take all keys for the class."""
        keys: dict[str, Any] = {}
        for key in fields.untaken():
            try:
                keys[str(key)] = checked(fields.take(key), ())
            except FormError as error:
                fields.refuse(str(key), str(error), subpath=error.subpath)
        name = str(fields.value["type"])
        if imports_classes():
            try:
                check_keys(load_class(name, Condition, "condition"), keys, name)
            except ExtensionError as error:
                fields.refuse(
                    "type", f"{error.message}; {error.hint}" if error.hint else error.message, code=error.code
                )
        return cls(type=name, keys=keys)

    def bind(self, binding: Binding, key: str) -> Asked:
        """Return the condition for one run."""
        keys = expanded(self.keys, key, binding.expand)
        shown = ", ".join(f"{name}={value}" for name, value in keys.items())
        text = f"{self.type}({shown})"
        return Asked(
            type=self.type,
            keys=keys,
            text=text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}...",
            # whoever looks knows no short names: it reads no config
            path=target(self.type, "condition") or self.type,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as a job shows it."""
        return {"type": self.type, **self.keys}
