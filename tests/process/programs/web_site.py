"""A small site that is really there: an HTTP server in a thread, which remembers what it was asked."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Site:
    """Serves the paths below; a context manager. With a `certificate` it speaks TLS."""

    def __init__(self, certificate: str | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                site.asked.append(
                    {
                        "method": self.command, "path": self.path, "headers": dict(self.headers),
                        "body": self.rfile.read(length).decode(),
                    }
                )  # fmt: skip
                name = self.path.partition("?")[0].strip("/")
                if name == "cut":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
                    self.close_connection = True
                    return
                if name == "nonsense":
                    self.wfile.write(b"what?\r\n\r\n")
                    self.close_connection = True
                    return
                status, body = PAGES.get(name, (404, b"nothing here"))
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = do_OPTIONS = answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "Site":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


PAGES = {
    "": (200, b"welcome"),
    "data": (200, json.dumps({"state": "done", "rows": [1, 2], "more": {"a": True, "b": 1}}).encode()),
    "list": (200, b"[1, 2]"),
    "made": (201, b""),
    "moved": (302, b""),
    "broken": (503, b"try later"),
    "bytes": (200, bytes(range(256))),
    "deep": (200, b"[" * 100_000),
}
