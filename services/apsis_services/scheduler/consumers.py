"""The registered consumers of events: services for whom the events after their cursor are kept. Pure.

What is not told for 30 days is dropped: a service that was taken away for good would else keep all events for ever.
"""

import re
from typing import Final

import msgspec

#: microseconds without a word after which a consumer is dropped
SILENT: Final = 30 * 86_400_000_000
#: as many as there may be
MOST: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Place(msgspec.Struct, frozen=True, array_like=True):
    """How far one has come, and when it said so (microseconds)."""

    cursor: int
    heard: int


class Consumers:
    """Who reads how far; made from, and stored as, one text."""

    def __init__(self, text: str = "") -> None:
        """Take up what was stored; raises msgspec.MsgspecError if it is no such text."""
        self._places: dict[str, Place] = msgspec.json.decode(text, type=dict[str, Place]) if text else {}

    def hear(self, name: str, cursor: int, now: int) -> str:
        """Take a consumer's word; return why it cannot be taken, or an empty text."""
        if not _NAME.fullmatch(name):
            return "the name of a consumer has 1 to 64 letters, digits and ._-"
        if name not in self._places and len(self._places) >= MOST:
            return f"there are {MOST} consumers already"
        self._places[name] = Place(cursor, now)
        return ""

    def drop_silent(self, now: int) -> dict[str, Place]:
        """Drop and return those that have said nothing for too long."""
        silent = {name: place for name, place in self._places.items() if now - place.heard > SILENT}
        for name in silent:
            del self._places[name]
        return silent

    def knows(self, name: str) -> bool:
        """Whether a consumer is registered."""
        return name in self._places

    @property
    def floor(self) -> int | None:
        """Events after this are kept; None: nobody needs any."""
        return min((place.cursor for place in self._places.values()), default=None)

    def text(self) -> str:
        """Return all of it as text, to be stored."""
        return msgspec.json.encode(dict(sorted(self._places.items()))).decode()
