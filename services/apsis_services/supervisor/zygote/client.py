"""The supervisor's end of the zygote's socket: finds or starts a zygote, and has programs started by it.

A start is answered when the claim is in place. The zygote lives in a session of its own and survives
this process; a new client finds it again by generation and version. Two zygotes at once are harmless,
since the journal is the claim; so whatever is in doubt is simply asked again, of another one.
"""

import asyncio
import itertools
import json
import logging
import os
import socket
from pathlib import Path
from typing import Any, Final

from apsis.errors import Unavailable
from apsis_services.supervisor.zygote.files import (
    MESSAGE_BYTES,
    is_alive,
    living_generations,
    near_path,
    socket_name,
    version_stamp,
)
from apsis_services.supervisor.zygote.journal import journal_path, read_journal
from apsis_services.supervisor.zygote.launch import start_zygote
from apsis_services.supervisor.zygote.lock import Options
from apsis_services.supervisor.zygote.request import StartRequest

#: starts that the zygote has not answered yet, at most: more would only crowd the machine
IN_FLIGHT: Final = 32
#: a new zygote listens by then, or something is wrong
BEGIN_SECONDS: Final = 15.0
#: a zygote that says nothing for so long while it owes an answer is given up, and another one is asked
SILENCE_SECONDS: Final = 20.0
#: how often a start is asked again when zygotes die over it
ATTEMPTS: Final = 5

log = logging.getLogger(__name__)


class ZygoteError(Unavailable):
    """A start was refused, or no zygote could be reached; nothing is claimed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, hint="see log/zygote.log")
        self.reason = reason


class _Lost(Exception):
    """The zygote went away before it answered."""


class ZygoteClient:
    """One connection to one zygote at a time; made anew as needed."""

    def __init__(
        self,
        spool: Path,
        run: Path,
        generation: int | None = None,
        *,
        log_file: Path | None = None,
        idle: float = 60.0,
    ) -> None:
        """Name the folders; nothing is started. `generation` None: the newest that lives, else 1.

        `log_file` is where a zygote started here writes (default: `log/zygote.log` beside `run`); it
        ends `idle` seconds after its last shim has ended and the last client has gone.
        """
        self.spool = spool
        self.run = run
        self.generation = generation or max(living_generations(str(run)), default=1)
        self.version = version_stamp()
        self.zygote_pid: int | None = None
        self._log_file = log_file or run.parent / "log" / "zygote.log"
        self._idle = idle
        self._socket: socket.socket | None = None
        self._connecting = asyncio.Lock()
        self._sending = asyncio.Lock()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._heard = 0.0

    async def ensure(self) -> None:
        """Be connected to a zygote of our version, starting one if there is none.

        One of another version, or one that retires, is told to retire, and the next generation is used.

        Raises:
            ZygoteError: none could be started or reached.
        """
        if self.zygote_pid is not None:
            return
        async with self._connecting:
            for _ in range(ATTEMPTS):
                if self.zygote_pid is not None:
                    return
                await self._connect()
                try:
                    hello = await self._ask({"do": "hello"})
                    if hello["version"] == self.version and not hello["retiring"]:
                        self.zygote_pid = hello["pid"]
                        return
                    log.info("zygote of generation %s is not ours to use; it retires", self.generation)
                    await self._tell({"do": "retire"})
                except _Lost:
                    continue
                self._drop("another generation is used")
                self.generation += 1
        raise ZygoteError("no zygote stays reachable")

    async def start(self, request: StartRequest) -> str:
        """Have a program started: `claimed` (the journal is ours and in place) or `exists` (there was one).

        After `exists` read the journal: it may be another start's, or this one's, asked for twice
        because a zygote died over it.

        Raises:
            ZygoteError: nothing is claimed by this request, and nothing will be.
        """
        async with self._slots:
            for _ in range(ATTEMPTS):
                await self.ensure()
                try:
                    answer = await self._ask({"do": "start", "key": request.key}, request.encode())
                except _Lost:
                    continue
                if answer.get("retiring"):
                    self._drop("it retires")
                    continue
                return self._outcome(request, answer)
        raise ZygoteError("zygotes end again and again before they answer")

    async def retire(self) -> None:
        """Tell the zygote to start nothing more and to end with its last program; then let go of it."""
        try:
            await self._tell({"do": "retire"})
        except _Lost:
            return
        self._drop("told to retire")

    async def close(self) -> None:
        """Let go of the zygote, which goes on with what it has."""
        self._drop("closed")

    def _outcome(self, request: StartRequest, answer: dict[str, Any]) -> str:
        if "gone" not in answer:
            if "error" in answer:
                raise ZygoteError(answer["error"])
            return str(answer["ok"])
        # The shim was killed before it could answer. It is dead, so what the journal says now is final.
        state = read_journal(journal_path(self.spool, request.journal, request.run_id))
        if state.phase != "none":
            return "exists"
        raise ZygoteError(f"the shim ended ({answer['gone']}) before it had claimed the run")

    async def _connect(self) -> None:
        """Connect to the zygote of our generation; start one if none lives."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + BEGIN_SECONDS
        started = False
        while True:
            directory = os.open(self.run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, near_path(directory, socket_name(self.generation)))
            except OSError:  # nobody listens there (yet)
                sock.close()
            else:
                self._socket = sock
                self._heard = loop.time()
                loop.add_reader(sock.fileno(), self._on_readable, sock)
                return
            finally:
                os.close(directory)
            if not started and not is_alive(str(self.run), self.generation):
                options = Options(str(self.spool), str(self.run), self.generation, self.version, self._idle)
                start_zygote(options, self._log_file)
                started = True
            elif loop.time() > deadline:
                if not is_alive(str(self.run), self.generation):
                    raise ZygoteError(f"the zygote that was started ends at once; {self._log_file} says why")
                log.warning("zygote of generation %s lives and cannot be reached; another one is used", self.generation)
                self.generation += 1
                started, deadline = False, loop.time() + BEGIN_SECONDS
            await asyncio.sleep(0.01)

    async def _ask(self, message: dict[str, Any], request: bytes | None = None) -> dict[str, Any]:
        """Send a message and return its answer; `_Lost` if the zygote goes, or says nothing for too long."""
        loop = asyncio.get_running_loop()
        number = next(self._numbers)
        future: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._pending[number] = future
        try:
            await self._tell({"id": number, **message}, request)
            while True:
                done, _ = await asyncio.wait([future], timeout=SILENCE_SECONDS)
                if done:
                    return future.result()
                if loop.time() - self._heard >= SILENCE_SECONDS:
                    log.warning("zygote of generation %s is silent; another one is asked", self.generation)
                    self._drop("silent")
                    self.generation += 1
        finally:
            del self._pending[number]
            if future.done() and not future.cancelled():
                future.exception()  # seen, also where sending failed first

    async def _tell(self, message: dict[str, Any], request: bytes | None = None) -> None:
        data = json.dumps(message, separators=(",", ":")).encode()
        memory = None
        try:
            rights: list[tuple[int, int, bytes]] = []
            if request is not None:
                memory = os.memfd_create("apsis-start", os.MFD_CLOEXEC)
                _write_all(memory, request)
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, memory.to_bytes(4, "little"))]
            async with self._sending:
                await self._send(data, rights)
        finally:
            if memory is not None:
                os.close(memory)

    async def _send(self, data: bytes, rights: list[tuple[int, int, bytes]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock = self._socket
            if sock is None:
                raise _Lost
            try:
                sock.sendmsg([data], rights)
            except BlockingIOError:
                writable = loop.create_future()
                loop.add_writer(sock.fileno(), _resolve, writable)
                try:
                    await writable
                finally:
                    if sock.fileno() >= 0:
                        loop.remove_writer(sock.fileno())
            except OSError as error:
                self._drop(f"{error.strerror}")
                raise _Lost from error
            else:
                return

    def _on_readable(self, sock: socket.socket) -> None:
        self._heard = asyncio.get_running_loop().time()
        while sock is self._socket:
            try:
                data = sock.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._drop(f"{error.strerror}")
                return
            if not data:
                self._drop("it has ended")
                return
            answer = json.loads(data)
            future = self._pending.get(answer["id"])
            if future is not None and not future.done():
                future.set_result(answer)

    def _drop(self, reason: str) -> None:
        """Let go of the connection; whoever waits for an answer asks again."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        log.debug("zygote of generation %s let go: %s", self.generation, reason)
        asyncio.get_running_loop().remove_reader(sock.fileno())
        sock.close()
        self.zygote_pid = None
        for future in self._pending.values():
            if not future.done():
                future.set_exception(_Lost())


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
