"""The HTTP server, which answers a body that is far too long by its head alone, without reading it."""

import asyncio
import http
import secrets
from collections.abc import Awaitable
from typing import Final

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, StreamClosedError

from apsis.messages.body import encode
from apsis_web.errors import TooLarge, error_body
from apsis_web.gate import BODY_MAX

#: bytes up to which a body is read, so that its handler says 413 on a connection that stays open
READ_MAX: Final = 4 * BODY_MAX
#: seconds, and bytes at a time, for which a client that goes on sending is listened to after its answer
_DRAIN: Final = 2.0
_PIECE: Final = 65_536


class Server(HTTPServer):
    """Tornado's server; by itself it has only a bare 400 for a long body."""

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Look at the head of each request first."""
        return _Head(super().start_request(server_conn, request_conn), request_conn)


class _Head(HTTPMessageDelegate):
    """Passes everything on, but for a request whose head announces too much."""

    def __init__(self, delegate: HTTPMessageDelegate, connection: HTTPConnection) -> None:
        self._delegate = delegate
        self._connection = connection

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Refuse, or go on."""
        if _length(headers) <= READ_MAX or not isinstance(self._connection, HTTP1Connection):
            return self._delegate.headers_received(start_line, headers)
        # Detached, the connection is ours, and Tornado reads no further.
        return _refuse(self._connection.detach())

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Go on."""
        return self._delegate.data_received(chunk)

    def finish(self) -> None:
        """Go on."""
        self._delegate.finish()

    def on_connection_close(self) -> None:
        """Go on."""
        self._delegate.on_connection_close()


def _length(headers: HTTPHeaders) -> int:
    text = headers.get("Content-Length", "")
    # What is no number is Tornado's to refuse; a number is not made of a thousand digits.
    return int(text[:20]) if text.isascii() and text.isdigit() else 0


async def _refuse(stream: IOStream) -> None:
    """Answer 413 and hang up, but not in the face of a client that still sends: a reset would eat the answer."""
    request_id = secrets.token_hex(6)
    body = encode(error_body(TooLarge("the body is larger than 1 MiB", hint="send less"), request_id))
    head = (
        f"HTTP/1.1 413 {http.HTTPStatus(413).phrase}\r\n"
        "Content-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"X-Request-Id: {request_id}\r\n"
        "Connection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(_DRAIN):
            await stream.write(head.encode() + body)
            while True:
                await stream.read_bytes(_PIECE, partial=True)
    except (StreamClosedError, TimeoutError):
        stream.close()
