"""The program type `program`: a list of words, started without a shell."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.forms import list_of, text
from apsis.programs.options import Options
from apsis.programs.process import ProcessProgram
from apsis.programs.templated import BindError, Expand


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgvSpec:
    """A `program` as a job file has it."""

    type: ClassVar[str] = "program"

    argv: tuple[str, ...]
    options: Options = field(default_factory=Options)

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Take the keys of a `program`."""
        return cls(argv=tuple(fields.required("argv", argv_words) or ()), options=Options.read(fields))

    def bind(self, expand: Expand) -> ProcessProgram:
        """Return the program for one run; raises BindError."""
        argv = tuple(expand(word, f"program.argv[{index}]") for index, word in enumerate(self.argv))
        for index, word in enumerate(argv):
            if "\0" in word:
                raise BindError(f"program.argv[{index}]", "a word cannot contain a NUL character")
        if not argv[0]:
            raise BindError("program.argv[0]", "the name of the program is empty")
        bound = self.options.bind(expand)
        return ProcessProgram(type=self.type, argv=argv, **{key: getattr(bound, key) for key in bound.__slots__})

    def texts(self) -> dict[str, str]:
        """Return each text in which templates are expanded, by the path of its key."""
        return {**{f"program.argv[{index}]": word for index, word in enumerate(self.argv)}, **self.options.texts()}

    def to_json(self) -> dict[str, Any]:
        """Return it as a job shows it."""
        return {"type": self.type, "argv": list(self.argv), **self.options.to_json()}


def argv_words(value: Any) -> list[str]:
    """Return the words of a program; the form for `argv`."""
    if isinstance(value, str):
        raise FormError(
            f"expected a list of words, got the text {shown(value)}; a command line is `command` of type `shell`"
        )
    words = list_of(text)(value)
    if not words or not words[0]:
        raise FormError("the list is empty; its first word is the program to start")
    for index, word in enumerate(words):
        if "\0" in word:
            raise FormError("a word cannot contain a NUL character", (index,))
    return words
