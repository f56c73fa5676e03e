"""The program type `python`: a function, called in a process and an interpreter of its own."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.forms import name
from apsis.extensions import DOTTED
from apsis.programs.base import NOT_CARRIED_OUT
from apsis.programs.options import Options
from apsis.programs.process import ProcessProgram
from apsis.programs.templated import BindError, Expand
from apsis.programs.values import expanded, mapping, texts_of

#: run as a file by an interpreter that has no Apsis
_RUNNER: Final = str(Path(__file__).with_name("runner.py"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSpec:
    """A `python` as a job file has it."""

    type: ClassVar[str] = "python"

    function: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    python: str | None = None
    options: Options = field(default_factory=Options)

    @classmethod
    def read(cls, fields: Fields) -> "PythonSpec":
        """Take the keys of a `python`."""
        return cls(
            function=fields.required("function", _function),
            kwargs=fields.optional("kwargs", mapping, {}),
            python=fields.optional("python", name, None),
            options=Options.read(fields),
        )

    def bind(self, expand: Expand) -> ProcessProgram:
        """Return the program for one run; raises BindError."""
        kwargs = expanded(self.kwargs, "program.kwargs", expand)
        bound = self.options.bind(expand)
        if self.python is None:
            bound = bound.by_our_interpreter()
            words = module_words("apsis.programs.runner")
        else:
            interpreter = expand(self.python, "program.python")
            if not interpreter or "\0" in interpreter:
                raise BindError("program.python", f"expected the path of an interpreter, got {interpreter!r}")
            words = (interpreter, _RUNNER)
        return ProcessProgram(
            type=self.type,
            argv=(*words, "function", self.function, payload({"kwargs": kwargs})),
            details={"function": self.function, "kwargs": kwargs},
            error_exit_codes=(NOT_CARRIED_OUT,),
            **{key: getattr(bound, key) for key in bound.__slots__},
        )

    def texts(self) -> dict[str, str]:
        """Return each text in which templates are expanded, by the path of its key."""
        found = texts_of(self.kwargs, "program.kwargs")
        if self.python is not None:
            found["program.python"] = self.python
        return found | self.options.texts()

    def to_json(self) -> dict[str, Any]:
        """Return it as a job shows it."""
        shown_python = {} if self.python is None else {"python": self.python}
        return {
            "type": self.type, "function": self.function, "kwargs": self.kwargs, **shown_python,
            **self.options.to_json(),
        }  # fmt: skip


def module_words(module: str) -> tuple[str, ...]:
    """Return the words that run a module of ours by the interpreter that Apsis runs by, whatever lies where it runs."""
    return (sys.executable, "-P", "-m", module)


def payload(value: Any) -> str:
    """Return a value as the last word of a command line."""
    return json.dumps(value, ensure_ascii=False)


def _function(value: Any) -> str:
    if not isinstance(value, str) or ":" not in value or not DOTTED.fullmatch(value):
        raise FormError(f"expected package.module:name, got {shown(value)}")
    return value
