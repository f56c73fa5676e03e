"""A link: one connection of a peer to one life of the hub, from HELLO to the cut. A new one is made after each cut."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import zmq

from apsis.messages.body import decode, encode
from apsis.messages.events import Welcome
from apsis_bus import topics
from apsis_bus.deliveries import Published
from apsis_bus.endpoints import BULK, CONTROL, FANOUT, Endpoints
from apsis_bus.frames import (
    HUB,
    NO,
    NO_ID,
    OK,
    BadFrame,
    Beat,
    Envelope,
    Hello,
    pack,
    read_refusal,
    unpack,
    unpack_numbers,
)
from apsis_bus.limits import BULK_QUEUE, QUEUE
from apsis_bus.wire import Wire

_FRAMES_PUBLISHED: Final = 3
#: refusals of the hub that end a link: it does not know us, or knows another one by our name
_ENDING: Final = frozenset({"hello", "replaced"})


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom a link tells what it hears."""

    up: Callable[[Welcome], None]
    #: reason: `lost`, `denied`, `conflict`, `hello`, `replaced`, ...; and a sentence
    down: Callable[[str, str], None]
    #: an envelope, and whether it came by the bulk router
    heard: Callable[[Envelope, bool], None]
    published: Callable[[Published], None]


class Link:
    """Up when HELLO is answered by each router and the welcome has come: then all subscriptions are in force."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        endpoints: Endpoints,
        hello: Hello,
        prefixes: Sequence[str],
        bulk: bool,
        listener: Listener,
    ) -> None:
        self._name = hello.name
        self._listener = listener
        self._welcome: Welcome | None = None
        self._greetings: dict[str, Callable[[Welcome], None]] = {}
        routers = {CONTROL: QUEUE} | ({BULK: BULK_QUEUE} if bulk else {})
        self._missing = {*routers, FANOUT}
        self._hello_ids: dict[bytes, str] = {}
        self._routers: dict[str, Wire] = {}
        for router, queue in routers.items():
            self._routers[router] = self._open_router(context, router, queue, endpoints, hello)
        self._fanout = Wire(context, zmq.SUB, QUEUE, QUEUE, self._on_published, self._cut)
        for prefix in prefixes:
            self.subscribe(prefix)
        self.greet(self._on_welcome)
        self._fanout.connect(endpoints.address(FANOUT))

    def _open_router(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        router: str,
        queue: int,
        endpoints: Endpoints,
        hello: Hello,
    ) -> Wire:
        is_bulk = router == BULK
        wire = Wire(context, zmq.DEALER, queue, queue, lambda parts: self._on_message(parts, is_bulk), self._cut)
        # random: whoever knew it could take our messages
        wire.socket.setsockopt(zmq.ROUTING_ID, f"{hello.name[:64]}~{os.urandom(16).hex()}".encode())
        msgid = os.urandom(16)
        self._hello_ids[msgid] = router
        wire.connect(endpoints.address(router))
        wire.send(pack(b"HELLO", msgid, HUB, encode(hello)))
        return wire

    def subscribe(self, prefix: str) -> None:
        """Hear topics that begin so."""
        self._fanout.socket.setsockopt(zmq.SUBSCRIBE, prefix.encode())
        self._fanout.look()

    def unsubscribe(self, prefix: str) -> None:
        """Hear them no longer."""
        self._fanout.socket.setsockopt(zmq.UNSUBSCRIBE, prefix.encode())
        self._fanout.look()

    def greet(self, on_welcome: Callable[[Welcome], None]) -> None:
        """Ask the hub for a welcome, which says that all earlier subscriptions are in force."""
        topic = topics.hello(self._name, os.urandom(8).hex())
        self._greetings[topic] = on_welcome
        self.subscribe(topic)

    def send(self, parts: list[bytes], bulk: bool) -> bool:
        """Send to a router; False: its queue is full."""
        return self._routers[BULK if bulk else CONTROL].send(parts)

    def beat(self, msgid: bytes) -> None:
        """Tell the hub that we live."""
        for wire in self._routers.values():
            wire.send(pack(b"HB", msgid, HUB, b"{}"))

    def close(self, *, bye: bool = False) -> None:
        """Close the sockets; with BYE the hub forgets the name at once."""
        for wire in self._routers.values():
            if bye and not wire.closed:
                wire.send(pack(b"BYE", bytes(16), HUB, b"{}"))
            wire.close()
        self._fanout.close()

    def _cut(self, reason: str) -> None:
        self._listener.down(reason, "this user may not connect" if reason == "denied" else "")

    def _arrived(self, what: str) -> None:
        if what in self._missing:
            self._missing.discard(what)
            if not self._missing and self._welcome is not None:
                self._listener.up(self._welcome)

    def _on_welcome(self, welcome: Welcome) -> None:
        self._welcome = welcome
        self._arrived(FANOUT)

    def _on_message(self, parts: list[bytes], bulk: bool) -> None:
        try:
            envelope = unpack(parts)
        except BadFrame as bad:
            self._listener.down(bad.code, f"the hub speaks otherwise: {bad}")
            return
        router = self._hello_ids.get(envelope.msgid)
        if envelope.verb == NO and envelope.peer == HUB:
            no = read_refusal(envelope.body)
            if router is not None or no.code in _ENDING:
                self._listener.heard(envelope, bulk)
                self._listener.down(no.code, no.message)
                return
        if router is not None:
            self._arrived(router)
        elif envelope.verb == OK and envelope.peer == HUB:
            self._confirm(envelope, bulk)
        self._listener.heard(envelope, bulk)

    def _confirm(self, envelope: Envelope, bulk: bool) -> None:
        """Give the hub its receipt: everything before this was read."""
        beat: Beat = decode(Beat, envelope.body)
        if beat.mark:
            self.send(pack(b"HB", NO_ID, HUB, encode(beat)), bulk)

    def _on_published(self, parts: list[bytes]) -> None:
        if len(parts) != _FRAMES_PUBLISHED:
            return
        topic = parts[0].decode(errors="replace")
        greeting = self._greetings.pop(topic, None)
        if greeting is not None:
            self.unsubscribe(topic)
            greeting(decode(Welcome, parts[2]))
            return
        event_id, journal = unpack_numbers(parts[1])
        self._listener.published(Published(topic, event_id, journal, parts[2]))
