"""The zygote: a small process with everything imported, from which a shim is forked for each run.

It speaks to the supervisor by one unix socket, keeps the programs of shims that were killed, and
survives whoever started it. SIGTERM makes it retire: it starts nothing more, and ends with its last
run, for a run is never given up to let a service stop.
"""

# The zygote does not load pathlib.
# ruff: noqa: PTH108

import gc
import os
import select
import signal
import socket
import struct
import sys
import time
from typing import Any, Final, NoReturn

from apsis.failpoints import reach
from apsis_services.supervisor.zygote.answers import Asker, answer
from apsis_services.supervisor.zygote.files import MESSAGE_BYTES, socket_name
from apsis_services.supervisor.zygote.identity import Identity, boot_id, start_ticks
from apsis_services.supervisor.zygote.journal import SUFFIX, parse_key
from apsis_services.supervisor.zygote.linux import close_others, open_signalfd, read_signals, set_name, set_subreaper
from apsis_services.supervisor.zygote.lock import Options, listen, take_lock
from apsis_services.supervisor.zygote.log import say, whereabouts
from apsis_services.supervisor.zygote.notation import decode
from apsis_services.supervisor.zygote.pools import fill_pools
from apsis_services.supervisor.zygote.rehearsal import NAME, rehearse
from apsis_services.supervisor.zygote.shim import run_shim
from apsis_services.supervisor.zygote.stamps import stamp_now
from apsis_services.supervisor.zygote.wards import Ward, Wards

ALREADY_RUNNING: Final = 75
_HEARD: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1)
#: of what zygote and shims make; a program's is told in its request
_UMASK: Final = 0o027
_ONE_DESCRIPTOR: Final = socket.CMSG_SPACE(4)

Message = dict[str, Any]


class Zygote:
    """One thread, one loop: starts shims, reaps them, and keeps what the killed ones leave."""

    def __init__(self, options: Options, me: Identity, listener: socket.socket) -> None:
        self._options = options
        self._spool = options.spool
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
        self._midnight = 0.0

    def run(self) -> str:
        """Serve until told to end with nothing left to keep, or idle for long enough; return why."""
        while True:
            until = self._wards.turn()
            now = time.monotonic()
            if now >= self._midnight:
                self._midnight = _learn_date(now)
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
        received: list[int] = []
        for _, _, payload in rights:  # where one descriptor was asked for, the kernel has room for two
            received += struct.unpack("i" * (len(payload) // 4), payload)
        try:
            if data:
                self._obey(connection, decode(data), received)
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
                Asker(connection, message["id"]).tell("retiring", True)
            case "start":
                self._start(Asker(connection, message["id"]), message["key"], received[0])
            case unknown:
                raise ValueError(f"there is nothing called {unknown!r}")

    def _start(self, asker: Asker, key: str, memory: int) -> None:
        """Fork the shim of a run, which answers by itself."""
        if parse_key(key) is None:
            raise ValueError(f"{key!r} names no run")
        try:
            pid = os.fork()
        except OSError as error:
            asker.tell("error", f"the system has no room for a process: {error.strerror}")
            return
        if pid == 0:
            _be_shim(self._spool, self._boot, asker, memory)
        reach("zygote.forked")
        path = f"{self._spool}/journals/{key}{SUFFIX}"
        self._wards.shims[pid] = Ward(key, path, asker)


def _learn_date(now: float) -> float:
    """Have a stamp made, so that each shim knows today's date; return when (monotonic) it is another one."""
    stamp_now()
    return now + 86400.0 - time.time() % 86400.0


def _be_shim(spool: str, boot: str, asker: Asker, memory: int) -> NoReturn:
    """Be a shim, in the child, until its run is done. Nothing of the zygote's is kept open, its lock least of all."""
    code = 1
    try:
        close_others(asker.connection.fileno(), memory)
        code = run_shim(spool, boot, memory, asker)
    except BaseException as error:  # noqa: BLE001 - the edge of a process: it is logged, and the zygote takes over
        say("ERROR", "shim_failed", f"a shim failed: {whereabouts(error)}")
    finally:
        os._exit(code)


def main() -> int:
    """Be a zygote; the one argument is `Options` as JSON. Returns the exit code."""
    options = Options(**decode(os.fsencode(sys.argv[1])))
    os.closerange(3, 1 << 20)
    os.chdir("/")
    os.umask(_UMASK)
    # Signals are read from a descriptor here and waited for in the shims; no handler ever runs.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ticks = start_ticks(os.getpid())
    assert ticks is not None
    me = Identity(os.getpid(), ticks)
    lock = take_lock(options, me)
    if lock is None:
        return ALREADY_RUNNING
    set_name(NAME)
    set_subreaper()
    rehearse(f"{options.run}/rehearsal-{options.generation}", boot_id())
    os.umask(_UMASK)
    gc.collect()
    _filling = fill_pools()
    zygote = Zygote(options, me, listen(options))
    say("INFO", "zygote_ready", f"zygote of generation {options.generation} is ready")
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection would touch, and so copy, every page that a shim shares with us
    why = zygote.run()
    say("INFO", "zygote_ended", f"zygote of generation {options.generation} ends: {why}")
    os.unlink(f"{options.run}/{socket_name(options.generation)}")
    return 0
