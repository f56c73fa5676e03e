"""Messages of several frames, sent and received one frame at a time.

pyzmq's own `send_multipart` and `recv_multipart` make a member of an enumeration, or look an option up, for each frame:
more than half of what a small message costs, and a run takes about twenty of them.
"""

from collections.abc import Iterable
from typing import Final

import zmq

_NOW: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)


def send(socket: "zmq.Socket[bytes]", parts: Iterable[bytes]) -> None:
    """Send one message, at once or not at all.

    Raises:
        zmq.Again: there is no room; nothing of it was sent.
    """
    *first, last = parts
    for part in first:
        socket.send(part, _MORE)
    socket.send(last, _NOW)


def receive_frames(socket: "zmq.Socket[bytes]") -> list[zmq.Frame]:
    """Return the frames of one message, with what libzmq knows of each.

    Raises:
        zmq.Again: none is there.
    """
    frames = [socket.recv(_NOW, copy=False)]
    while frames[-1].more:
        frames.append(socket.recv(_NOW, copy=False))
    return frames


def receive(socket: "zmq.Socket[bytes]") -> list[bytes]:
    """Return one message.

    Raises:
        zmq.Again: none is there.
    """
    return [frame.bytes for frame in receive_frames(socket)]
