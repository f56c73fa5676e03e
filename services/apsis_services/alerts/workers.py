"""The workers of the service: started when something is to be delivered, ended when there is nothing for a while."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
from typing import Final

from apsis.messages.body import decode, encode
from apsis_services.alerts.orders import FRAME_MAX, HEAD, Order, Outcome, Verdict, limit_of

log = logging.getLogger("alerts")

#: letters that are delivered at a time
MOST: Final = 4
#: seconds after which an idle one is ended
IDLE: Final = 15.0
#: seconds between being told to end and KILL
_GRACE: Final = 6.0


class Workers:
    """Hands out orders; each worker does one at a time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(MOST)
        self._idle: list[asyncio.subprocess.Process] = []
        self._all: set[asyncio.subprocess.Process] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def deliver(self, order: Order) -> Outcome:
        """Have a letter delivered, and return what came of it; a worker that hangs is ended."""
        async with self._places:
            worker = await self._take()
            try:
                async with asyncio.timeout(patience(order)):
                    outcome = await _ask(worker, order)
            except TimeoutError:
                self._end(worker)
                return Outcome(verdict=Verdict.UNREACHABLE, text=f"no end after {patience(order):g} s")
            except (asyncio.IncompleteReadError, ConnectionError):
                self._end(worker)
                return Outcome(verdict=Verdict.AGAIN, text="its process ended before it was done")
            except asyncio.CancelledError:
                self._end(worker)
                raise
            self._give_back(worker)
            return outcome

    async def close(self) -> None:
        """End all of them, with what they have begun."""
        if self._timer is not None:
            self._timer.cancel()
        workers = list(self._all)
        for worker in workers:
            self._end(worker)
        await asyncio.gather(*(worker.wait() for worker in workers))

    async def _take(self) -> asyncio.subprocess.Process:
        while self._idle:
            worker = self._idle.pop()
            if worker.returncode is None:
                return worker
            self._all.discard(worker)
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "apsis_services.alerts.worker",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._all.add(worker)
        return worker

    def _give_back(self, worker: asyncio.subprocess.Process) -> None:
        self._idle.append(worker)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(IDLE, self._dismiss)

    def _dismiss(self) -> None:
        while self._idle:
            worker = self._idle.pop()
            if worker.stdin is not None:
                worker.stdin.close()
            self._all.discard(worker)
        _give_memory_back()

    def _end(self, worker: asyncio.subprocess.Process) -> None:
        """Have a worker end itself with its tree, and if it does not, end it."""
        self._all.discard(worker)
        with contextlib.suppress(ProcessLookupError):
            worker.terminate()
        asyncio.get_running_loop().call_later(_GRACE, _kill, worker)


def _give_memory_back() -> None:
    """Give back what a storm of letters has taken: else a service that is idle keeps it. Another libc is left alone."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def patience(order: Order) -> float:
    """Return the seconds after which a worker must have answered, whatever the other side does."""
    if order.letter.kind == "email":
        # each step of the talk has the timeout
        return 4 * order.smtp.timeout + 10
    if order.letter.kind == "webhook":
        return 2 * order.timeout + 10
    return limit_of(order.letter) + 15


async def _ask(worker: asyncio.subprocess.Process, order: Order) -> Outcome:
    assert worker.stdin is not None
    assert worker.stdout is not None
    data = encode(order)
    worker.stdin.write(len(data).to_bytes(HEAD, "big") + data)
    await worker.stdin.drain()
    size = int.from_bytes(await worker.stdout.readexactly(HEAD), "big")
    if size > FRAME_MAX:
        raise ConnectionError(f"an answer of {size} bytes")
    outcome: Outcome = decode(Outcome, await worker.stdout.readexactly(size))
    return outcome


def _kill(worker: asyncio.subprocess.Process) -> None:
    if worker.returncode is None:
        log.warning("a worker did not end and is killed", extra={"event": "worker_killed", "pid": worker.pid})
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
