"""Where the tree of a run begins; known without the library that looks at processes."""

from dataclasses import dataclass

from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.zygote.identity import Identity


@dataclass(frozen=True, slots=True)
class Root:
    """Where a run's tree begins: the program, and the shim that inherits what loses its parent."""

    key: Key
    program: Identity
    #: None: the zygote holds the run, and has the children of others too
    shim: Identity | None
