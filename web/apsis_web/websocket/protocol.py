"""The frames of the websocket. `docs/websocket.md` is the authoritative page."""

from enum import IntEnum
from typing import Any, Final

import msgspec

from apsis.errors import ApsisError
from apsis.filters import FilterError
from apsis.messages.body import encode

SUBPROTOCOL: Final = "apsis.v1.json"
VERSION: Final = 1
#: seconds between two pings of the server
HEARTBEAT: Final = 20
INBOUND_MAX: Final = 64 * 1024
SUBS_MAX: Final = 32
#: frames a second that a client may send for long, and at once
RATE: Final = 20
BURST: Final = 60
#: connections at a time
CONNECTIONS_MAX: Final = 1_000


class Close(IntEnum):
    """Why the server closed."""

    BAD_MESSAGE = 4400
    UNAUTHORIZED = 4401
    VERSION = 4406
    SLOW = 4408
    DUPLICATE = 4409
    TOO_MANY = 4429
    FAILED = 1011
    RESTART = 1012


class WindowOrder(msgspec.Struct, frozen=True):
    """Which stretch of the runs is wanted."""

    order: str = "asc"
    anchor: str = "now"
    before: int = 100
    after: int = 100


class ClientFrame(msgspec.Struct, frozen=True, tag_field="t"):
    """A frame of the client; unknown fields are ignored."""


class Sub(ClientFrame, frozen=True, tag="sub"):
    """Subscribe."""

    id: int
    topic: str
    q: str = ""
    run: str = ""
    window: WindowOrder = WindowOrder()


class Window(ClientFrame, frozen=True, tag="window"):
    """Look at another stretch of the runs."""

    id: int
    window: WindowOrder


class Unsub(ClientFrame, frozen=True, tag="unsub"):
    """End a subscription."""

    id: int


class Ping(ClientFrame, frozen=True, tag="ping"):
    """Ask for a sign of life."""

    n: int = 0


class ResumedSub(msgspec.Struct, frozen=True):
    """A subscription that the client held before its connection broke."""

    id: int
    topic: str
    seq: int = -1
    q: str = ""
    run: str = ""
    window: WindowOrder = WindowOrder()
    #: the ends of the window as last told; None: the client did not keep them
    range: tuple[str | None, str | None] | None = None


class Resume(ClientFrame, frozen=True, tag="resume"):
    """Take up again what was held."""

    inst: str
    subs: list[ResumedSub]


Frame = Sub | Window | Unsub | Ping | Resume
_decoder: Final = msgspec.json.Decoder(Frame)
_any: Final = msgspec.json.Decoder(dict[str, Any])


class NoFrame(ApsisError):
    """Something came that is not even a JSON object."""

    code = "bad_message"


class BadFrame(ApsisError):
    """A frame that cannot be understood; the connection goes on."""

    code = "bad_frame"

    def __init__(self, message: str, sub_id: int | None) -> None:
        super().__init__(message, hint="see docs/websocket.md")
        self.sub_id = sub_id


def read_frame(data: str | bytes) -> Frame:
    """Return a frame of the client.

    Raises:
        NoFrame: it is no JSON object.
        BadFrame: it is one, and not understood.
    """
    try:
        frame: Frame = _decoder.decode(data)
    except msgspec.ValidationError as error:
        try:
            sub_id = _any.decode(data).get("id")
        except msgspec.ValidationError:
            raise NoFrame("a frame is a JSON object") from None
        raise BadFrame(str(error), sub_id if isinstance(sub_id, int) else None) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoFrame(f"a frame is a JSON object: {error}") from None
    return frame


def error_frame(sub_id: int | None, error: ApsisError) -> bytes:
    """Return the frame that tells of a refusal."""
    frame: dict[str, Any] = {
        "t": "err", "id": sub_id, "code": error.code, "msg": error.message, "hint": error.hint,
    }  # fmt: skip
    if isinstance(error, FilterError):
        frame["at"] = list(error.at)
    return encode(frame)
