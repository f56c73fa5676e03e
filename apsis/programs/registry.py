"""Program types by their names, and the reading of the key `program`. A type's module is imported when it is used."""

from typing import Any, Final, Protocol, cast

from apsis.definitions.fields import Fields, shown
from apsis.definitions.kinds import find_kind
from apsis.programs.program import ProgramSpec

#: name: module and class. A further type is one more line.
TYPES: Final = {
    "no-op": "apsis.programs.noop:NoOpSpec",
    "program": "apsis.programs.argv:ArgvSpec",
    "shell": "apsis.programs.shell:ShellSpec",
    "procstar": "apsis.programs.procstar:ProcstarSpec",
    "procstar-shell": "apsis.programs.procstar:ProcstarShellSpec",
    "python": "apsis.programs.python:PythonSpec",
    "http": "apsis.programs.http:HttpSpec",
    "stats": "apsis.programs.internal:StatsSpec",
    "archive": "apsis.programs.internal:ArchiveSpec",
    "vacuum": "apsis.programs.internal:VacuumSpec",
    "retention": "apsis.programs.internal:RetentionSpec",
    # as existing installations name them
    "apsis.program.internal.stats.StatsProgram": "apsis.programs.internal:StatsSpec",
    "apsis.program.internal.archive.ArchiveProgram": "apsis.programs.internal:ArchiveSpec",
    "apsis.program.internal.vacuum.VacuumProgram": "apsis.programs.internal:VacuumSpec",
}
#: reads what users bring
CUSTOM: Final = "apsis.programs.custom:CustomSpec"


class ProgramType(Protocol):
    """What a program class has for the registry."""

    def read(self, fields: Fields) -> ProgramSpec:
        """Take the keys of the type."""
        ...


def spelled_out(value: Any) -> Any:
    """Return a program in the long form: a text is a shell command, a list is an argv."""
    if isinstance(value, str):
        return {"type": "shell", "command": value}
    if isinstance(value, list):
        return {"type": "program", "argv": value}
    return value


def read_program(fields: Fields) -> ProgramSpec | None:
    """Take the key `program`, in the long form; None, with a finding, where it is no program."""
    if fields.value.get("program") is None:
        return fields.required("program", lambda value: cast(ProgramSpec, value))
    value = fields.value["program"]
    if not isinstance(value, dict):
        fields.take("program")
        fields.refuse("program", f"expected a mapping with `type`, a command, or a list of words, got {shown(value)}")
        return None
    nested = fields.nested("program", "the program")
    assert nested is not None
    kind: ProgramType | None = find_kind(nested, "program", TYPES, CUSTOM)
    if kind is None:
        fields.failed = True
        return None
    program = kind.read(nested)
    fields.join(nested)
    return None if nested.failed else program
