"""The program type `shell`: a command for `/bin/bash -c`, or for another shell."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.forms import boolean, name
from apsis.programs.options import Options
from apsis.programs.process import ProcessProgram
from apsis.programs.templated import BindError, Expand

DEFAULT_SHELL: Final = "/bin/bash"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellSpec:
    """A `shell` as a job file has it."""

    type: ClassVar[str] = "shell"

    command: str
    shell: str = DEFAULT_SHELL
    login: bool = False
    options: Options = field(default_factory=Options)

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Take the keys of a `shell`."""
        return cls(
            command=fields.required("command", command_text),
            shell=fields.optional("shell", name, DEFAULT_SHELL),
            login=fields.optional("login", boolean, False),
            options=Options.read(fields),
        )

    def bind(self, expand: Expand) -> ProcessProgram:
        """Return the program for one run; raises BindError."""
        command = expand(self.command, "program.command")
        if "\0" in command:
            raise BindError("program.command", "a command cannot contain a NUL character")
        bound = self.options.bind(expand)
        return ProcessProgram(
            type=self.type,
            argv=(self.shell, *(("-l",) if self.login else ()), "-c", command),
            command=command,
            **{key: getattr(bound, key) for key in bound.__slots__},
        )

    def texts(self) -> dict[str, str]:
        """Return each text in which templates are expanded, by the path of its key."""
        return {"program.command": self.command, **self.options.texts()}

    def to_json(self) -> dict[str, Any]:
        """Return it as a job shows it."""
        shown_shell: dict[str, Any] = {"shell": self.shell} if self.shell != DEFAULT_SHELL else {}
        if self.login:
            shown_shell["login"] = True
        return {"type": self.type, "command": self.command, **shown_shell, **self.options.to_json()}


def command_text(value: Any) -> str:
    """Return a shell command; the form for `command`."""
    if not isinstance(value, str):
        raise FormError(
            f"expected a command as one text, got {shown(value)}; a list of words is `argv` of type `program`"
        )
    if not value.strip():
        raise FormError("the command is empty")
    if "\0" in value:
        raise FormError("a command cannot contain a NUL character")
    return value
