"""The action that runs a program, with the event as JSON on its standard input."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from apsis.actions.action import shown
from apsis.actions.when import When
from apsis.definitions.fields import Fields, FormError
from apsis.definitions.forms import list_of, mapping_of, name, text
from apsis.times.durations import parse_duration

if TYPE_CHECKING:
    from apsis.conditions.binding import Binding

#: seconds
TIMEOUT: Final = 60.0
LONGEST: Final = 3600.0


def limit(value: Any) -> float:
    """Return the seconds that one attempt may take, or raise FormError."""
    found = parse_duration(value)
    if not 0 < found <= LONGEST:
        raise FormError(f"expected a duration of at most {LONGEST:g} s, got {value}")
    return found


def _argv(value: Any) -> list[str]:
    found = list_of(text)(value)
    if not found or not found[0]:
        raise FormError("expected a list of words, the first of which is the program")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAction:
    """Run `argv`, or `command` by `/bin/bash -c`. Both are templates, expanded when it is run. Exit 0 is success."""

    type: ClassVar[str] = "command"

    argv: list[str] | None = None
    command: str | None = None
    cwd: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    #: variable: name of a secret
    secrets: dict[str, str] = field(default_factory=dict)
    timeout: float = TIMEOUT
    when: When = field(default_factory=When)

    @classmethod
    def read(cls, fields: Fields) -> "CommandAction":
        """Take the keys of a `command` action."""
        argv, command = fields.optional("argv", _argv, None), fields.optional("command", text, None)
        if ("argv" in fields) == ("command" in fields):
            fields.refuse("argv" if "argv" in fields else "type", "a command action has either `argv` or `command`")
        return cls(
            argv=argv,
            command=command,
            cwd=fields.optional("cwd", name, None),
            env=fields.optional("env", mapping_of(text), {}),
            secrets=fields.optional("secrets", mapping_of(name), {}),
            timeout=fields.optional("timeout", limit, TIMEOUT),
            when=When.read_in(fields),
        )

    def bind(self, binding: "Binding", key: str) -> "CommandAction":
        """Return it as it is: its templates speak of the run's end."""
        return self

    def texts(self) -> Mapping[tuple[str | int, ...], str]:
        """Return the templates."""
        found: dict[tuple[str | int, ...], str] = {("argv", index): word for index, word in enumerate(self.argv or ())}
        return {**found, ("command",): self.command} if self.command is not None else found

    def to_json(self) -> dict[str, Any]:
        """Return it as a job file would have it."""
        return shown(
            self.type, self.when, argv=self.argv, command=self.command, cwd=self.cwd, env=self.env,
            secrets=self.secrets, timeout=None if self.timeout == TIMEOUT else self.timeout,
        )  # fmt: skip
