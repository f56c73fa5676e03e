"""Asking other services over the bus: the scheduler for deeds, the store for outputs."""

import asyncio
from typing import Any, Final

import msgspec

from apsis.errors import ApsisError, Conflict, Denied, NotFound, Unavailable
from apsis.messages.body import Body, decode
from apsis.messages.outputs import AskStore, OutputStat, ReadLines, ReadRange, Slice, Stats
from apsis.messages.requests import Deed, Done, Failed, Request
from apsis_bus.peer import BusRefused, BusTimeout, Peer

#: seconds that a deed may take; it waits for a commit
DEED_TIMEOUT: Final = 10.0
#: seconds that a read of an output may take
READ_TIMEOUT: Final = 5.0
#: seconds to wait for a hub that is being restarted
_HUB_WAIT: Final = 2.0
_PAUSE: Final = 0.1
#: bytes of one read; the answer must fit into a frame of 1 MiB
READ_SIZE: Final = 512 * 1024


class ServiceAway(Unavailable):
    """A service does not answer now."""

    def __init__(self, service: str) -> None:
        super().__init__(
            f"the {service} is away", hint="it is restarted by itself; try again soon, or see `apsisctl status`"
        )


class Unfit(ApsisError):
    """What was sent is well formed, but a check of its meaning failed; `findings` lists why."""

    code = "unfit"

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.message, hint=failed.hint, loc=failed.loc)
        self.code = failed.code
        self.findings = failed.findings


class Damaged(ApsisError):
    """What is stored cannot be read."""

    code = "damaged"


class SchedulerAsk:
    """What people ask of the scheduler."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def do(self, deed: Deed, *, request_id: str, actor: str) -> Done:
        """Have something done; when this returns, it is committed.

        Raises:
            ServiceAway: nobody answered; sent again with the same request id it is done at most once.
            ApsisError: it was refused; the class says how.
        """
        request = Request(request_id=request_id, actor=actor, do=deed)
        body, _ = await _ask(self._peer, "scheduler", request, DEED_TIMEOUT, bulk=False)
        done: Done = decode(Done, body)
        return done


class StoreAsk:
    """What people read of outputs."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def stat(self, run_id: str) -> dict[str, Slice]:
        """Return the streams of a run; none, if nothing was printed yet.

        Raises:
            ServiceAway: the store does not answer.
        """
        try:
            body, _ = await self._read(OutputStat(run_id=run_id))
        except NotFound:
            return {}
        stats: Stats = decode(Stats, body)
        return stats.streams

    async def read(self, run_id: str, stream: str, start: int, stop: int) -> tuple[Slice, bytes]:
        """Return up to half a MiB of the bytes [start, stop).

        Raises:
            ServiceAway: the store does not answer.
            NotFound: it has no such stream.
        """
        ask = ReadRange(run_id=run_id, stream=stream, start=start, stop=min(stop, start + READ_SIZE))
        body, payload = await self._read(ask)
        return decode(Slice, body), payload or b""

    async def lines(self, run_id: str, stream: str, first: int, count: int) -> tuple[Slice, bytes]:
        """Return `count` lines from line `first` (negative: from the end), as many as fit into one answer.

        Raises:
            ServiceAway: the store does not answer.
            NotFound: it has no such stream.
        """
        body, payload = await self._read(ReadLines(run_id=run_id, stream=stream, first=first, count=count))
        return decode(Slice, body), payload or b""

    async def _read(self, ask: AskStore) -> tuple[bytes, bytes | None]:
        return await _ask(self._peer, "store", ask, READ_TIMEOUT, bulk=True)


async def _ask(peer: Peer, to: str, body: Body, timeout: float, *, bulk: bool) -> tuple[bytes, bytes | None]:  # noqa: ASYNC109
    """Ask until answered or the time is over. Only what may safely be asked twice goes this way."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    patience = loop.time() + _HUB_WAIT
    while True:
        if not peer.connected:
            if loop.time() > patience:
                raise ServiceAway("hub")
            await asyncio.sleep(_PAUSE)
            continue
        try:
            return await peer.request(to, body, timeout=max(0.1, end - loop.time()), bulk=bulk)
        except BusTimeout as error:
            raise ServiceAway(to) from error
        except BusRefused as refused:
            if refused.code != "lost" or loop.time() > end:
                raise _error_of(to, refused) from refused
        await asyncio.sleep(_PAUSE)


def _error_of(to: str, refused: BusRefused) -> ApsisError:
    """Return the error that a refusal means to the person who asked."""
    if refused.code in ("unroutable", "busy", "lost", "closed"):
        return ServiceAway(to)
    failed = _failed_of(refused)
    kinds: dict[str, Any] = {
        "not_found": NotFound,
        "conflict": Conflict,
        "denied": Denied,
        "unavailable": Unavailable,
        "damaged": Damaged,
    }
    kind = kinds.get(failed.code)
    if kind is None or failed.findings:
        return Unfit(failed)
    error: ApsisError = kind(failed.message, hint=failed.hint, loc=failed.loc)
    return error


def _failed_of(refused: BusRefused) -> Failed:
    try:
        failed: Failed = decode(Failed, refused.body)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return Failed(code=refused.code, message=refused.message)
    return failed
