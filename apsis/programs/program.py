"""Programs as written (with templates) and as bound for one run (plain)."""

from typing import Any, Protocol

from apsis.programs.noop import NoOp
from apsis.programs.process import ProcessProgram
from apsis.programs.templated import Expand

#: what a run carries out
Program = ProcessProgram | NoOp


class ProgramSpec(Protocol):
    """A program as a job file has it."""

    @property
    def type(self) -> str:
        """The word in the job file: `shell`, `program`, `no-op`."""
        ...

    def bind(self, expand: Expand) -> Program:
        """Return the program for one run, its templates expanded.

        Raises:
            BindError: a template does not fit, or gives no duration, signal or number where one is needed.
        """
        ...

    def texts(self) -> dict[str, str]:
        """Return each text in which templates are expanded, by the path of its key."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return it as a job file would have it; without the values of environment variables."""
        ...
