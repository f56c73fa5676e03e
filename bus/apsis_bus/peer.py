"""A peer of the bus: the one class by which services talk. It finds its hub again by itself."""

import asyncio
import itertools
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import Final

import zmq

from apsis.home import Home
from apsis.messages.body import Body, encode
from apsis.messages.events import Welcome
from apsis_bus.deliveries import BusRefused, BusTimeout, BusTooLarge, Delivery, Published, Refused
from apsis_bus.endpoints import Endpoints
from apsis_bus.frames import NO, OK, VERBS, Envelope, Hello, pack, pack_numbers, read_refusal, refusal
from apsis_bus.limits import HEARTBEAT, MAX_FRAME, MAX_PUBLISHED, QUEUE, SILENCE
from apsis_bus.link import Link, Listener

__all__ = ["BusRefused", "BusTimeout", "BusTooLarge", "Delivery", "Peer", "Published", "Refused"]

log = logging.getLogger("bus")

#: seconds before the hub is sought again after a cut, and after a refusal of our name
_AGAIN: Final = 0.02
_AGAIN_REFUSED: Final = 2.0

_Subscription = tuple[str, Callable[[Published], None]]
_Answer = tuple[bytes, bytes | None]
_NOBODY: Final = ("", None)


class Peer:
    """A named participant. Handlers are plain functions, called on the loop; they must not block.

    While there is no hub, what is sent waits in a bounded queue. What was under way when a hub died may be
    lost: the rules of resending and replay carry the promise, not the bus.
    """

    def __init__(self, home: Home, name: str, *, bulk: bool = False, epoch: str = "") -> None:
        self.name = name
        #: called when the hub was (re)connected, HELLO answered, and all subscriptions are in force
        self.on_connected: list[Callable[[], None]] = []
        #: called when the connection broke
        self.on_lost: list[Callable[[], None]] = []
        #: called for each message that was refused and that nobody awaits
        self.on_refused: Callable[[Refused], None] = _log_refused
        #: what the hub last said of the scheduler; None before the first connection
        self.welcome: Welcome | None = None
        self.connected = False
        self._home = home
        self._bulk = bulk
        self._hello = Hello(name=name, epoch=epoch, pid=os.getpid())
        self._handler: Callable[[Delivery], None] | None = None
        self._subscriptions: list[_Subscription] = []
        self._waiting: deque[list[bytes]] = deque()
        #: message id: whom it was sent to, and its answer
        self._pending: dict[bytes, tuple[str, asyncio.Future[_Answer]]] = {}
        self._salt = os.urandom(8)
        self._count = itertools.count(1)
        self._link: Link | None = None
        self._endpoints: Endpoints | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._first: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0

    async def connect(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - it also cleans up
        """Wait for the hub, as long as need be (None) or some seconds.

        Raises:
            BusTimeout: no hub answered in time.
            BusRefused: the hub does not let us in (`denied`, `conflict`, `version`).
        """
        self._loop = asyncio.get_running_loop()
        self._first = self._loop.create_future()
        self._endpoints = Endpoints.of(self._home)
        self._context = zmq.Context()
        self._seek()
        try:
            async with asyncio.timeout(timeout):
                await self._first
        except TimeoutError:
            await self.close()
            raise BusTimeout("the hub", timeout or 0) from None
        except (BusRefused, asyncio.CancelledError):
            await self.close()
            raise

    async def close(self) -> None:
        """Say BYE and close; requests that wait end as `closed`."""
        if self._context is None:
            return
        context, self._context = self._context, None
        if self._timer is not None:
            self._timer.cancel()
        if self._link is not None:
            self._link.close(bye=self.connected)
            self._link = None
        self.connected = False
        self._give_up("closed", "this peer was closed")
        # waits up to 200 ms for what lingers
        await asyncio.to_thread(context.term)
        if self._endpoints is not None:
            self._endpoints.close()

    def subscribe(self, prefix: str, handler: Callable[[Published], None]) -> None:
        """Hear what is published on topics that begin so. Await `subscribed` to know that it is in force."""
        is_new = all(prefix != known for known, _ in self._subscriptions)
        self._subscriptions.append((prefix, handler))
        if is_new and self._link is not None:
            self._link.subscribe(prefix)

    def unsubscribe(self, prefix: str, handler: Callable[[Published], None]) -> None:
        """Hear it no longer."""
        self._subscriptions.remove((prefix, handler))
        if self._link is not None and all(prefix != known for known, _ in self._subscriptions):
            self._link.unsubscribe(prefix)

    async def subscribed(self) -> Welcome:
        """Wait until all subscriptions made so far are in force."""
        done: asyncio.Future[Welcome] = asyncio.get_running_loop().create_future()

        def greet() -> None:
            if self._link is not None and not done.done():
                self._link.greet(lambda welcome: None if done.done() else done.set_result(welcome))

        self.on_connected.append(greet)
        if self.connected:
            greet()
        try:
            return await done
        finally:
            self.on_connected.remove(greet)

    def handle(self, handler: Callable[[Delivery], None]) -> None:
        """Set who deals with what other peers send here."""
        self._handler = handler

    def send(self, to: str, body: Body, *, payload: bytes | None = None, bulk: bool = False) -> bytes:
        """Send and go on; a refusal goes to `on_refused`. Returns the message's id, as `Refused.msgid` has it.

        Raises:
            BusTooLarge: body or payload have more than 1 MiB.
        """
        msgid = self._next_id()
        if not self._post(b"SEND", msgid, to, encode(body), payload, bulk):
            refused = Refused(to, self._why_not(bulk), msgid, b"null", "it was not sent")
            asyncio.get_running_loop().call_soon(self.on_refused, refused)
        return msgid

    async def request(  # a timeout of its own: a request without one would wait for ever on a lossy carrier
        self,
        to: str,
        body: Body,
        *,
        verb: str = "SEND",
        timeout: float,  # noqa: ASYNC109
        bulk: bool = False,
    ) -> tuple[bytes, bytes | None]:
        """Send and return the answer: its body, and the payload if it has one.

        Raises:
            BusRefused: it was answered NO, or the hub was lost meanwhile (`lost`).
            BusTimeout: no answer within `timeout` seconds.
            BusTooLarge: the body has more than 1 MiB.
        """
        if not VERBS[verb.encode()].routed:
            raise ValueError(f"{verb} is not answered by a peer")
        msgid = self._next_id()
        future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._pending[msgid] = (to, future)
        try:
            if not self._post(verb.encode(), msgid, to, encode(body), None, bulk):
                raise BusRefused(self._why_not(bulk), message="it was not sent")
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise BusTimeout(to, timeout) from None
        finally:
            self._pending.pop(msgid, None)

    def lost(self, to: str) -> None:
        """End as `lost` what a peer was asked and has not answered: it is another process now, and knows nothing of it.

        Without this, what was on its way into a process that is killed is waited for until its time is over.
        """
        self._give_up("lost", f"{to} is another process now", to)

    def publish(self, topic: str, event_id: int, journal: int, body: bytes) -> None:
        """Fan out; event id 0 is ephemeral. May be lost: whoever needs it all asks for a replay.

        A body of more than 16 KiB is not carried, which is logged; readers find the gap and replay it.
        """
        if len(body) > MAX_PUBLISHED:
            log.error(
                "event %d on %s has %d bytes and is not published; at most %d are",
                event_id, topic, len(body), MAX_PUBLISHED, extra={"event": "too_large"},
            )  # fmt: skip
            return
        if not self._post(b"PUBLISH", self._next_id(), topic, body, pack_numbers(event_id, journal), bulk=False):
            log.warning("the queue to the hub is full; event %d is not published", event_id, extra={"event": "busy"})

    def _next_id(self) -> bytes:
        return self._salt + next(self._count).to_bytes(8, "big")

    def _post(self, verb: bytes, msgid: bytes, to: str, body: bytes, payload: bytes | None, bulk: bool) -> bool:
        for what, size in (("a body", len(body)), ("a payload", len(payload or b""))):
            if size > MAX_FRAME:
                # ZeroMQ would cut the connection
                raise BusTooLarge(what, size, MAX_FRAME)
        parts = pack(verb, msgid, to, body, payload)
        if self.connected and self._link is not None:
            return self._link.send(parts, bulk and self._bulk)
        if len(self._waiting) >= QUEUE or (bulk and self._bulk):
            # a megabyte each: who sends those keeps them anyway
            return False
        self._waiting.append(parts)
        return True

    def _why_not(self, bulk: bool) -> str:
        return "lost" if bulk and not self.connected else "busy"

    def _seek(self) -> None:
        """Begin a new link."""
        if self._context is None or self._endpoints is None:
            return
        prefixes = list(dict.fromkeys(prefix for prefix, _ in self._subscriptions))
        listener = Listener(self._up, self._down, self._on_envelope, self._on_published)
        self._link = Link(self._context, self._endpoints, self._hello, prefixes, self._bulk, listener)

    def _up(self, welcome: Welcome) -> None:
        self.connected = True
        self.welcome = welcome
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(HEARTBEAT, self._beat)
        if self._first is not None and not self._first.done():
            self._first.set_result(None)
        while self._waiting and self._link is not None:
            # a new link's queue has room for all that may wait
            self._link.send(self._waiting.popleft(), bulk=False)
        for callback in list(self.on_connected):
            callback()

    def _down(self, reason: str, message: str) -> None:
        """End the link and begin another one."""
        if self._link is None:
            return
        self._link.close()
        self._link = None
        if self._timer is not None:
            self._timer.cancel()
        was_connected, self.connected = self.connected, False
        if reason != "lost":
            log.warning("%s is not let in by the hub (%s): %s", self.name, reason, message, extra={"event": reason})
            if self._first is not None and not self._first.done():
                self._first.set_exception(BusRefused(reason, message=message))
        self._give_up("lost", "the hub went away")
        self._timer = self._loop.call_later(_AGAIN if reason in ("lost", "hello") else _AGAIN_REFUSED, self._seek)
        if was_connected:
            for callback in list(self.on_lost):
                callback()

    def _give_up(self, code: str, message: str, to: str | None = None) -> None:
        for asked, future in self._pending.values():
            if to in (None, asked) and not future.done():
                future.set_exception(BusRefused(code, message=message))

    def _beat(self) -> None:
        if self._link is None:
            return
        if self._loop.time() - self._heard > SILENCE:
            self._down("lost", "the hub is silent")
            return
        self._link.beat(self._next_id())
        self._timer = self._loop.call_later(HEARTBEAT, self._beat)

    def _on_published(self, published: Published) -> None:
        for prefix, handler in tuple(self._subscriptions):
            if published.topic.startswith(prefix):
                handler(published)

    def _on_envelope(self, envelope: Envelope, bulk: bool) -> None:
        self._heard = self._loop.time()
        if envelope.verb == OK:
            _, future = self._pending.get(envelope.msgid, _NOBODY)
            if future is not None and not future.done():
                future.set_result((envelope.body, envelope.payload))
        elif envelope.verb == NO:
            self._on_no(envelope)
        else:
            self._deliver(envelope, bulk)

    def _on_no(self, envelope: Envelope) -> None:
        no = read_refusal(envelope.body)
        _, future = self._pending.get(envelope.msgid, _NOBODY)
        if future is None:
            to = no.to or envelope.peer
            self.on_refused(Refused(to, no.code, envelope.msgid, bytes(no.detail), no.message))
        elif not future.done():
            future.set_exception(BusRefused(no.code, bytes(no.detail), no.message))

    def _deliver(self, envelope: Envelope, bulk: bool) -> None:
        def answer(verb: bytes, msgid: bytes, to: str, body: bytes, payload: bytes | None) -> None:
            size = max(len(body), len(payload or b""))
            if size > MAX_FRAME:
                # whoever asks may ask for too much: that must not end who answers
                log.error("an answer to %s has %d bytes and cannot be sent", to, size, extra={"event": "too_large"})
                verb, body, payload = NO, refusal("large", f"the answer has {size} bytes; ask for less"), None
            if not self._post(verb, msgid, to, body, payload, bulk):
                log.warning("an answer to %s is lost: the queue is full", to, extra={"event": "busy"})

        delivery = Delivery(
            envelope.verb.decode(), envelope.peer, envelope.msgid, envelope.body, envelope.payload, bulk, answer
        )
        if self._handler is None:
            delivery.no("verb", f"{self.name} is not asked for anything")
        else:
            self._handler(delivery)


def _log_refused(refused: Refused) -> None:
    log.warning(
        "%s did not get a message (%s): %s", refused.to, refused.code, refused.message, extra={"event": "refused"}
    )
