"""Who alerts are sent to in tests: a mail server and a receiver of webhooks, on real sockets, that can misbehave."""

import email
import email.policy
import http.server
import json
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any


@dataclass(frozen=True)
class Mail:
    """A mail that was taken."""

    sender: str
    to: tuple[str, ...]
    message: EmailMessage

    @property
    def id(self) -> str:
        """By which a receiver knows a mail that it had already."""
        return str(self.message["Message-ID"])

    @property
    def text(self) -> str:
        """The text itself, without what is attached."""
        body = self.message.get_body(("plain",))
        return str(body.get_content()) if body is not None else ""


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in mid-word is what these tests are about."""


class _Receiver:
    """A server in threads of its own; a context manager."""

    def __init__(self, handler: type[socketserver.BaseRequestHandler], port: int = 0) -> None:
        self._server: socketserver.TCPServer = _Server(("127.0.0.1", port), handler)
        self._server.receiver = self  # type: ignore[attr-defined]
        self.port = int(self._server.server_address[1])
        #: set: those who wait (`hang`) go on
        self.released = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Any:
        """Return it; it serves already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Serve no more."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def free_port() -> int:
    """Return a port where nobody listens now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class MailServer(_Receiver):
    """Takes mails. `answers` gives, by verb, what is answered instead: `{"DATA": "451 later"}`, or `hang`."""

    def __init__(self, port: int = 0) -> None:
        self.mails: list[Mail] = []
        self.answers: dict[str, str] = {}
        #: address: what RCPT is answered
        self.refuses: dict[str, str] = {}
        self.connections = 0
        super().__init__(_Smtp, port)


class _Smtp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        """Talk with one client."""
        self.server_: MailServer = self.server.receiver  # type: ignore[attr-defined]
        self.server_.connections += 1
        sender = ""
        to: list[str] = []
        if not self._say("CONNECT", "220 here"):
            return
        while line := self.rfile.readline():
            words = line.decode().strip()
            verb = words[:4].upper()
            address = words.partition("<")[2].partition(">")[0]
            if verb == "MAIL":
                sender, to = address, []
            if verb == "RCPT" and address in self.server_.refuses:
                self._write(self.server_.refuses[address])
                continue
            if verb == "RCPT":
                to.append(address)
            if verb == "DATA":
                self._take(sender, tuple(to))
            elif not self._say(verb, "221 bye" if verb == "QUIT" else "250 good") or verb == "QUIT":
                return

    def _take(self, sender: str, to: tuple[str, ...]) -> None:
        if (answer := self.server_.answers.get("DATA", "")).startswith(("4", "5")):
            self._write(answer)
            return
        self._write("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b".") else line)
        message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        if answer == "hang":
            self.server_.released.wait(60)
            return
        self.server_.mails.append(Mail(sender, to, message))
        self._write("250 taken")

    def _say(self, verb: str, usual: str) -> bool:
        answer = self.server_.answers.get(verb, usual)
        if answer == "hang":
            self.server_.released.wait(60)
            return False
        self._write(answer)
        return True

    def _write(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@dataclass(frozen=True)
class Call:
    """A request that was answered with success."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def id(self) -> str:
        """By which a receiver knows a request that it had already."""
        return self.headers["idempotency-key"]


class HookServer(_Receiver):
    """Takes webhooks, at any path."""

    def __init__(self, port: int = 0) -> None:
        self.calls: list[Call] = []
        #: the status of each answer
        self.answered: list[int] = []
        #: what the next requests are answered: a status, `hang`, or (status, headers)
        self.script: list[Any] = []
        #: answers all that the script does not: a status for a path
        self.always: Callable[[str], int] = lambda _path: 200
        super().__init__(_Http, port)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"


class _Http(http.server.BaseHTTPRequestHandler):
    def _answer(self) -> None:
        receiver: HookServer = self.server.receiver  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = receiver.script.pop(0) if receiver.script else receiver.always(self.path)
        if answer == "hang":
            receiver.released.wait(60)
            return
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        if 200 <= status < 300:
            given = {key.lower(): value for key, value in self.headers.items()}
            receiver.calls.append(Call(self.command, self.path, given, body))
        receiver.answered.append(status)
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT = do_PATCH = do_GET = do_DELETE = _answer  # noqa: N815 - as the base calls them

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
