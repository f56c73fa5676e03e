"""The hub: carries messages between the processes of one installation, and keeps nothing.

`python -m apsis_bus.hub --home H`. One thread around one poll; what it knows of peers and of the
scheduler's last heartbeat is soft, and told to it again after a restart.
"""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import zmq

from apsis.errors import ApsisError
from apsis.home import Home
from apsis.messages.body import decode, encode
from apsis.messages.events import Heartbeat, Welcome
from apsis_bus import frames, multipart, process, topics
from apsis_bus.auth import ZAP_DOMAIN, ZAP_ENDPOINT, Gate
from apsis_bus.desk import Desk
from apsis_bus.endpoints import BULK, CONTROL, FANOUT, Endpoints
from apsis_bus.frames import HUB, BadFrame, Role
from apsis_bus.limits import (
    AHEAD,
    BULK_QUEUE,
    FORGET,
    LINGER,
    MAX_FRAME,
    MAX_PUBLISHED,
    MAX_SUBSCRIPTION,
    QUEUE,
    UNREAD,
)
from apsis_bus.lock import AlreadyRunning, ServiceLock
from apsis_bus.process import ExitCode
from apsis_bus.seldom import Seldom, shown

log = logging.getLogger(HUB)

#: messages taken from one socket before the others are looked at
_CONTROL_TURN: Final = 200
#: at most 4 MiB of output bytes before the next command
_BULK_TURN: Final = 4
#: subscriptions, and new connections, before the others are looked at; one stranger may send thousands
_WELCOME_TURN: Final = 200
_ADMIT_TURN: Final = 20
#: connections between two counts of the open descriptors, and the part of all that may be open
_COUNTED_EACH: Final = 50
_DESCRIPTORS_AT_MOST: Final = 0.8
#: messages for one peer, and from one, on the bulk router
_BULK_QUEUES: Final = (BULK_QUEUE, BULK_QUEUE)
#: other signals that have a handler (SIGPIPE) wake the loop as well
_ENDING: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_HELLO: Final = topics.HELLO.encode()
_HELLO_SLASHES: Final = topics.hello("PEER", "NONCE").count("/")


class Hub:
    """The sockets of a hub and the loop that serves them."""

    def __init__(self, home: Home) -> None:
        self._endpoints = Endpoints.of(home)
        self._gate = Gate.of(home.run)
        self._context = zmq.Context()
        # before any socket that asks it: a connection without an answer would wait for ever
        self._zap = self._context.socket(zmq.REP)
        self._zap.setsockopt(zmq.LINGER, 0)
        self._zap.bind(ZAP_ENDPOINT)
        self._strangers = Seldom(log)
        self._nonce = os.urandom(8).hex()
        #: what the scheduler last said: (journal, term, head)
        self._standing = (0, 0, 0)
        self._fanout = self._open(zmq.XPUB, FANOUT, (QUEUE, QUEUE), MAX_SUBSCRIPTION)
        control, bulk = self._open(zmq.ROUTER, CONTROL, (QUEUE, AHEAD)), self._open(zmq.ROUTER, BULK, _BULK_QUEUES)
        everyone, ours = frozenset(Role), frozenset(Role) - {Role.CLIENT}
        self._control = Desk(control, self._gate.owner, self._nonce, self._publish, everyone, UNREAD)
        self._bulk = Desk(bulk, self._gate.owner, self._nonce, self._publish, ours)
        self._wake_fd, self._signal_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poller = zmq.Poller()
        for sock in (self._zap, self._fanout, control, bulk):
            self._poller.register(sock, zmq.POLLIN)
        self._poller.register(self._wake_fd, zmq.POLLIN)
        self._forget_at = time.monotonic() + FORGET
        self._admitted = 0
        self.worn_out = False

    def _open(self, kind: int, name: str, queues: tuple[int, int], max_frame: int = MAX_FRAME) -> "zmq.Socket[bytes]":
        """Bind one socket; `queues`: messages kept for one peer, and from one."""
        sock = self._context.socket(kind)
        sock.setsockopt(zmq.LINGER, LINGER)
        sock.setsockopt(zmq.SNDHWM, queues[0])
        sock.setsockopt(zmq.RCVHWM, queues[1])
        sock.setsockopt(zmq.MAXMSGSIZE, max_frame)
        sock.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
        if kind == zmq.ROUTER:
            sock.setsockopt(zmq.ROUTER_MANDATORY, 1)
            sock.setsockopt(zmq.ROUTER_HANDOVER, 1)
        else:
            # with 1 a single stopped subscriber stops the bus for all
            sock.setsockopt(zmq.XPUB_NODROP, 0)
        sock.bind(self._endpoints.address(name))
        # the folder (0750) keeps strangers out; members of the group may connect, and ZAP decides what they are
        self._endpoints.path(name).chmod(0o660)
        return sock

    def serve(self) -> None:
        """Carry messages until SIGTERM or SIGINT."""
        while self.turn(FORGET):
            pass

    def turn(self, seconds: float) -> bool:
        """Wait for something to do, at most so long, and do a little of each; False: it is to end."""
        ready = dict(self._poller.poll(int(seconds * 1000)))
        if self._wake_fd in ready and _ENDING & set(os.read(self._wake_fd, 64)):
            return False
        now = time.monotonic()
        if self._zap in ready:
            self._admit()
        if self._fanout in ready:
            self._welcome()
        if self._control.socket in ready:
            self._control.serve(_CONTROL_TURN, now)
        if self._bulk.socket in ready:
            self._bulk.serve(_BULK_TURN, now)
        if now >= self._forget_at:
            self._control.forget(now - FORGET)
            self._bulk.forget(now - FORGET)
            self._forget_at = now + FORGET
        return not self.worn_out

    def close(self) -> None:
        """Close the sockets; what is queued has 200 ms to go out."""
        for sock in (self._control.socket, self._bulk.socket, self._fanout, self._zap):
            sock.close()
        self._context.term()
        # a path that nobody listens on would be tried by each peer; ours for sure, while the lock is held
        for name in (CONTROL, BULK, FANOUT):
            self._endpoints.path(name).unlink(missing_ok=True)
        self._endpoints.close()
        os.close(self._wake_fd)
        os.close(self._signal_fd)

    def heed_signals(self) -> None:
        """Make a signal readable: a flag set by a handler would be seen only after the poll.

        Before anybody is told that the hub is ready: until then SIGTERM leaves its sockets behind, and a status of -15.
        """
        signal.set_wakeup_fd(self._signal_fd)
        for number in _ENDING:
            signal.signal(number, lambda _number, _frame: None)

    def _admit(self) -> None:
        """Answer what libzmq asks about new connections."""
        with contextlib.suppress(zmq.Again):
            for _ in range(_ADMIT_TURN):
                request = self._zap.recv_multipart(zmq.NOBLOCK)
                answer, who = self._gate.answer(request)
                if who is None:
                    peer = shown(b" ".join(request[3:4]).decode(errors="replace"))
                    self._strangers.warning("another user's process may not connect", event="denied", peer=peer)
                self._zap.send_multipart(answer)
                self._admitted += 1
                if self._admitted % _COUNTED_EACH == 0:
                    self._count_descriptors()

    def _count_descriptors(self) -> None:
        """See whether they run out. libzmq never closes a connection whose routing id was given to a second one.

        That takes somebody who means it. A hub keeps nothing, and a new one is there in a moment: rather that than one
        to which nobody can connect any more.
        """
        most = int(process.open_files_limit() * _DESCRIPTORS_AT_MOST)
        if (used := sum(1 for _ in Path("/proc/self/fd").iterdir())) > most:
            log.error(
                "%d descriptors are open, and %d may be; a new hub takes over", used, most, extra={"event": "worn"}
            )
            self.worn_out = True

    def _welcome(self) -> None:
        """Answer new subscriptions to `v1/hello/PEER/NONCE/`: what one subscriber asked before is in force."""
        with contextlib.suppress(zmq.Again):
            for _ in range(_WELCOME_TURN):
                message = self._fanout.recv(zmq.NOBLOCK)
                topic = message[1:]
                # whoever watches others come (`v1/hello/` or `v1/hello/PEER/`) asks for no welcome
                if message[:1] == b"\x01" and topic.startswith(_HELLO) and topic.count(b"/") == _HELLO_SLASHES:
                    journal, term, head = self._standing
                    welcome = Welcome(hub=self._nonce, journal=journal, term=term, head=head)
                    self._fanout.send_multipart([topic, frames.pack_numbers(0, journal), encode(welcome)])

    def _publish(self, topic: str, numbers: bytes, body: bytes) -> None:
        """Fan a message out; what the scheduler says is noted for the next welcome.

        Raises:
            BadFrame: it is too large, or no such message.
        """
        if len(body) > MAX_PUBLISHED:
            raise BadFrame("large", f"what is published has at most {MAX_PUBLISHED} bytes")
        event_id, journal = frames.unpack_numbers(numbers)
        if event_id and journal == self._standing[0]:
            self._standing = (journal, self._standing[1], max(event_id, self._standing[2]))
        elif topic == topics.HEARTBEAT:
            self._note(body)
        multipart.send(self._fanout, [topic.encode(), numbers, body])

    def _note(self, body: bytes) -> None:
        try:
            beat: Heartbeat = decode(Heartbeat, body)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise BadFrame("body", f"no heartbeat: {error}") from None
        self._standing = (beat.journal, beat.term, beat.head)


def main(argv: Sequence[str] | None = None) -> int:
    """Be the hub until told to end; return the exit status."""
    process.log_to_stderr(HUB)
    try:
        arguments = process.parse_arguments(HUB, argv)
        lock = ServiceLock(arguments.home, HUB)
        # before binding: a second bind silently takes the path away from a live hub
        lock.take()
        process.take_title(HUB)
        process.keep_freed_blocks()
        process.forget_inherited_signals()
        process.survive_broken_pipes()
        process.open_many_files()
        hub = Hub(arguments.home)
    except AlreadyRunning as error:
        process.say(HUB, error)
        return ExitCode.ALREADY_RUNNING
    except ApsisError as error:
        process.say(HUB, error)
        return ExitCode.CANNOT_START
    except (zmq.ZMQError, OSError) as error:
        process.say(
            HUB, ApsisError(f"the hub cannot open its sockets: {error}", hint="check the folder `run` of the home")
        )
        return ExitCode.CANNOT_START
    hub.heed_signals()
    lock.ready()
    log.info("hub is ready", extra={"event": "ready"})
    hub.serve()
    code = ExitCode.CRASHED if hub.worn_out else ExitCode.ASKED
    process.end_within(code)
    hub.close()
    log.info("hub ended", extra={"event": "ended"})
    return code


if __name__ == "__main__":
    sys.exit(main())
