"""The condition `command`: a command that ends with 0 when it is so. On the machine of the scheduler, as its user."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from apsis.conditions.asked import Asked, Pace
from apsis.conditions.binding import Binding
from apsis.conditions.file import absolute
from apsis.definitions.fields import Fields, FormError
from apsis.definitions.forms import name, text
from apsis.programs.argv import argv_words
from apsis.programs.templated import BindError, bound

_SHELL = ("/bin/bash", "-c")
_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """A `command` as a job file has it: `command`, a line for bash, or `argv`; all may be templates."""

    type: ClassVar[str] = "command"

    command: str | None = None
    argv: tuple[str, ...] = ()
    cwd: str | None = None
    pace: Pace = field(default_factory=Pace)

    @classmethod
    def read(cls, fields: Fields) -> "CommandSpec":
        """Take the keys of a `command`."""
        argv = tuple(fields.optional("argv", argv_words, []))
        if argv and "command" in fields:
            fields.refuse("argv", "there is `command` already; give one of the two")
        command = fields.optional("command", _line, None) if argv else fields.required("command", _line)
        cwd = fields.optional("cwd", name, None)
        return cls(command=command, argv=argv, cwd=cwd, pace=Pace.read(fields))

    def bind(self, binding: Binding, key: str) -> Asked:
        """Return the condition for one run."""
        if self.command is not None:
            line = binding.expand(self.command, f"{key}.command")
            argv = [*_SHELL, line]
        else:
            argv = [binding.expand(word, f"{key}.argv[{index}]") for index, word in enumerate(self.argv)]
            line = " ".join(argv)
        if any("\0" in word for word in argv):
            raise BindError(f"{key}.command", "a command cannot contain a NUL character")
        keys: dict[str, Any] = {"argv": argv}
        if self.cwd is not None:
            keys["cwd"] = bound(absolute, binding.expand(self.cwd, f"{key}.cwd"), f"{key}.cwd")
        first = " ".join(line.split())
        shown = first if len(first) <= _SHOWN else f"{first[: _SHOWN - 3]}..."
        return Asked(
            type=self.type,
            keys=keys,
            text=f"`{shown}` ends with 0",
            interval=self.pace.interval,
            timeout=self.pace.timeout,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as a job shows it."""
        shown: dict[str, Any] = {"type": self.type}
        shown |= {"argv": list(self.argv)} if self.command is None else {"command": self.command}
        if self.cwd is not None:
            shown["cwd"] = self.cwd
        return {**shown, **self.pace.to_json()}


def _line(value: Any) -> str:
    found = text(value)
    if not found.strip():
        raise FormError("the command is empty")
    return found
