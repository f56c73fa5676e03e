"""A program of a class that users bring: a process of its own, which makes an instance and carries it out.

The class is imported where jobs are loaded and checked, and in no service: what it does when it is imported can hold
up neither the scheduler nor its runs.
"""

from dataclasses import dataclass, field
from typing import Any

from apsis.definitions.fields import Fields, FormError
from apsis.extensions import ExtensionError, check_keys, imports_classes, load_class, target
from apsis.programs.base import NOT_CARRIED_OUT, Program
from apsis.programs.options import Options
from apsis.programs.process import ProcessProgram
from apsis.programs.python import module_words, payload
from apsis.programs.templated import Expand
from apsis.programs.values import checked, expanded, texts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomSpec:
    """A class as a job file has it: its keys are those that are not Apsis's."""

    #: as the job has it: a dotted path, or a short name
    type: str
    keys: dict[str, Any] = field(default_factory=dict)
    options: Options = field(default_factory=Options)

    @classmethod
    def read(cls, fields: Fields) -> "CustomSpec":
        """Take the keys: those that every program has, and all others for the class."""
        options = Options.read(fields)
        keys: dict[str, Any] = {}
        for key in fields.untaken():
            try:
                keys[str(key)] = checked(fields.take(key), ())
            except FormError as error:
                fields.refuse(str(key), str(error), subpath=error.subpath)
        name = str(fields.value["type"])
        if imports_classes():
            try:
                check_keys(load_class(name, Program, "program"), keys, name)
            except ExtensionError as error:
                fields.refuse(
                    "type", f"{error.message}; {error.hint}" if error.hint else error.message, code=error.code
                )
        return cls(type=name, keys=keys, options=options)

    def bind(self, expand: Expand) -> ProcessProgram:
        """Return the program for one run; raises BindError."""
        keys = expanded(self.keys, "program", expand)
        bound = self.options.bind(expand).by_our_interpreter()
        # whoever carries it out knows no short names: it reads no config
        path = target(self.type, "program") or self.type
        given = {"keys": keys, "stop": bound.stop.signal}
        return ProcessProgram(
            type=self.type,
            argv=(*module_words("apsis.programs.runner"), "class", path, payload(given)),
            details={"keys": keys},
            error_exit_codes=(NOT_CARRIED_OUT,),
            **{key: getattr(bound, key) for key in bound.__slots__},
        )

    def texts(self) -> dict[str, str]:
        """Return each text in which templates are expanded, by the path of its key."""
        return {**texts_of(self.keys, "program"), **self.options.texts()}

    def to_json(self) -> dict[str, Any]:
        """Return it as a job shows it."""
        return {"type": self.type, **self.keys, **self.options.to_json()}
