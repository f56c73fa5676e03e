"""A desk of the hub: one ROUTER, who is present at it, and what becomes of each message that comes there.

A peer is known by the name it gave in HELLO; the routing id of its socket is random and known to nobody
else, so that no one can take a name by taking a routing id.
"""

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import zmq

from apsis.messages.body import decode, encode
from apsis_bus import topics
from apsis_bus.auth import Credentials, role_of
from apsis_bus.frames import (
    ANSWERS,
    HUB,
    NO,
    NO_ID,
    OK,
    VERBS,
    Admitted,
    BadFrame,
    Envelope,
    Hello,
    Role,
    pack,
    refusal,
    unpack,
)
from apsis_bus.limits import HEARTBEAT, MAX_SUBSCRIPTION, SILENCE

log = logging.getLogger(HUB)

#: a routing id that a stranger can neither guess nor be given by the ROUTER itself (those begin with 0)
_ROUTING_ID_MIN: Final = 16
_EPOCH_MAX: Final = 64

Publishes = Callable[[str, bytes, bytes], None]


@dataclass(slots=True)
class Session:
    """A peer that is present; gone with its connection, with BYE, or after a minute of silence."""

    routing_id: bytes
    name: str
    role: Role
    user: str
    epoch: str
    #: monotonic seconds
    heard: float


class Desk:
    """Serves one ROUTER."""

    def __init__(self, socket: "zmq.Socket[bytes]", owner: int, nonce: str, publish: Publishes) -> None:
        self.socket = socket
        self._owner = owner
        self._admitted = encode(Admitted(hub=nonce, heartbeat=HEARTBEAT))
        self._publish = publish
        self._sessions: dict[bytes, Session] = {}
        self._names: dict[str, Session] = {}

    def serve(self, turn: int, now: float) -> None:
        """Deal with at most `turn` messages."""
        with contextlib.suppress(zmq.Again):
            for _ in range(turn):
                parts = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
                # what libzmq noted at connect; it cannot be given by the peer
                user = str(parts[0].get("User-Id"))
                self._take(parts[0].bytes, user, [part.bytes for part in parts[1:]], now)

    def forget(self, before: float) -> None:
        """Drop the sessions that were last heard before a moment; one that lives says HELLO again."""
        for session in [session for session in self._sessions.values() if session.heard < before]:
            self._drop(session)

    def _take(self, routing_id: bytes, user: str, parts: Sequence[bytes], now: float) -> None:
        try:
            message = unpack(parts)
        except BadFrame as bad:
            self._refuse(routing_id, bad.msgid, bad.code, str(bad))
            return
        try:
            self._obey(routing_id, user, message, now)
        except BadFrame as bad:
            # an answer that is refused is not answered: two peers would go on for ever
            if message.verb not in ANSWERS:
                self._refuse(routing_id, message.msgid, bad.code, str(bad), message.peer)

    def _obey(self, routing_id: bytes, user: str, message: Envelope, now: float) -> None:
        if message.verb == b"HELLO":
            self._hello(routing_id, user, message, now)
            return
        session = self._sessions.get(routing_id)
        if session is None or session.user != user:
            raise BadFrame("hello", "say HELLO first")
        session.heard = now
        if message.verb in ANSWERS:
            if session.role is Role.CLIENT:
                raise BadFrame("denied", "clients are not asked, so they do not answer")
            self._route(session, message)
            return
        verb = VERBS.get(message.verb)
        if verb is None:
            raise BadFrame("verb", f"there is no verb {message.verb[:32]!r}")
        if session.role not in verb.roles:
            raise BadFrame("denied", f"{session.role} may not {message.verb.decode()}")
        if verb.routed:
            self._route(session, message)
        elif message.verb == b"PUBLISH":
            self._check_topic(session, message.peer)
            self._publish(message.peer, message.payload or b"", message.body)
        elif message.verb == b"BYE":
            self._drop(session)
        else:
            self._post(routing_id, pack(OK, message.msgid, HUB, b"{}"))

    def _hello(self, routing_id: bytes, user: str, message: Envelope, now: float) -> None:
        try:
            hello: Hello = decode(Hello, message.body)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise BadFrame("body", f"no HELLO: {error}") from None
        if len(hello.epoch) > _EPOCH_MAX:
            raise BadFrame("body", f"an epoch has at most {_EPOCH_MAX} characters")
        who = Credentials.parse(user)
        role = role_of(hello.name, who.uid, self._owner) if who else None
        if role is None:
            log.warning("%s may not be called %r", user, hello.name, extra={"event": "denied"})
            raise BadFrame("denied", f"this user may not be called {hello.name!r}")
        if len(routing_id) < _ROUTING_ID_MIN or routing_id[:1] == b"\0":
            raise BadFrame("denied", f"set a random routing id of at least {_ROUTING_ID_MIN} bytes before connecting")
        self._displace(hello, routing_id, now)
        session = Session(routing_id, hello.name, role, user, hello.epoch, now)
        self._sessions[routing_id] = self._names[hello.name] = session
        log.info("%s came", hello.name, extra={"event": "came", "peer": user})
        self._post(routing_id, pack(OK, message.msgid, HUB, self._admitted))

    def _displace(self, hello: Hello, routing_id: bytes, now: float) -> None:
        """Make room for a name: its former bearer goes, unless it lives and is another installation's spool."""
        former = self._names.get(hello.name)
        if former is None:
            return
        if former.routing_id != routing_id:
            others = former.epoch and hello.epoch and former.epoch != hello.epoch
            if others and now - former.heard < SILENCE and self._reaches(former):
                log.warning("a second %s was refused", hello.name, extra={"event": "conflict"})
                raise BadFrame("conflict", f"{hello.name} is present with another spool (epoch {former.epoch})")
            self._refuse(former.routing_id, NO_ID, "replaced", f"another process is {hello.name} now")
        self._drop(former)

    def _check_topic(self, session: Session, topic: str) -> None:
        if not topic.startswith(topics.VERSION) or not topic.endswith("/") or len(topic) > MAX_SUBSCRIPTION:
            raise BadFrame("frame", f"a topic begins with v1/, ends in / and has at most {MAX_SUBSCRIPTION} bytes")
        reserved = topic.startswith((topics.EVENTS, topics.HEARTBEAT))
        if topic.startswith(topics.HELLO) or (reserved and session.role is not Role.SCHEDULER):
            raise BadFrame("denied", f"{session.name} may not publish there")

    def _route(self, sender: Session, message: Envelope) -> None:
        """Hand a message to the peer it is for."""
        target = self._names.get(message.peer)
        if target is None:
            raise BadFrame("unroutable", f"{message.peer} is not here")
        parts = pack(message.verb, message.msgid, sender.name, message.body, message.payload)
        if not self._post(target.routing_id, parts):
            self._drop(target)
            raise BadFrame("unroutable", f"{message.peer} is gone")

    def _post(self, routing_id: bytes, parts: list[bytes]) -> bool:
        """Send to one connection; False: it is no longer there.

        Raises:
            BadFrame: `busy`, its queue is full.
        """
        try:
            self.socket.send_multipart([routing_id, *parts], zmq.NOBLOCK)
        except zmq.Again:
            raise BadFrame("busy", "that peer does not keep up; send again later") from None
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True

    def _reaches(self, session: Session) -> bool:
        """Say whether a connection is still there: the kernel cuts that of a dead process."""
        try:
            return self._post(session.routing_id, pack(OK, NO_ID, HUB, b"{}"))
        except BadFrame:
            return True

    def _refuse(self, routing_id: bytes, msgid: bytes, code: str, message: str, to: str = "") -> None:
        try:
            self._post(routing_id, pack(NO, msgid, HUB, refusal(code, message, to=to)))
        except BadFrame:
            log.warning("a refusal (%s) could not be delivered", code, extra={"event": "refusal_lost"})

    def _drop(self, session: Session) -> None:
        if self._sessions.get(session.routing_id) is session:
            del self._sessions[session.routing_id]
        if self._names.get(session.name) is session:
            del self._names[session.name]
            log.info("%s went", session.name, extra={"event": "went"})
