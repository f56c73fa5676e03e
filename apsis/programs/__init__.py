"""Programs: what a run carries out. Each type is a module; `registry` finds it by its name."""

from apsis.programs.noop import NoOp
from apsis.programs.process import ProcessProgram
from apsis.programs.program import Program, ProgramSpec

__all__ = ["NoOp", "ProcessProgram", "Program", "ProgramSpec"]
