"""Clients: an answer of REST, a websocket, and what a page makes of its frames."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect
from web_loop import WAIT, Loop


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def error(self) -> dict[str, Any]:
        assert set(self.json) == {"error"}, self.data
        error: dict[str, Any] = self.json["error"]
        assert {"code", "message", "hint", "loc", "request_id"} <= set(error)
        return error


class Socket:
    """A websocket client, from a test that does not speak asyncio."""

    def __init__(
        self, loop: Loop, url: str, headers: dict[str, str], subprotocol: str | None = "apsis.v1.json"
    ) -> None:
        self._loop = loop
        self._reading: asyncio.Future[Any] | None = None
        request = HTTPRequest(url.replace("http", "ws", 1), headers=headers, request_timeout=WAIT)

        async def connect() -> WebSocketClientConnection:
            return await websocket_connect(request, subprotocols=[subprotocol] if subprotocol else None)

        self.connection: WebSocketClientConnection = loop.run(connect())

    def send(self, **frame: Any) -> None:
        self.raw(json.dumps(frame))

    def raw(self, text: str) -> None:
        async def write() -> None:
            await self.connection.write_message(text)

        self._loop.run(write())

    def recv(self, seconds: float = WAIT) -> dict[str, Any] | None:
        """Return the next frame, or None when the socket was closed."""

        async def read() -> Any:
            if self._reading is None:
                self._reading = asyncio.ensure_future(self.connection.read_message())
            text = await asyncio.wait_for(asyncio.shield(self._reading), seconds)
            # Kept over a time-out: what it read meanwhile must not be lost.
            self._reading = None
            return text

        text = self._loop.run(read(), seconds + 5)
        return None if text is None else json.loads(text)

    def quiet(self, seconds: float) -> bool:
        """Tell whether nothing came for some seconds."""
        try:
            frame = self.recv(seconds)
        except TimeoutError:
            return True
        return frame is None

    def expect(self, kind: str, seconds: float = WAIT) -> dict[str, Any]:
        """Return the next frame of a kind."""
        while True:
            frame = self.recv(seconds)
            assert frame is not None, f"closed with {self.connection.close_code} before {kind}"
            if frame["t"] == kind:
                return frame

    def closed(self) -> int | None:
        """Return the close code, once it is closed."""
        while self.recv() is not None:
            pass
        return self.connection.close_code

    def drop(self) -> None:
        """Cut the connection without a word."""

        def cut() -> None:
            protocol = self.connection.protocol
            assert protocol is not None
            protocol.stream.close()
            self.connection.close()

        self._loop.call(cut)

    def close(self) -> None:
        def close() -> None:
            if self.connection.protocol is not None:
                self.connection.close()
                self.connection.on_connection_close()

        self._loop.call(close)


@dataclass
class Mirror:
    """What a page makes of the frames of one `runs` subscription."""

    id: int = 1
    seq: int = -1
    instance: str = ""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    snaps: int = 0

    def take(self, frame: dict[str, Any]) -> None:
        if frame["t"] == "hello":
            self.instance = frame["inst"]
        if frame.get("id") != self.id:
            return
        if frame["t"] == "snap":
            self.snaps += 1
            self.rows = {row["run_id"]: row for row in frame["rows"]}
        elif frame["t"] == "delta":
            assert frame["from"] == self.seq, "a delta must go on from where the client is"
            self.rows.update({row["run_id"]: row for row in frame["rows"]})
            for run_id in frame["gone"]:
                self.rows.pop(run_id, None)
        else:
            return
        self.seq = frame["seq"]
        self.facts = {name: frame[name] for name in ("total", "exact", "before", "after", "range", "counts")}
