"""A wire: one ZeroMQ socket in an asyncio loop.

ZeroMQ's descriptor is edge-triggered: it says once that something changed, and any call on the socket may
swallow that edge. So all that is there is read until nothing is left, and after each send one looks again.
Awaiting the descriptor and then draining costs a quarter of what `zmq.asyncio` does.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from apsis_bus import multipart
from apsis_bus.limits import LINGER

#: messages handled before the loop may do something else
_TURN: Final = 100
_WATCHED: Final = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
#: milliseconds between attempts while there is no hub, first and at most
_RETRY: Final = 20
_RETRY_MAX: Final = 200


class Wire:
    """A connected socket: calls back for each message, and once when the connection breaks."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        kind: int,
        queue: int,
        keep: int,
        on_message: Callable[[list[bytes]], None],
        on_cut: Callable[[str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_cut = on_cut
        self._keep = keep
        self._waiting: deque[list[bytes]] = deque()
        self._looking = False
        self.closed = False
        self.socket = sock = context.socket(kind)
        sock.setsockopt(zmq.LINGER, LINGER)
        sock.setsockopt(zmq.SNDHWM, queue)
        sock.setsockopt(zmq.RCVHWM, queue)
        sock.setsockopt(zmq.RECONNECT_IVL, _RETRY)
        sock.setsockopt(zmq.RECONNECT_IVL_MAX, _RETRY_MAX)
        # the monitor sees a hub's death in milliseconds; heartbeats would take seconds
        self._monitor = sock.get_monitor_socket(_WATCHED)
        self._fds = (int(sock.getsockopt(zmq.FD)), int(self._monitor.getsockopt(zmq.FD)))
        self._loop.add_reader(self._fds[0], self._drain)
        self._loop.add_reader(self._fds[1], self._watch)

    def connect(self, address: str) -> None:
        """Connect, now or whenever somebody listens there."""
        self.socket.connect(address)
        self.look()

    def send(self, parts: list[bytes]) -> bool:
        """Send, or keep until there is room; False: too much is kept already, and this was not."""
        if self._waiting or not self._try(parts):
            if len(self._waiting) >= self._keep:
                return False
            self._waiting.append(parts)
        self.look()
        return True

    def look(self) -> None:
        """Read soon, edge or not: a call on the socket may have swallowed the edge."""
        if not self._looking and not self.closed:
            self._looking = True
            self._loop.call_soon(self._look)

    def close(self) -> None:
        """Close the socket; what it holds has 200 ms to go out."""
        if self.closed:
            return
        self.closed = True
        for fd in self._fds:
            self._loop.remove_reader(fd)
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        self.socket.close()

    def _look(self) -> None:
        self._looking = False
        self._drain()
        self._watch()

    def _drain(self) -> None:
        """Hand over what is there, then send what waits."""
        more = True
        try:
            for _ in range(_TURN):
                if self.closed:
                    return
                try:
                    parts = multipart.receive(self.socket)
                except zmq.Again:
                    more = False
                    break
                self._on_message(parts)
            while self._waiting and not self.closed and self._try(self._waiting[0]):
                self._waiting.popleft()
                more = True
        finally:
            # also when a handler raised: the edge is gone, and the rest would lie there for ever
            if more:
                self.look()

    def _watch(self) -> None:
        """Hear what the monitor says."""
        while not self.closed:
            try:
                event = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return
            self._on_cut("lost" if event["event"] == zmq.EVENT_DISCONNECTED else "denied")

    def _try(self, parts: list[bytes]) -> bool:
        try:
            multipart.send(self.socket, parts)
        except zmq.Again:
            return False
        return True
