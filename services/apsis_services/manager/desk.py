"""`run/manager.sock`: takes one request a connection, a line of JSON, and writes the lines of its answer.

Only this user and root are heard: the folder's mode keeps others out, and the peer's uid is asked as well.
"""

import contextlib
import json
import os
import selectors
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from apsis.home import Home
from apsis.manager_socket import SOCKET, near_path

#: one line of an answer, or None: nothing to say yet
Lines = Iterator[dict[str, Any] | None]

_REQUEST_MAX: Final = 64 * 1024
_CREDENTIALS: Final = struct.Struct("3i")
#: seconds that a client may leave an answer untaken before it is left alone
_PATIENCE: Final = 1.0


class Desk:
    """Listens; each request becomes an iterator of lines, which is advanced until it ends."""

    def __init__(self, home: Home, selector: selectors.BaseSelector, answer: Callable[[dict[str, Any]], Lines]) -> None:
        self._selector = selector
        self._answer = answer
        self._asking: dict[socket.socket, bytes] = {}
        self._answering: list[tuple[socket.socket | None, Lines]] = []
        self._path = home.run / SOCKET
        self._path.unlink(missing_ok=True)  # we hold the manager's lock: it was left by a manager that was killed
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(home.run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._listener.bind(near_path(directory))
        finally:
            os.close(directory)
        self._path.chmod(0o600)
        self._listener.listen(16)
        self._listener.setblocking(False)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    @property
    def is_busy(self) -> bool:
        """Say whether an answer is not finished, so that `advance` is to be called soon."""
        return bool(self._answering)

    def add(self, lines: Lines) -> None:
        """Work through what nobody reads: an order that came by a signal."""
        self._answering.append((None, lines))

    def advance(self) -> None:
        """Write the lines that have become ready."""
        for entry in list(self._answering):
            sock, lines = entry
            while True:
                try:
                    line = next(lines)
                except StopIteration:
                    self._answering.remove(entry)
                    if sock is not None:
                        sock.close()
                    break
                if line is None:
                    break
                if sock is None:
                    continue
                with contextlib.suppress(OSError):  # who asked has gone away; what was asked is done all the same
                    sock.sendall(json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """Say what is left to say, and listen no more."""
        self.advance()
        for sock in [*self._asking, *(sock for sock, _ in self._answering if sock is not None)]:
            sock.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in (0, os.geteuid()):
            sock.close()
            return
        sock.settimeout(_PATIENCE)
        self._asking[sock] = b""
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._read(sock))

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_REQUEST_MAX)
        except OSError:
            data = b""
        request = self._asking[sock] + data
        if data and b"\n" not in request and len(request) <= _REQUEST_MAX:
            self._asking[sock] = request
            return
        self._selector.unregister(sock)
        del self._asking[sock]
        line, end, _ = request.partition(b"\n")
        if not end:
            sock.close()
            return
        self._answering.append((sock, self._lines(line)))
        self.advance()

    def _lines(self, line: bytes) -> Lines:
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            return iter([refusal("bad_request", "a request is one line of JSON, an object with the key `do`")])
        return self._answer(request)


def refusal(code: str, message: str, hint: str = "") -> dict[str, Any]:
    """Return the line that says that nothing was done."""
    return {"error": {"code": code, "message": message, "hint": hint}}
