"""What the web tests play with: real hub, store and web processes, and a scheduler's side over bus and database."""

import http.client
import json
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from web_client import Answer, Mirror, Socket
from web_loop import WAIT, Loop, until
from web_scheduler import Scheduler

from apsis.home import Home
from apsis.messages.outputs import Chunk, OutputEnd
from apsis_bus.lock import read_lock
from apsis_bus.peer import Peer

TOKEN = "the-token-of-the-test-home"


class Process:
    """A service that is started, ended and started again."""

    def __init__(self, home: Home, module: str, name: str) -> None:
        self.home, self.module, self.name = home, module, name
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self, *more: str, ready: bool = True) -> "Process":
        with self.home.service_log(self.name).open("ab") as log:
            command = [sys.executable, "-m", self.module, "--home", str(self.home.root), *more]
            self.popen = subprocess.Popen(command, stderr=log, cwd="/")
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        def is_ready() -> bool:
            assert self.popen is not None
            assert self.popen.poll() is None, self.log()
            info = read_lock(self.home.lock(self.name))
            return info is not None and info.ready and info.pid == self.popen.pid

        until(is_ready, what=f"{self.name} is ready")

    @property
    def address(self) -> str:
        info = read_lock(self.home.lock(self.name))
        assert info is not None
        assert info.address is not None
        return info.address

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.popen is not None
        self.popen.send_signal(signal.SIGCONT)
        self.popen.send_signal(number)
        code = self.popen.wait(10)
        self.popen = None
        return code

    def close(self) -> None:
        if self.popen is not None:
            died = self.popen.poll()
            assert died is None, f"{self.name} ended by itself with {died}:\n{self.log()}"
            # It may be on its way: a service that crashed says goodbye for some seconds before it ends.
            crashed = "event=crashed" in self.log()
            self.end(signal.SIGKILL)
            assert not crashed, f"{self.name} was about to end by itself:\n{self.log()}"

    def log(self) -> str:
        return self.home.service_log(self.name).read_text()

    def rss(self) -> int:
        """Resident bytes."""
        assert self.popen is not None
        for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")


class Stage:
    """One home and its processes."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.loop = Loop()
        self.hub = Process(home, "apsis_bus.hub", "hub")
        self.store = Process(home, "apsis_services.store", "store")
        self.web = Process(home, "apsis_web", "web")
        self._scheduler: Scheduler | None = None
        self._host: Peer | None = None
        self._sockets: list[Socket] = []

    @property
    def scheduler(self) -> Scheduler:
        if self._scheduler is None:
            self._scheduler = Scheduler(self.home, self.loop)
        return self._scheduler

    def start(self) -> "Stage":
        """Start hub, scheduler and web, and wait until web has caught up."""
        self.hub.start()
        self.scheduler.join()
        self.web.start()
        self.caught_up()
        return self

    def caught_up(self) -> None:
        """Wait until web answers with the scheduler's head."""

        def at_head() -> bool:
            answer = self.get("/runs?limit=0")
            return answer.status == 200 and answer.json["seq"] == self.scheduler.head

        until(at_head, what="web is at the head")

    def close(self) -> None:
        for socket in self._sockets:
            socket.close()
        if self._host is not None:
            self.loop.run(self._host.close())
        if self._scheduler is not None:
            self._scheduler.close()
        with ExitStack() as rest:
            # each is ended whatever is said of the others
            rest.callback(self.loop.close)
            for process in (self.hub, self.store, self.web):
                rest.callback(process.close)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = TOKEN,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Make one request; paths are below /api/v1 unless they begin with `//`."""
        host = self.web.address.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=WAIT)
        sent = dict(headers or {})
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        full = path[1:] if path.startswith("//") else "/api/v1" + path
        try:
            connection.request(method, full, body=data, headers=sent)
            response = connection.getresponse()
            read = response.read()
        finally:
            connection.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, read)

    def get(self, path: str, **more: Any) -> Answer:
        return self.call("GET", path, **more)

    @contextmanager
    def stream(self, path: str, headers: dict[str, str] | None = None) -> Iterator[http.client.HTTPResponse]:
        """Make a request and hand out the answer while it comes."""
        connection = http.client.HTTPConnection(self.web.address.removeprefix("http://"), timeout=WAIT)
        connection.request("GET", "/api/v1" + path, headers={"Authorization": f"Bearer {TOKEN}", **(headers or {})})
        response = connection.getresponse()
        try:
            yield response
        finally:
            response.close()
            connection.close()

    def socket(self, *, headers: dict[str, str] | None = None, subprotocol: str | None = "apsis.v1.json") -> Socket:
        """Open a websocket."""
        sent = {"Authorization": f"Bearer {TOKEN}"} if headers is None else headers
        self._sockets.append(Socket(self.loop, self.web.address + "/api/v1/ws", sent, subprotocol))
        return self._sockets[-1]

    def log_in(self) -> dict[str, str]:
        """Log in as the page does; return the headers that a browser would send from then on."""
        answer = self.call("POST", "/login", {"token": TOKEN}, token=None)
        assert answer.status == 200, answer.data
        cookie = answer.headers["set-cookie"].split(";")[0]
        return {"Cookie": cookie, "X-XSRF-Token": answer.json["xsrf"]}

    def print_output(
        self, run_id: str, data: bytes, *, offset: int = 0, stream: str = "output", end: bool = False, gap: int = 0,
        journal: int | None = None,
    ) -> None:  # fmt: skip
        """Send bytes to the store as a supervisor does; with a `gap` of so many lost bytes before them."""
        number = self.scheduler.journal if journal is None else journal
        if gap:
            lost = Chunk(
                host="test", run_id=run_id, stream=stream, offset=offset, length=gap, crc32=0, gap=True, journal=number
            )
            offset += gap

        async def send() -> None:
            if self._host is None:
                self._host = Peer(self.home, "supervisor/test", bulk=True, epoch="e")
                self._host.handle(lambda delivery: None)
                await self._host.connect(WAIT)
            if gap:
                self._host.send("store", lost, bulk=True)
            for start in range(0, len(data), 256 * 1024):
                piece = data[start : start + 256 * 1024]
                chunk = Chunk(
                    host="test",
                    run_id=run_id,
                    stream=stream,
                    offset=offset + start,
                    length=len(piece),
                    crc32=zlib.crc32(piece),
                    journal=number,
                )
                self._host.send("store", chunk, payload=piece, bulk=True)
            if end:
                lengths = {stream: offset + len(data)}
                self._host.send(
                    "store", OutputEnd(host="test", run_id=run_id, lengths=lengths, journal=number), bulk=True
                )

        self.loop.run(send())


__all__ = ["TOKEN", "Answer", "Mirror", "Process", "Scheduler", "Socket", "Stage", "until"]
