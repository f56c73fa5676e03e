"""Whoever asked a zygote for a start, and the answers that zygote and shim give."""

import select
import socket
from typing import Any, Final

from apsis_services.supervisor.zygote.log import say
from apsis_services.supervisor.zygote.notation import encode

#: how long a shim waits for a client that does not read
_ANSWER_MS: Final = 5000


class Asker:
    """Who waits for the answer to one request, at the other end of a connection."""

    __slots__ = ("connection", "number")

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.connection = connection
        self.number = number

    def tell(self, fact: str, value: object) -> None:
        """Answer with one fact; one who went away, or does not read for long, has to ask again."""
        if self.connection.fileno() >= 0:
            answer(self.connection, {"id": self.number, fact: value})

    def leave(self) -> None:
        """Let go of the connection, in a shim: the zygote has its own."""
        self.connection.close()


def answer(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send a message to a client; that it cannot be delivered is only logged."""
    data = encode(message)
    try:
        try:
            connection.send(data)
        except BlockingIOError:
            poll = select.poll()
            poll.register(connection, select.POLLOUT)
            poll.poll(_ANSWER_MS)
            connection.send(data)
    except OSError as error:
        say("WARNING", "answer_lost", f"an answer could not be delivered: {error.strerror}")
