"""A hostile peer: `python fuzzer.py RUN_FOLDER SEED ROUNDS UID` throws random things at a hub, and ends with a count.

A process of its own, so that it may be another user: with another UID than its own it becomes that user first. It
says what a stranger may say in any words, and what a service may say only where it is not understood: a service that
orders something properly is obeyed, and that is right.
"""

import json
import os
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import zmq

from apsis.messages.body import encode
from apsis.messages.dispatch import Ack, Answers, Commands, HostHello, Reports, Started
from apsis.messages.events import Heartbeat, Replay
from apsis.messages.outputs import Chunk, OutputEnd, ReadRange
from apsis.messages.requests import ActOnRun, CreateRun, ReloadJobs, Request
from apsis.messages.snapshots import Consumed, Snap
from apsis_bus.frames import VERBS

ROUTERS: Final = ("hub.ctl", "hub.bulk")
TARGETS: Final = ("scheduler", "store", "hub", "web", "supervisor/local", "client/0/x", "", "\n", "x" * 5_000)
#: what a client must not get done, whatever verb it uses
DEEDS: Final = (
    Request(request_id="1", actor="user:eve", do=CreateRun(job_id="a")),
    Request(request_id="2", actor="user:eve", do=ReloadJobs(force=True)),
    Request(request_id="3", actor="user:eve", do=ActOnRun(run_id="r1", action="mark", state="success")),
    HostHello(host="evil", epoch="e", boot="b", seq=0, acked=0, floor=0, version="0", cores=1),
    Reports(host="evil", epoch="e", boot="b", items=[Started(seq=1, run_id="r1", at="2026-01-01T00:00:00Z", pid=1)]),
    Answers(host="evil", epoch="e", boot="b", items=[]),
    Commands(journal=1, term=9, epoch="e", boot="b", floor=0, items=[]),
    Ack(journal=1, term=9, epoch="e", seq=99),
    Chunk(host="evil", run_id="r1", stream="output", offset=0, length=5, crc32=0),
    OutputEnd(host="evil", run_id="r1", lengths={"output": 5}),
    ReadRange(run_id="r1", stream="output", start=0),
    Consumed(name="evil", journal=1, cursor=0),
    Heartbeat(journal=1, term=99, head=10**9, floor=0, now="2026-01-01T00:00:00Z"),
    Replay(since=0),
    Replay(since=2**70, prefix="v1/ev/", limit=-5),
    Snap(),
    Snap(after="live:1", since="2026-01-01T00:00:00Z"),
)


class Fuzzer:
    """Some connections, and what is done to them."""

    def __init__(self, folder: str, seed: int) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._context = zmq.Context()
        self._sockets: list[zmq.Socket[bytes]] = []
        self._raw: list[socket.socket] = []
        self._trusted: set[int] = set()
        self.done: Counter[str] = Counter()

    def run(self, rounds: int) -> None:
        """Do so many random things."""
        deeds: list[tuple[Callable[[], None], int]] = [
            (self._connect, 6), (self._hello, 12), (self._speak, 30), (self._garbage, 20), (self._subscribe, 4),
            (self._unsubscribe, 3), (self._disconnect, 5), (self._read, 8), (self._no_zeromq, 2), (self._oversize, 1),
        ]  # fmt: skip
        for _ in range(rounds):
            (deed,) = self._chance.choices([deed for deed, _ in deeds], [weight for _, weight in deeds])
            self.done[deed.__name__] += 1
            try:
                deed()
            except zmq.Again:
                # its own queue is full: a sender that is held back waits, or goes
                self._disconnect()

    def close(self) -> None:
        """Let go of everything at once."""
        for sock in self._raw:
            sock.close()
        self._context.destroy(linger=0)

    # What it does

    def _connect(self) -> None:
        if len(self._sockets) >= 24:
            self._disconnect()
        kind = self._chance.choice([zmq.DEALER] * 5 + [zmq.SUB, zmq.XSUB])
        sock = self._context.socket(kind)
        sock.linger = 0
        name = "hub.pub" if kind in (zmq.SUB, zmq.XSUB) else self._chance.choice(ROUTERS)
        if kind == zmq.DEALER and self._chance.random() < 0.8:
            # never one twice: libzmq leaves a descriptor behind for it, see `test_limits`
            identity = self._chance.choice([self._bytes(16, 40), self._bytes(8, 15)])
            if identity[:1] != b"\0":
                sock.setsockopt(zmq.ROUTING_ID, identity)
        if self._chance.random() < 0.05:
            # a ROUTER at the XPUB, a SUB at the ROUTER
            name = self._chance.choice(["hub.pub", *ROUTERS])
        sock.connect(f"ipc://{self._folder}/{name}")
        self._sockets.append(sock)

    def _hello(self) -> None:
        uid = os.getuid()
        name = self._chance.choice([
            f"client/{uid}/{self._chance.randrange(50)}", f"client/{uid}/{self._chance.randrange(50)}",
            f"client/{uid + 1}/x" if uid else "client/-1/x", "client/00/x", "alerts", "supervisor/fuzz",
            "supervisor/a/b", "hub", "", "root", "x" * 100_000, "alerts\n", "\u202e", "client/1/" + "y" * 70,
        ])  # fmt: skip
        body: dict[str, Any] = {"t": "hello", "name": name}
        if self._chance.random() < 0.3:
            body["epoch"] = self._chance.choice(["", "e1", "e2", "z" * 100, 7, None])
        sock = self._dealer()
        if sock is None:
            return
        data = json.dumps(body).encode()
        if self._chance.random() < 0.15:
            data = self._mutated(data)
        elif name in ("alerts", "supervisor/fuzz"):
            self._trusted.add(id(sock))
        for _ in range(self._chance.choice([1, 1, 1, 30])):
            self._send(sock, [b"A1", b"HELLO", self._bytes(16, 16), b"hub", data])

    def _speak(self) -> None:
        """Send a message that has the right form, more or less."""
        sock = self._dealer()
        if sock is None:
            return
        verb = self._chance.choice([*VERBS, b"OK", b"NO", b"SEND", b"EVAL", b""])
        to = self._chance.choice(TARGETS).encode()
        if verb == b"PUBLISH":
            to = self._chance.choice(
                [b"v1/ev/run/a/r1/success/", b"v1/hb/", b"v1/live/log/x/", b"v1/hello/a/b/", b"v1/"]
            )
        body = self._chance.choice([self._body, self._body, self._deep, self._junk])()
        if id(sock) in self._trusted and verb not in (b"HB", b"BYE", b"REPLAY", b"SNAP"):
            body = b"\xff" + body
        if verb == b"PUBLISH" and to == b"v1/live/log/x/":
            body = body[: 20 * 1024]
        parts = [b"A1", verb, self._bytes(16, 16), to, body]
        if self._chance.random() < 0.4:
            parts.append(self._bytes(0, 40))
        self._send(sock, parts)

    def _garbage(self) -> None:
        """Send frames that are no message."""
        sock = self._any()
        if sock is None or sock.socket_type == zmq.SUB:
            return
        parts = [
            self._bytes(0, self._chance.choice([3, 20, 5_000])) for _ in range(self._chance.choice([1, 2, 5, 6, 200]))
        ]
        if self._chance.random() < 0.5:
            parts[0] = b"A1"
        self._send(sock, parts)

    def _subscribe(self) -> None:
        sub = self._of(zmq.SUB)
        if sub is not None:
            for _ in range(self._chance.choice([1, 10, 1_000])):
                sub.subscribe(self._chance.choice([b"v1/", b"v1/hello/", b"v1/hello/a/b/", b""]) + self._bytes(0, 30))

    def _unsubscribe(self) -> None:
        sub = self._of(zmq.SUB)
        if sub is not None:
            for _ in range(20):
                sub.unsubscribe(b"v1/" + self._bytes(0, 2))

    def _disconnect(self) -> None:
        if self._sockets:
            sock = self._sockets.pop(self._chance.randrange(len(self._sockets)))
            self._trusted.discard(id(sock))
            sock.close()

    def _read(self) -> None:
        sock = self._any()
        while sock is not None and sock.socket_type != zmq.XSUB and sock.poll(0):
            sock.recv_multipart()

    def _no_zeromq(self) -> None:
        if len(self._raw) > 20:
            self._raw.pop(0).close()
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        self._raw.append(sock)
        greeting = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL" + bytes(48)
        try:
            sock.connect(f"{self._folder}/{self._chance.choice(['hub.pub', *ROUTERS])}")
            sock.send(self._chance.choice([b"", greeting[:20], greeting + self._bytes(0, 200), self._bytes(0, 2_000)]))
        except OSError:
            # the hub may be slow to accept, or quick to cut: either is its right
            self._raw.pop().close()

    def _oversize(self) -> None:
        sock = self._dealer()
        if sock is not None:
            self._send(sock, [b"A1", b"SEND", bytes(16), b"store", bytes(1024 * 1024 + 1)])

    # Of what

    def _any(self) -> "zmq.Socket[bytes] | None":
        return self._chance.choice(self._sockets) if self._sockets else None

    def _of(self, kind: int) -> "zmq.Socket[bytes] | None":
        found = [sock for sock in self._sockets if sock.socket_type == kind]
        return self._chance.choice(found) if found else None

    def _dealer(self) -> "zmq.Socket[bytes] | None":
        return self._of(zmq.DEALER)

    def _send(self, sock: "zmq.Socket[bytes]", parts: list[bytes]) -> None:
        sock.send_multipart(parts, zmq.NOBLOCK)

    def _bytes(self, least: int, most: int) -> bytes:
        return self._chance.randbytes(self._chance.randint(least, most))

    def _body(self) -> bytes:
        body = encode(self._chance.choice(DEEDS))
        return self._mutated(body) if self._chance.random() < 0.5 else body

    def _deep(self) -> bytes:
        depth = self._chance.choice([10, 3_000])
        start = self._chance.choice([b"[", b'{"a":', b'{"t":"request","do":{"job":'])
        return start * depth + b"1" + (b"]" if start == b"[" else b"}") * self._chance.choice([0, depth])

    def _junk(self) -> bytes:
        return self._chance.choice([b"", b"null", b"{}", b"\xff\xfe", b'{"t":7}', b'{"t":"', b"0" * 50_000, bytes(16)])

    def _mutated(self, data: bytes) -> bytes:
        found = bytearray(data)
        for _ in range(self._chance.randint(1, 4)):
            at = self._chance.randrange(len(found) + 1)
            match self._chance.randrange(4):
                case 0:
                    found[at : at + 1] = self._bytes(0, 2)
                case 1:
                    del found[at:]
                case 2:
                    found[at:at] = b"9" * self._chance.choice([1, 40])
                case _:
                    found[at:at] = found[: self._chance.randrange(len(found) + 1)]
        return bytes(found)


def main() -> None:
    """Become the user, and be hostile."""
    folder, seed, rounds, uid = sys.argv[1], *(int(word) for word in sys.argv[2:5])
    if uid != os.getuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    fuzzer = Fuzzer(folder, seed)
    fuzzer.run(rounds)
    # what was sent last goes out, and is met by a hub that is not yet done with it
    time.sleep(0.2)
    fuzzer.close()
    print(sum(fuzzer.done.values()), flush=True)


if __name__ == "__main__":
    main()
