"""The zygote: a small process with everything imported, from which a shim is forked for each run.

It speaks to the supervisor by one unix socket, keeps the programs of shims that were killed, and
survives whoever started it. SIGTERM makes it retire: it starts nothing more, and ends with its last
run, for a run is never given up to let a service stop.
"""

# The zygote does not load pathlib.
# ruff: noqa: PTH108

import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import time
import traceback
from typing import Any, Final, NoReturn

from apsis_services.supervisor.zygote.files import MESSAGE_BYTES, socket_name
from apsis_services.supervisor.zygote.identity import Identity, boot_id, start_ticks
from apsis_services.supervisor.zygote.journal import SUFFIX, parse_key
from apsis_services.supervisor.zygote.linux import open_signalfd, read_signals, set_name, set_subreaper
from apsis_services.supervisor.zygote.lock import Options, listen, take_lock
from apsis_services.supervisor.zygote.log import say
from apsis_services.supervisor.zygote.shim import run_shim
from apsis_services.supervisor.zygote.wards import Ward, Wards

ALREADY_RUNNING: Final = 75
_HEARD: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1)
_ONE_DESCRIPTOR: Final = socket.CMSG_SPACE(4)
#: how long a shim waits for a client that does not read
_ANSWER_MS: Final = 5000

Message = dict[str, Any]


class Zygote:
    """One thread, one loop: starts shims, reaps them, and keeps what the killed ones leave."""

    def __init__(self, options: Options, me: Identity, listener: socket.socket) -> None:
        self._options = options
        self._me = me
        self._boot = boot_id()
        self._listener = listener
        self._connections: dict[int, socket.socket] = {}
        self._wards = Wards(options.spool, me)
        self._retiring = False
        self._signals = open_signalfd(_HEARD)
        self._poll = select.poll()
        self._poll.register(listener, select.POLLIN)
        self._poll.register(self._signals, select.POLLIN)
        self._idle_since = time.monotonic()

    def run(self) -> str:
        """Serve until told to end with nothing left to keep, or idle for long enough; return why."""
        while True:
            until = self._wards.turn()
            now = time.monotonic()
            if self._wards or self._connections:
                self._idle_since = now
            if self._retiring and not self._wards:
                return "retired, and nothing is left to keep"
            idle_until = self._idle_since + self._options.idle
            if now >= idle_until:
                return f"nothing to do for {self._options.idle:g} s"
            if not self._wards and not self._connections:
                until = idle_until if until is None else min(until, idle_until)
            # poll() takes 24 days at most; an hour is as good as for ever, since the loop goes round
            timeout = None if until is None else max(0, int(min(until - now, 3600.0) * 1000) + 1)
            for fd, _ in self._poll.poll(timeout):
                self._serve(fd)

    def _serve(self, fd: int) -> None:
        if fd == self._signals:
            for number in read_signals(fd):
                self._on_signal(number)
        elif fd == self._listener.fileno():
            self._accept()
        elif fd in self._connections:
            self._receive(self._connections[fd])

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGTERM:
            self._retire("SIGTERM")
        elif number == signal.SIGUSR1:
            self._wards.read_orders()

    def _retire(self, why: str) -> None:
        if not self._retiring:
            say("INFO", "zygote_retires", f"told to retire ({why}); lives on for {len(self._wards)} runs")
        self._retiring = True

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _, uid, _ = struct.unpack("=iII", credentials)
        if uid not in (0, os.geteuid()):
            say("WARNING", "peer_refused", f"uid {uid} may not have programs started here")
            connection.close()
            return
        connection.setblocking(False)
        self._connections[connection.fileno()] = connection
        self._poll.register(connection, select.POLLIN)

    def _let_go(self, connection: socket.socket) -> None:
        self._poll.unregister(connection)
        del self._connections[connection.fileno()]
        connection.close()

    def _receive(self, connection: socket.socket) -> None:
        flags = socket.MSG_CMSG_CLOEXEC
        try:
            data, rights, _, _ = connection.recvmsg(MESSAGE_BYTES, _ONE_DESCRIPTOR, flags)
        except BlockingIOError:
            return
        except ConnectionError:
            data, rights = b"", []
        received = [int.from_bytes(payload[:4], sys.byteorder) for _, _, payload in rights]
        try:
            if data:
                self._obey(connection, json.loads(data), received)
            else:
                self._let_go(connection)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            say("ERROR", "bad_message", f"a message makes no sense, and its sender is let go: {error!r}")
            self._let_go(connection)
        finally:
            for fd in received:
                os.close(fd)

    def _obey(self, connection: socket.socket, message: Message, received: list[int]) -> None:
        match message["do"]:
            case "hello":
                facts = {"version": self._options.version, "retiring": self._retiring, "pid": self._me.pid}
                answer(connection, {"id": message["id"], **facts})
            case "retire":
                self._retire("by its client")
            case "start" if self._retiring:
                answer(connection, {"id": message["id"], "retiring": True})
            case "start":
                self._start(connection, message["id"], message["key"], received[0])
            case unknown:
                raise ValueError(f"there is nothing called {unknown!r}")

    def _start(self, connection: socket.socket, number: int, key: str, memory: int) -> None:
        """Fork the shim of a run, which answers by itself."""
        if parse_key(key) is None:
            raise ValueError(f"{key!r} names no run")
        try:
            pid = os.fork()
        except OSError as error:
            answer(connection, {"id": number, "error": f"the system has no room for a process: {error.strerror}"})
            return
        if pid == 0:
            _be_shim(self._options.spool, self._boot, connection, number, memory)

        def gone(how: str) -> None:
            if connection.fileno() >= 0:
                answer(connection, {"id": number, "gone": how})

        path = f"{self._options.spool}/journals/{key}{SUFFIX}"
        self._wards.shims[pid] = Ward(key, path, gone)


def answer(connection: socket.socket, message: Message) -> None:
    """Answer a client; one that went away, or does not read for long, has to ask again."""
    data = json.dumps(message, separators=(",", ":")).encode()
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


def _be_shim(spool: str, boot: str, connection: socket.socket, number: int, memory: int) -> NoReturn:
    """Be a shim, in the child, until its run is done. Nothing of the zygote's is kept open, its lock least of all."""
    code = 1
    try:
        keep = sorted((connection.fileno(), memory))
        os.closerange(3, keep[0])
        os.closerange(keep[0] + 1, keep[1])
        os.closerange(keep[1] + 1, 1 << 20)

        def reply(facts: dict[str, str]) -> None:
            answer(connection, {"id": number, **facts})
            connection.close()

        run_shim(spool, boot, memory, reply)
        code = 0
    except BaseException:  # noqa: BLE001 - the edge of a process: it is logged, and the zygote takes over
        say("ERROR", "shim_failed", "a shim failed: " + traceback.format_exc().replace("\n", " | "))
    finally:
        os._exit(code)


def main() -> int:
    """Be a zygote; the one argument is `Options` as JSON. Returns the exit code."""
    options = Options(**json.loads(sys.argv[1]))
    os.closerange(3, 1 << 20)
    os.chdir("/")
    os.umask(0o027)
    # Signals are read from a descriptor here and waited for in the shims; no handler ever runs.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ticks = start_ticks(os.getpid())
    assert ticks is not None
    me = Identity(os.getpid(), ticks)
    lock = take_lock(options, me)
    if lock is None:
        return ALREADY_RUNNING
    set_name("apsis-zygote")
    set_subreaper()
    zygote = Zygote(options, me, listen(options))
    say("INFO", "zygote_ready", f"zygote of generation {options.generation} is ready")
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection would touch, and so copy, every page that a shim shares with us
    why = zygote.run()
    say("INFO", "zygote_ended", f"zygote of generation {options.generation} ends: {why}")
    os.unlink(f"{options.run}/{socket_name(options.generation)}")
    return 0
