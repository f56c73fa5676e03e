"""What the service asks of a worker, and what it is answered: frames of four bytes of length and JSON."""

from enum import StrEnum
from typing import Final

import msgspec

from apsis.actions.command import LONGEST, TIMEOUT
from apsis.config import Smtp
from apsis_services.alerts.letters import Letter

#: bytes of a frame's length, big endian
HEAD: Final = 4
#: bytes of a frame; an output goes with a letter, as text of base64
FRAME_MAX: Final = 64 << 20


def limit_of(letter: Letter) -> float:
    """Return the seconds that the program of an action may take; a class has a limit of its own, within these."""
    return float(letter.action.get("timeout", TIMEOUT)) if letter.kind == "command" else LONGEST


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Deliver a letter, once."""

    letter: Letter
    home: str
    job_dir: str
    smtp: Smtp
    #: seconds for a webhook's receiver
    timeout: float
    #: what may be reached though it is not public
    allow: list[str]
    #: name of a secret: its file
    secrets: dict[str, str]
    #: the class of a custom action
    path: str = ""
    #: the end of what the run printed; None: it is not needed
    output: bytes | None = None
    #: what is to be said of it: that it is cut, or could not be had
    remark: str = ""


class Verdict(StrEnum):
    """How an attempt went."""

    DELIVERED = "delivered"
    #: not now, and nothing else there either
    UNREACHABLE = "unreachable"
    #: not now, which says nothing of other letters
    AGAIN = "again"
    #: never
    REFUSED = "refused"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt."""

    verdict: Verdict
    #: for a person, as the other side said it
    text: str
    #: seconds for which the receiver does not want to be asked again
    after: float | None = None
    #: part of it has arrived; this is what has not
    left: Letter | None = None
