"""Frames: how a message stands on the wire, and the one table of verbs."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import msgspec

from apsis.messages.body import Body, decode, encode
from apsis_bus.limits import MAX_FRAMES, MAX_TO

VERSION: Final = b"A1"
#: message id of an answer to something that had none
NO_ID: Final = bytes(16)
HUB: Final = "hub"

_NUMBERS: Final = struct.Struct(">QQ")


class Role(StrEnum):
    """What a peer is, by its name."""

    SCHEDULER = "scheduler"
    SERVICE = "service"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that a peer may ask of the hub."""

    #: who may use it
    roles: frozenset[Role]
    #: handed on to the peer named in `to`, which answers; otherwise the hub itself deals with it
    routed: bool


_ALL: Final = frozenset(Role)
_OURS: Final = frozenset({Role.SCHEDULER, Role.SERVICE})

VERBS: Final[Mapping[bytes, Verb]] = MappingProxyType({
    b"HELLO":   Verb(_ALL,  routed=False),
    b"HB":      Verb(_ALL,  routed=False),
    b"SEND":    Verb(_OURS, routed=True),
    b"PUBLISH": Verb(_OURS, routed=False),
    b"REPLAY":  Verb(_ALL,  routed=True),
    b"SNAP":    Verb(_ALL,  routed=True),
    b"BYE":     Verb(_ALL,  routed=False),
})  # fmt: skip

#: what a routed verb is answered with; services alone are asked, so services alone answer
OK: Final = b"OK"
NO: Final = b"NO"
ANSWERS: Final = frozenset({OK, NO})


class Hello(Body, frozen=True, kw_only=True, tag="hello"):
    """Peer sends to `hub`, first of all on each connection: this is my name. OK carries `Admitted`."""

    name: str
    #: of a supervisor: its spool's epoch; another live epoch under the same name is refused as `conflict`
    epoch: str = ""
    pid: int = 0


class Admitted(Body, frozen=True, kw_only=True, tag="admitted"):
    """Hub answers `Hello`: the name is yours on this connection."""

    #: random, another one at each start of the hub
    hub: str
    #: seconds between heartbeats
    heartbeat: float


class Beat(Body, frozen=True, kw_only=True, tag="beat"):
    """Peer sends with HB, hub answers it: both live. With a mark: a receipt for all that was sent before it."""

    #: hub: say HB with this as soon as you have read it; peer: I have read everything up to this
    mark: str = ""


class No(Body, frozen=True, kw_only=True, tag="no"):
    """Whoever refuses answers with verb NO: nothing was done, and `code` says why."""

    code: str
    message: str = ""
    #: whom the refused message was for
    to: str = ""
    #: the body with which a service explains itself, e.g. `Failed`
    detail: msgspec.Raw = msgspec.Raw(b"null")


class BadFrame(Exception):
    """What came is no message; `code` is that of the NO that answers it."""

    def __init__(self, code: str, message: str, msgid: bytes = NO_ID) -> None:
        super().__init__(message)
        self.code = code
        self.msgid = msgid


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message between a peer and the hub. `peer` is `to` on the way to the hub and `from` on the way back."""

    verb: bytes
    msgid: bytes
    peer: str
    body: bytes
    payload: bytes | None = None


def pack(verb: bytes, msgid: bytes, peer: str, body: bytes, payload: bytes | None = None) -> list[bytes]:
    """Return the frames of a message."""
    frames = [VERSION, verb, msgid, peer.encode(), body]
    if payload is not None:
        frames.append(payload)
    return frames


def unpack(frames: Sequence[bytes]) -> Envelope:
    """Return the message that the frames hold.

    Raises:
        BadFrame: `version` or `frame`.
    """
    count = len(frames)
    msgid = frames[2] if count > 2 and len(frames[2]) == 16 else NO_ID
    if not frames or frames[0] != VERSION:
        raise BadFrame("version", "this bus speaks A1", msgid)
    if not 5 <= count <= MAX_FRAMES or len(frames[2]) != 16:
        raise BadFrame("frame", "a message is A1, verb, 16 bytes of id, to, JSON and perhaps a payload", msgid)
    if len(frames[3]) > MAX_TO:
        raise BadFrame("frame", f"a name or a topic has at most {MAX_TO} bytes", msgid)
    try:
        peer = frames[3].decode()
    except UnicodeDecodeError:
        raise BadFrame("frame", "the name of a peer is UTF-8", msgid) from None
    return Envelope(frames[1], msgid, peer, frames[4], frames[5] if count == MAX_FRAMES else None)


def pack_numbers(event_id: int, journal: int) -> bytes:
    """Return the second frame of a published message; event id 0 is ephemeral and never replayed."""
    return _NUMBERS.pack(event_id, journal)


def unpack_numbers(frame: bytes) -> tuple[int, int]:
    """Return (event id, journal).

    Raises:
        BadFrame: it is not 16 bytes.
    """
    if len(frame) != _NUMBERS.size:
        raise BadFrame("frame", "event id and journal are 8 bytes each, big endian")
    event_id, journal = _NUMBERS.unpack(frame)
    return event_id, journal


def refusal(code: str, message: str = "", *, to: str = "", detail: object = None) -> bytes:
    """Return the body of a NO."""
    return encode(No(code=code, message=message, to=to, detail=msgspec.Raw(encode(detail))))


def read_refusal(body: bytes) -> No:
    """Return the body of a NO; one that cannot be read is a refusal all the same."""
    try:
        no: Any = decode(No, body)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return No(code="frame", message="the refusal itself cannot be read")
    return no  # type: ignore[no-any-return]
