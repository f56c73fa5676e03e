"""A bare DEALER, with none of our code between it and the wire."""

import json
import secrets

import zmq

from apsis.home import Home
from apsis_bus.frames import pack

ID = bytes(range(16))


class RawPeer:
    """Says what it is told to, and reads when it is told to."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", home: Home, socket: str = "hub.ctl") -> None:
        self.dealer = context.socket(zmq.DEALER)
        self.dealer.setsockopt(zmq.ROUTING_ID, b"raw~" + secrets.token_hex(16).encode())
        self.dealer.setsockopt(zmq.LINGER, 0)
        # what it does not read stays with the hub, and not in a queue of this process
        self.dealer.setsockopt(zmq.RCVHWM, 1)
        self.dealer.connect(f"ipc://{home.run}/{socket}")

    def send(self, verb: bytes, to: str, body: bytes = b"{}", msgid: bytes = ID, payload: bytes | None = None) -> None:
        self.dealer.send_multipart(pack(verb, msgid, to, body, payload))

    def hear(self, seconds: float = 10) -> list[bytes]:
        assert self.dealer.poll(int(seconds * 1000)), "no answer"
        return self.dealer.recv_multipart()

    def ask(self, verb: bytes, to: str, body: bytes = b"{}") -> str:
        """Send, and return `OK` or the code of the refusal that comes next."""
        self.send(verb, to, body)
        return code(self.hear())

    def hello(self, name: str, **fields: object) -> str:
        return self.ask(b"HELLO", "hub", json.dumps({"t": "hello", "name": name, **fields}).encode())

    def close(self) -> None:
        self.dealer.close()


def code(parts: list[bytes]) -> str:
    """Return `OK`, or the code of a refusal."""
    assert parts[0] == b"A1", parts
    return parts[1].decode() if parts[1] != b"NO" else str(json.loads(parts[4])["code"])


class Strangers:
    """Makes raw peers of one context, and closes them all."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self._peers: list[RawPeer] = []

    def __call__(self, home: Home, socket: str = "hub.ctl") -> RawPeer:
        """Return one more."""
        peer = RawPeer(self.context, home, socket)
        self._peers.append(peer)
        return peer

    def close(self) -> None:
        for peer in self._peers:
            peer.close()
        self.context.destroy(linger=0)
