"""What a journal and its lock mean: the table of what is to be done about a run. Pure."""

from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

import msgspec

from apsis.runs.run import Exit, Usage
from apsis_services.supervisor.facts import Ending, Facts, Phase
from apsis_services.supervisor.zygote.journal import JournalState

#: seconds that a zygote has to adopt a run whose shim has died, before it is looked into
ADOPTION: Final = 3.0


class Holder(Enum):
    """Who answers for a run."""

    HELD = auto()
    #: nobody holds the journal, for less than `ADOPTION` seconds
    JUST_FREE = auto()
    FREE = auto()
    #: nobody holds it, and the machine has been booted since
    OTHER_BOOT = auto()


class Verdict(Enum):
    """What is to be done about a run that has not settled."""

    #: more will come from its holder
    WAIT = auto()
    #: look whether anything of it lives; if not, it is lost
    SEARCH = auto()
    #: the shim died after the result: end what is left and write `done`
    FINISH = auto()
    LOST_IN_REBOOT = auto()
    #: nothing more comes
    SETTLED = auto()


V = Verdict
_ROWS: Final = MappingProxyType({
    # phase      held       just free  free       other boot
    "claim":   (V.WAIT,    V.WAIT,    V.SEARCH,  V.LOST_IN_REBOOT),
    "started": (V.WAIT,    V.WAIT,    V.SEARCH,  V.LOST_IN_REBOOT),
    "result":  (V.WAIT,    V.WAIT,    V.FINISH,  V.FINISH),
    "done":    (V.SETTLED, V.SETTLED, V.SETTLED, V.SETTLED),
    "revoked": (V.SETTLED, V.SETTLED, V.SETTLED, V.SETTLED),
})  # fmt: skip
TABLE: Final = MappingProxyType(
    {(phase, holder): verdict for phase, row in _ROWS.items() for holder, verdict in zip(Holder, row, strict=True)}
)

#: why a run without a holder, of which nothing lives, is lost
REASONS: Final = MappingProxyType(
    {
        "claim": "unknown whether it started: its shim died around the start",
        "started": "exit status unknown: its shim and the zygote died while it ran",
    }
)
LOST_IN_REBOOT: Final = "lost in reboot"


@dataclass(frozen=True, slots=True)
class Situation:
    """A journal as read, and how long it has had no holder (seconds; 0 while it is held)."""

    state: JournalState
    boot: str
    free_for: float

    @property
    def holder(self) -> Holder:
        """Who answers for the run."""
        if self.state.locked:
            return Holder.HELD
        if self.state.boot != self.boot:
            return Holder.OTHER_BOOT
        return Holder.FREE if self.free_for >= ADOPTION else Holder.JUST_FREE

    @property
    def verdict(self) -> Verdict:
        """What is to be done."""
        return TABLE[self.state.phase, self.holder]


_PHASES: Final = MappingProxyType(
    {
        "claim": Phase.CLAIMED,
        "started": Phase.STARTED,
        "result": Phase.RESULT,
        "done": Phase.DONE,
        "revoked": Phase.REVOKED,
    }
)


def facts_of(state: JournalState) -> Facts:
    """Return what the core decides by. The journal has a phase (it is not `none`)."""
    phase = _PHASES[state.phase]
    claim, revoked = state.claim, state.revoked
    if claim is None:
        at, dispatch = (revoked["at"], revoked["dispatch"]) if revoked else ("", 0)
        return Facts(phase=phase, dispatch=dispatch, at=at, claimed=at)
    return Facts(
        phase=phase,
        dispatch=claim["dispatch"],
        job_id=claim["job_id"],
        schedule_time=claim["schedule_time"],
        args_hash=claim["args_hash"],
        args=claim["args"],
        at=_moment(state),
        pid=state.pid or 0,
        ending=_ending(state),
        stuck_at=state.stuck["at"] if state.stuck else "",
        stuck=state.stuck["state"] if state.stuck else "",
        claimed=claim["at"],
        memo=claim.get("memo") or {},
    )


def streams_of(state: JournalState) -> tuple[str, ...]:
    """Return the names of a run's output files; its journal has a claim."""
    assert state.claim is not None
    return ("output",) if state.claim["streams"] == "merged" else ("stdout", "stderr")


def _moment(state: JournalState) -> str:
    if state.revoked:
        return state.revoked["at"]
    if state.started:
        return state.started["at"]
    return state.claim["at"] if state.claim else ""


def _ending(state: JournalState) -> Ending | None:
    result, done = state.result, state.done
    if result is None or done is None:
        return None
    return Ending(
        start=result["start"],
        end=result["end"],
        elapsed=result["elapsed"],
        exit=Exit(code=result["code"], signal=result["signal"], error=result["error"], killed_by=result["killed_by"]),
        stopped=result["stopped"],
        timed_out=result["timed_out"],
        rusage=_usage(done["rusage"] or result["rusage"]),
        outputs=done["outputs"],
        leftovers=done["leftovers"],
    )


_SECONDS: Final = frozenset({"utime", "stime"})


def _usage(rusage: dict[str, float]) -> Usage | None:
    """Return what was used; None where the journal says nothing of it: zeros would be an answer."""
    if not rusage:
        return None
    return msgspec.convert({name: value if name in _SECONDS else int(value) for name, value in rusage.items()}, Usage)
