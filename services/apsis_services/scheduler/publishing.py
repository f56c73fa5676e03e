"""Committed events on their way to XPUB: what is too large for it is published without its large parts."""

from typing import Any, Final, Protocol

from msgspec.structs import replace

from apsis.messages.body import encode
from apsis.messages.events import Event, RunEvent

#: bytes of a published body
BODY_AT_MOST: Final = 16 * 1024


class Publishes(Protocol):
    """Fans out."""

    def publish(self, topic: str, event_id: int, journal: int, body: bytes) -> None:
        """Send a body to all who hear its topic; may be lost."""
        ...


def publish(peer: Publishes, journal: int, written: list[tuple[str, int, bytes]], events: list[Event]) -> None:
    """Publish what was committed, in order. What cannot be made small enough is left for REPLAY to give."""
    for (topic, number, body), event in zip(written, events, strict=True):
        small: bytes | None = body
        if len(body) > BODY_AT_MOST:
            small = _elided(event)
        if small is not None:
            peer.publish(topic, number, journal, small)


def _elided(event: Event) -> bytes | None:
    if not isinstance(event, RunEvent) or event.run is None:
        return None
    empty: dict[str, Any] = {"args": {}, "program": {}, "conditions": [], "actions": []}
    body = encode(replace(event, run=replace(event.run, **empty), elided=True))
    return body if len(body) <= BODY_AT_MOST else None
