"""A desk of the hub: one ROUTER, who is present at it, and what becomes of each message that comes there.

A peer is known by the name it gave in HELLO; the routing id of its socket is random and known to nobody
else, so that no one can take a name by taking a routing id.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import zmq

from apsis.failpoints import reach
from apsis.messages.body import decode, encode
from apsis_bus import multipart, topics
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
    Beat,
    Envelope,
    Hello,
    Role,
    pack,
    refusal,
    unpack,
)
from apsis_bus.limits import CLIENTS, CONFIRM_EACH, HEARTBEAT, MAX_ASKED, MAX_SUBSCRIPTION, SILENCE
from apsis_bus.seldom import Seldom, shown

log = logging.getLogger(HUB)

#: a routing id that a stranger can neither guess nor be given by the ROUTER itself (those begin with 0)
_ROUTING_ID_MIN: Final = 16
_EPOCH_MAX: Final = 64
#: seconds between two searches for clients that have gone
_SWEEP_EACH: Final = 1.0

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
    #: bytes sent to it whose receipt it has not confirmed; those after the mark; the mark it was asked to repeat
    unread: int = 0
    after_mark: int = 0
    mark: str = ""


class Desk:
    """Serves one ROUTER, for peers of some roles. `unread`: bytes a peer may leave unread before it is `busy`."""

    def __init__(
        self,
        socket: "zmq.Socket[bytes]",
        owner: int,
        nonce: str,
        publish: Publishes,
        roles: frozenset[Role],
        unread: int | None = None,
    ) -> None:
        self.socket = socket
        self._owner = owner
        self._admitted = encode(Admitted(hub=nonce, heartbeat=HEARTBEAT))
        self._publish = publish
        self._roles = roles
        self._unread = unread
        self._sessions: dict[bytes, Session] = {}
        self._names: dict[str, Session] = {}
        #: gone by name, while what they were sent may lie unread on a connection that is still there
        self._parted: dict[bytes, Session] = {}
        self._swept = 0.0
        self._denied, self._lost = Seldom(log), Seldom(log)

    def serve(self, turn: int, now: float) -> None:
        """Deal with at most `turn` messages."""
        with contextlib.suppress(zmq.Again):
            for _ in range(turn):
                parts = multipart.receive_frames(self.socket)
                # what libzmq noted at connect; it cannot be given by the peer
                user = str(parts[0].get("User-Id"))
                reach("hub.received")
                self._take(parts[0].bytes, user, [part.bytes for part in parts[1:]], now)

    def forget(self, before: float) -> None:
        """Drop the sessions that were last heard before a moment; one that lives says HELLO again."""
        for session in [session for session in self._sessions.values() if session.heard < before]:
            self._drop(session)
        self._parted = {name: session for name, session in self._parted.items() if self._reaches(session)}

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
        if session.role is Role.CLIENT and len(message.body) + len(message.payload or b"") > MAX_ASKED:
            raise BadFrame("large", f"what a client asks has at most {MAX_ASKED} bytes")
        if verb.routed:
            self._route(session, message)
        elif message.verb == b"PUBLISH":
            self._check_topic(session, message.peer)
            self._publish(message.peer, message.payload or b"", message.body)
        elif message.verb == b"BYE":
            self._drop(session)
        else:
            self._beat(session, message)

    def _beat(self, session: Session, message: Envelope) -> None:
        """Answer a heartbeat; one with a mark is a receipt, and has its answer already."""
        try:
            beat: Beat = decode(Beat, message.body)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise BadFrame("body", f"no heartbeat: {error}") from None
        if beat.mark and beat.mark == session.mark:
            session.unread, session.mark = session.after_mark, ""
        elif not beat.mark:
            # with the mark that is still to be confirmed: what carried it before may be lost, as anything may
            self._post(session.routing_id, pack(OK, message.msgid, HUB, encode(Beat(mark=session.mark))))

    def _hello(self, routing_id: bytes, user: str, message: Envelope, now: float) -> None:
        try:
            hello: Hello = decode(Hello, message.body)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise BadFrame("body", f"no HELLO: {error}") from None
        if len(hello.epoch) > _EPOCH_MAX:
            raise BadFrame("body", f"an epoch has at most {_EPOCH_MAX} characters")
        who = Credentials.parse(user)
        role = role_of(hello.name, who.uid, self._owner) if who else None
        if role is None or role not in self._roles:
            self._denied.warning("%s may not be called %s", user, hello.name, event="denied")
            raise BadFrame("denied", f"this user may not be called {shown(hello.name)} here")
        if len(routing_id) < _ROUTING_ID_MIN or routing_id[:1] == b"\0":
            raise BadFrame("denied", f"set a random routing id of at least {_ROUTING_ID_MIN} bytes before connecting")
        self._displace(hello, routing_id, now)
        before = self._sessions.get(routing_id)
        if before is not None and (before.name, before.user) == (hello.name, user):
            # said again on the same connection: nobody came, and nothing is to be told
            before.epoch, before.heard = hello.epoch, now
        else:
            self._seat(Session(routing_id, hello.name, role, user, hello.epoch, now), before)
        self._post(routing_id, pack(OK, message.msgid, HUB, self._admitted))

    def _seat(self, session: Session, before: Session | None) -> None:
        """Take a peer in; `before`: who it was on the same connection, which has one name at a time."""
        if session.role is Role.CLIENT:
            self._make_room(session.heard)
        if before is not None:
            self._drop(before)
        if (parted := self._parted.pop(session.routing_id, None)) is not None:
            # another name makes nothing read: what waits for this connection waits still
            session.unread, session.after_mark, session.mark = parted.unread, parted.after_mark, parted.mark
        self._sessions[session.routing_id] = self._names[session.name] = session
        log.log(_level(session), "%s came", session.name, extra={"event": "came", "peer": session.user})

    def _displace(self, hello: Hello, routing_id: bytes, now: float) -> None:
        """Make room for a name: its former bearer goes, unless it lives and is another installation's spool."""
        former = self._names.get(hello.name)
        if former is None:
            return
        if former.routing_id != routing_id:
            if former.epoch and former.epoch != hello.epoch and now - former.heard < SILENCE and self._reaches(former):
                log.warning("a second %s was refused", hello.name, extra={"event": "conflict"})
                raise BadFrame("conflict", f"{hello.name} is present with another spool (epoch {former.epoch})")
            self._refuse(former.routing_id, NO_ID, "replaced", f"another process is {hello.name} now")
            self._drop(former)

    def _make_room(self, now: float) -> None:
        """See that there is room for one more client: those that went without BYE are looked for when there is none."""
        if len(self._sessions) < CLIENTS:
            return
        clients = [session for session in self._sessions.values() if session.role is Role.CLIENT]
        if len(clients) >= CLIENTS and now - self._swept >= _SWEEP_EACH:
            self._swept = now
            for session in clients:
                if not self._reaches(session):
                    self._drop(session)
            clients = [session for session in self._sessions.values() if session.role is Role.CLIENT]
        if len(clients) >= CLIENTS:
            raise BadFrame("busy", f"{CLIENTS} clients are here already; come again later")

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
            raise BadFrame("unroutable", f"{shown(message.peer)} is not here")
        if target.role is Role.CLIENT and message.verb not in ANSWERS:
            raise BadFrame("denied", "clients are not asked")
        size = len(message.body) + len(message.payload or b"")
        if self._unread is not None and target.unread and target.unread + size > self._unread:
            raise BadFrame("busy", f"{target.name} does not read what it is sent; send again later")
        parts = pack(message.verb, message.msgid, sender.name, message.body, message.payload)
        if not self._post(target.routing_id, parts):
            self._drop(target)
            raise BadFrame("unroutable", f"{message.peer} is gone")
        reach("hub.routed")
        if self._unread is not None:
            self._count(target, size)

    def _count(self, target: Session, size: int) -> None:
        """Count what a peer was sent, and ask it now and then for a receipt: queues count messages, not bytes."""
        target.unread += size
        target.after_mark += size
        if target.unread > CONFIRM_EACH and not target.mark:
            target.mark, target.after_mark = os.urandom(8).hex(), 0
            # a queue that is full takes no mark; the answer to the next heartbeat carries it
            with contextlib.suppress(BadFrame):
                self._post(target.routing_id, pack(OK, NO_ID, HUB, encode(Beat(mark=target.mark))))

    def _post(self, routing_id: bytes, parts: list[bytes]) -> bool:
        """Send to one connection; False: it is no longer there.

        Raises:
            BadFrame: `busy`, its queue is full.
        """
        try:
            multipart.send(self.socket, [routing_id, *parts])
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
            self._lost.warning("a refusal (%s) could not be delivered", code, event="refusal_lost")

    def _drop(self, session: Session) -> None:
        if self._sessions.get(session.routing_id) is session:
            del self._sessions[session.routing_id]
            if session.unread:
                self._parted[session.routing_id] = session
        if self._names.get(session.name) is session:
            del self._names[session.name]
            log.log(_level(session), "%s went", session.name, extra={"event": "went"})


def _level(session: Session) -> int:
    """Clients come and go by the thousand, if they like."""
    return logging.DEBUG if session.role is Role.CLIENT else logging.INFO
