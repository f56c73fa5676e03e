"""What the core knows of a run: its key, its phase, and what its journal says. Plain values, no files."""

from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from apsis.runs.run import Exit, Usage


class Key(NamedTuple):
    """Names a run on this host for ever: the number of the database it came from, and its id there."""

    journal: int
    run_id: str

    def __str__(self) -> str:
        return f"{self.journal:016x}-{self.run_id}"


class Phase(StrEnum):
    """How far a run's journal has come; the words are those of `Answer.state`."""

    #: no journal
    NONE = "none"
    #: its start is with the zygote
    STARTING = "starting"
    #: its claim is being taken, so that it can never start
    CLAIMING = "claiming"
    CLAIMED = "claimed"
    STARTED = "started"
    #: the program has ended, its leftovers have not
    RESULT = "result"
    DONE = "done"
    REVOKED = "revoked"
    #: archived, or at or below the floor
    SETTLED = "settled"


#: asked of the zygote or of the file system, and not answered yet
IN_FLIGHT: Final = frozenset({Phase.STARTING, Phase.CLAIMING})
#: the phases that nothing follows
ENDED: Final = frozenset({Phase.DONE, Phase.REVOKED})


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended, as its journal states it; times are UTC strings, `elapsed` seconds."""

    start: str | None
    end: str
    elapsed: float
    exit: Exit
    stopped: bool = False
    timed_out: bool = False
    #: None: not known
    rusage: Usage | None = None
    outputs: dict[str, int] = {}
    leftovers: int = 0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A journal's content, as far as the core decides by it.

    A revoked journal may name no job: the stop that took the claim did not know it.
    """

    phase: Phase
    dispatch: int = 0
    job_id: str = ""
    schedule_time: str | None = None
    args_hash: str = ""
    args: dict[str, str] = {}
    #: when the present phase was reached, for the phases that are reported without an ending
    at: str = ""
    pid: int = 0
    ending: Ending | None = None
    #: when it was seen that the program does not end although it is killed, and its state then; empty: not so
    stuck_at: str = ""
    stuck: str = ""
    #: when it was claimed
    claimed: str = ""
    #: of its `Start`
    memo: dict[str, Any] = {}
