"""The workers: forked where they are needed, one look at a time each, killed with all below where they do not answer.

Only for a process that has one thread, and nothing that a fork must not copy.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from apsis_services.scheduler.conditions.trees import end_tree, parents
from apsis_services.scheduler.conditions.wire import Ask, Begun, Outcome, Unframed, framed
from apsis_services.scheduler.conditions.worker import be_worker

#: seconds in which a class must be imported and made before the look itself begins; each has 10 s of its own
PREPARING: Final = 25.0
#: a worker is given up after so many looks, and so many seconds: what it has imported may be another by then
_LOOKS_AT_MOST: Final = 200
_OLD: Final = 300.0
#: seconds after which a worker is let go that has nothing to do
_IDLE: Final = 10.0
#: seconds in which a worker takes in what it is told: it waits for that
_TELLING: Final = 2.0


@dataclass(slots=True)
class Worker:
    """One process."""

    pid: int
    channel: socket.socket
    frames: Unframed = field(default_factory=Unframed)
    born: float = 0.0
    looks: int = 0
    idle_since: float = 0.0
    #: what it does, and how that ends
    ask: Ask | None = None
    done: Callable[[Outcome | None, str], None] | None = None
    #: begins to wait by itself: does not count among those that are to answer soon
    waits: bool = False
    timeout: float | None = None
    limit: asyncio.TimerHandle | None = None


class Pool:
    """Starts, follows and ends workers."""

    def __init__(self, waits_at_most: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._workers: dict[int, Worker] = {}
        self._idle: list[Worker] = []
        #: told to end, and not reaped yet
        self._leaving: set[int] = set()
        self._waits_at_most = waits_at_most
        self._loop.call_later(_IDLE, self._tidy)
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    @property
    def busy(self) -> int:
        """How many looks are under way that are to end soon."""
        return sum(worker.ask is not None and not worker.waits for worker in self._workers.values())

    @property
    def waiting(self) -> int:
        """How many classes wait by themselves."""
        return sum(worker.waits for worker in self._workers.values())

    def begin(self, ask: Ask, done: Callable[[Outcome | None, str], None]) -> Worker:
        """Begin a look; `done` is called once, later, with its outcome, or with None and what happened instead.

        Raises:
            OSError: no process can be made, or told.
        """
        worker = self._idle.pop() if self._idle else self._fork()
        worker.ask, worker.done, worker.looks = ask, done, worker.looks + 1
        worker.timeout, worker.waits = PREPARING, False
        worker.limit = self._loop.call_later(PREPARING, self._too_long, worker)
        try:
            worker.channel.settimeout(_TELLING)
            worker.channel.sendall(framed(ask))
            worker.channel.setblocking(False)
        except OSError:
            self.end(worker)
            raise
        return worker

    def end(self, worker: Worker, why: str = "") -> None:
        """Kill a worker with everything below it; with a reason, whoever waits for its outcome is told."""
        done = worker.done
        self._forget(worker)
        end_tree(worker.pid)
        if done is not None and why:
            done(None, why)

    def close(self) -> None:
        """Kill all."""
        for worker in list(self._workers.values()):
            self.end(worker)

    def _fork(self) -> Worker:
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            be_worker(parent, theirs)
        theirs.close()
        ours.setblocking(False)
        worker = Worker(pid, ours, born=time.monotonic())
        self._workers[pid] = worker
        self._loop.add_reader(ours.fileno(), self._read, worker)
        return worker

    def _read(self, worker: Worker) -> None:
        try:
            data = worker.channel.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # it has ended, and will be reaped
            self._loop.remove_reader(worker.channel.fileno())
            return
        try:
            for body in worker.frames.feed(data):
                self._take(worker, msgspec.json.decode(body, type=Begun | Outcome))
        except (ValueError, msgspec.DecodeError):
            self.end(worker, "its process said what is not understood")

    def _take(self, worker: Worker, body: Begun | Outcome) -> None:
        if worker.limit is not None:
            worker.limit.cancel()
            worker.limit = None
        if isinstance(body, Begun):
            worker.timeout = body.timeout
            if body.timeout is not None:
                worker.limit = self._loop.call_later(body.timeout, self._too_long, worker)
            elif self.waiting >= self._waits_at_most:
                self.end(worker, f"there are {self._waits_at_most} already that wait by themselves")
            else:
                worker.waits = True
            return
        done, worker.done, worker.ask, worker.waits = worker.done, None, None, False
        worker.idle_since = time.monotonic()
        if worker.looks >= _LOOKS_AT_MOST or worker.idle_since - worker.born > _OLD:
            self._let_go(worker)
        else:
            self._idle.append(worker)
        if done is not None:
            done(body, "")

    def _tidy(self) -> None:
        """Let go who has had nothing to do for some time."""
        now = time.monotonic()
        for worker in [worker for worker in self._idle if now - worker.idle_since >= _IDLE]:
            self._let_go(worker)
        self._loop.call_later(_IDLE, self._tidy)

    def _let_go(self, worker: Worker) -> None:
        """Have a worker end that does nothing: by the end of its channel."""
        self._leaving.add(worker.pid)
        self._forget(worker)

    def _too_long(self, worker: Worker) -> None:
        worker.limit = None
        self.end(worker, f"did not answer within {worker.timeout:g} s")

    def _forget(self, worker: Worker) -> None:
        if self._workers.pop(worker.pid, None) is None:
            return
        if worker.limit is not None:
            worker.limit.cancel()
            worker.limit = None
        if worker in self._idle:
            self._idle.remove(worker)
        worker.ask, worker.done, worker.waits = None, None, False
        self._loop.remove_reader(worker.channel.fileno())
        worker.channel.close()

    def _reap(self) -> None:
        """Take note of those that have ended, and end what they have left behind."""
        ended = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            ended = True
            self._leaving.discard(pid)
            worker = self._workers.get(pid)
            if worker is not None:
                done = worker.done
                self._forget(worker)
                if done is not None:
                    code = os.waitstatus_to_exitcode(status)
                    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
                    done(None, f"its process ended in the midst of it ({how})")
        if ended:
            for pid, parent in parents().items():
                if parent == os.getpid() and pid not in self._workers and pid not in self._leaving:
                    end_tree(pid)
