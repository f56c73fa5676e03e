"""GET /ws: the gate for websockets, and Tornado's side of a connection."""

from typing import Any

from tornado.websocket import WebSocketClosedError, WebSocketHandler

from apsis_web.errors import TooMany
from apsis_web.handlers.resource import Resource
from apsis_web.websocket import protocol
from apsis_web.websocket.connection import Connection
from apsis_web.websocket.protocol import Close


class Live(Resource, WebSocketHandler):
    """The websocket. It passes the gate like any request, and the check of `Origin` besides."""

    connection: Connection | None = None

    def prepare(self) -> None:
        """Let pass, or raise why not."""
        super().prepare()
        if len(self.site.sockets) >= protocol.CONNECTIONS_MAX:
            raise TooMany("too many websockets are open", 10)

    def check_origin(self, origin: str) -> bool:
        """Refuse pages of other sites: a browser sends them the cookie too."""
        return self.site.hosts.same_origin(origin, self.request.host)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Take ours if it is offered."""
        return protocol.SUBPROTOCOL if protocol.SUBPROTOCOL in subprotocols else None

    def get_compression_options(self) -> dict[str, Any] | None:
        """Compress, at the price of 60 KiB a connection: a list of runs shrinks to a tenth."""
        return {"compression_level": 1, "mem_level": 5}

    def open(self, *args: str, **kwargs: str) -> None:
        """Begin."""
        if self.selected_subprotocol is None:
            self.close(Close.VERSION, f"offer the subprotocol {protocol.SUBPROTOCOL}")
            return
        assert self.caller is not None
        self.connection = Connection(self.site, self.caller, _Wire(self))
        self.site.sockets.add(self.connection)

    def on_message(self, message: str | bytes) -> None:
        """Hand a frame on."""
        if self.connection is not None:
            self.connection.hear(message)

    def on_close(self) -> None:
        """End."""
        if self.connection is not None:
            self.site.sockets.discard(self.connection)
            self.connection.close()


class _Wire:
    """What a connection needs of Tornado."""

    def __init__(self, handler: Live) -> None:
        self._handler = handler

    async def write(self, frame: bytes) -> None:
        """Write a text frame and wait until the kernel has taken it."""
        try:
            await self._handler.write_message(frame, binary=False)
        except WebSocketClosedError as error:
            raise ConnectionResetError("the websocket is closed") from error

    def close(self, code: int, reason: str) -> None:
        """Close."""
        self._handler.close(code, reason)
