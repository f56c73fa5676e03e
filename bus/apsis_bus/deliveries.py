"""What a peer hands to its service, and the errors of asking; nothing here knows a socket."""

from collections.abc import Callable
from dataclasses import dataclass, field

from apsis.errors import ApsisError, Unavailable
from apsis.messages.body import Body, encode
from apsis_bus.frames import NO, OK, refusal

#: sends an answer: verb, msgid, to, body, payload
Answers = Callable[[bytes, bytes, str, bytes, bytes | None], None]


@dataclass(frozen=True, slots=True)
class Published:
    """One message of the fan-out; id 0 is ephemeral."""

    topic: str
    id: int
    journal: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """What was sent did not arrive: `unroutable`, `denied`, `busy`, `lost`, ...

    `body` is the JSON with which a service explains itself, or `null`.
    """

    to: str
    code: str
    msgid: bytes
    body: bytes
    message: str = ""


@dataclass(slots=True)
class Delivery:
    """Something that another peer sent here by SEND, REPLAY or SNAP; answer it at most once, or never."""

    verb: str
    sender: str
    msgid: bytes
    body: bytes
    payload: bytes | None
    bulk: bool
    _answer: Answers = field(repr=False)

    def ok(self, body: Body, payload: bytes | None = None) -> None:
        """Answer that it is done."""
        self._answer(OK, self.msgid, self.sender, encode(body), payload)

    def no(self, code: str, body: Body | str = "") -> None:
        """Answer that nothing was done; the body says why, in words or as a message."""
        if isinstance(body, str):
            self._answer(NO, self.msgid, self.sender, refusal(code, body), None)
        else:
            self._answer(NO, self.msgid, self.sender, refusal(code, detail=body), None)


class BusRefused(ApsisError):
    """Nothing was done. `code` is the refusal's, `body` the JSON of what explains it (`null` if nothing does).

    `lost`: the hub went away with the request; it may have been done.
    """

    def __init__(self, code: str, body: bytes = b"null", message: str = "") -> None:
        super().__init__(f"refused ({code}): {message}" if message else f"refused ({code})")
        self.code = code
        self.body = body


class BusTimeout(Unavailable):
    """No answer came in time; it may have been done all the same."""

    def __init__(self, to: str, seconds: float) -> None:
        super().__init__(f"{to} did not answer within {seconds:g} s", hint="`apsisctl status` shows what runs")


class BusTooLarge(ApsisError):
    """A frame is larger than the bus carries."""

    code = "large"

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(f"{what} has {size} bytes and may have {limit}", hint="send it in pieces")
