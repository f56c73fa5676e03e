"""What a command about one run leads to, by the phase that the run is in: one table."""

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from apsis.messages.dispatch import Revoke, Signal, Start, Stop
from apsis_services.supervisor.facts import Phase

RunCommand = Start | Stop | Signal | Revoke


class Do(Enum):
    """What a command leads to."""

    ANSWER = auto()
    #: answer, unless the start differs from the claim
    COMPARE = auto()
    #: answer when the zygote or the file system has answered
    WAIT = auto()
    BEGIN = auto()
    CLAIM = auto()
    STOP = auto()
    SIGNAL = auto()


P = Phase
_COLUMNS: Final = (P.NONE, P.STARTING, P.CLAIMING, P.CLAIMED, P.STARTED, P.RESULT, P.DONE, P.REVOKED, P.SETTLED)
_ROWS: Final[Mapping[type[RunCommand], tuple[Do, ...]]] = MappingProxyType({
    # on      none      starting claiming claimed     started     result      done        revoked    settled
    Start:  (Do.BEGIN,  Do.WAIT, Do.WAIT, Do.COMPARE, Do.COMPARE, Do.COMPARE, Do.COMPARE, Do.ANSWER, Do.ANSWER),
    Stop:   (Do.CLAIM,  Do.WAIT, Do.WAIT, Do.STOP,    Do.STOP,    Do.STOP,    Do.ANSWER,  Do.ANSWER, Do.ANSWER),
    Signal: (Do.ANSWER, Do.WAIT, Do.WAIT, Do.ANSWER,  Do.SIGNAL,  Do.ANSWER,  Do.ANSWER,  Do.ANSWER, Do.ANSWER),
    Revoke: (Do.CLAIM,  Do.WAIT, Do.WAIT, Do.ANSWER,  Do.ANSWER,  Do.ANSWER,  Do.ANSWER,  Do.ANSWER, Do.ANSWER),
})  # fmt: skip
TABLE: Final = MappingProxyType(
    {(kind, phase): deed for kind, row in _ROWS.items() for phase, deed in zip(_COLUMNS, row, strict=True)}
)
