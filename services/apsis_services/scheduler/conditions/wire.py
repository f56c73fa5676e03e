"""What scheduler, evaluator and worker say to each other: JSON in frames of four bytes that say how long it is."""

import struct
from typing import Any, Final

import msgspec

#: bytes of one frame; a condition has the size of a run's args at most, some times over
FRAME_MAX: Final = 8 << 20
_HEAD: Final = struct.Struct(">I")


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """Scheduler to evaluator: look at a condition of a run until it holds, in place of what was asked before."""

    run_id: str
    index: int
    #: as `Asked.to_json` gives it
    condition: dict[str, Any]
    job_id: str
    args: dict[str, str] = {}
    schedule_time: str | None = None


class Drop(msgspec.Struct, frozen=True, kw_only=True, tag="drop"):
    """Scheduler to evaluator: the run waits for no such condition any more."""

    run_id: str


class Found(msgspec.Struct, frozen=True, kw_only=True, tag="found"):
    """Evaluator to scheduler: what was found; `waits` is told only where it is another finding than before."""

    run_id: str
    index: int
    #: `holds`, `waits` or `fails`
    what: str
    text: str = ""


class Alive(msgspec.Struct, frozen=True, tag="alive"):
    """Evaluator to scheduler, from time to time: it is not stuck itself."""


class Begun(msgspec.Struct, frozen=True, kw_only=True, tag="begun"):
    """Worker to evaluator: all is imported and made, and the look itself begins."""

    #: seconds that it may take; None: a class that waits itself, however long
    timeout: float | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag="outcome"):
    """Worker to evaluator: the end of a look."""

    #: `holds`, `waits` or `fails`
    what: str
    text: str = ""
    #: seconds to the next look; None: what the condition says
    again: float | None = None
    #: (folder, name in it) that are to be watched; None: that is not possible here
    watch: list[tuple[str, str]] | None = None


def framed(body: msgspec.Struct) -> bytes:
    """Return a body as it is sent."""
    data = msgspec.json.encode(body)
    return _HEAD.pack(len(data)) + data


class Unframed:
    """Takes bytes as they come, and gives whole bodies."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes, and return the bodies that are whole now.

        Raises:
            ValueError: they are no frames.
        """
        self._data += data
        found = []
        while len(self._data) >= _HEAD.size:
            (length,) = _HEAD.unpack_from(self._data)
            if length > FRAME_MAX:
                raise ValueError(f"a frame of {length} bytes")
            if len(self._data) < _HEAD.size + length:
                break
            found.append(bytes(self._data[_HEAD.size : _HEAD.size + length]))
            del self._data[: _HEAD.size + length]
        return found
