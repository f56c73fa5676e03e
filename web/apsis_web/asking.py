"""Asking other services over the bus: the scheduler for deeds, the store for outputs."""

import asyncio
from typing import Any, Final, NamedTuple

import msgspec

from apsis.errors import ApsisError, Conflict, Denied, NotFound, Unavailable
from apsis.messages.alerts import AlertsRetried, AlertsState, AlertTested, AskAlerts, RetryAlerts, TestAlert
from apsis.messages.body import Body, decode
from apsis.messages.live import SAMPLES, AskLive, LiveHost
from apsis.messages.outputs import (
    AskStore,
    Found,
    OutputStat,
    ReadLines,
    ReadRange,
    Search,
    Slice,
    Stats,
    SweepOutputs,
    Swept,
)
from apsis.messages.requests import Deed, Done, Failed, Request
from apsis_bus import topics
from apsis_bus.peer import BusRefused, BusTimeout, Peer

#: seconds that a deed may take; it waits for a commit
DEED_TIMEOUT: Final = 10.0
#: seconds that a read of an output may take
READ_TIMEOUT: Final = 5.0
#: seconds that one step of a search may take; others may be before it
SEARCH_TIMEOUT: Final = 20.0
#: seconds that a test of an alert may take: its receiver may hang
TEST_TIMEOUT: Final = 150.0
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


class Gone(ApsisError):
    """It was there, and was removed: by whom and when stands in the message."""

    code = "gone"


class Place(NamedTuple):
    """Under which database and id the store has the output of a run."""

    journal: int
    run_id: str


class SchedulerAsk:
    """What people ask of the scheduler."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        _ask_again_when_it_comes(peer, "scheduler")

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
        _ask_again_when_it_comes(peer, "store")

    async def stat(self, place: Place) -> dict[str, Slice]:
        """Return the streams that a run printed; none, if nothing was printed yet.

        Raises:
            ServiceAway: the store does not answer.
            Gone: they were removed by retention.
        """
        try:
            body, _ = await self._read(OutputStat(run_id=place.run_id, journal=place.journal))
        except NotFound:
            return {}
        stats: Stats = decode(Stats, body)
        return {name: one for name, one in stats.streams.items() if name != SAMPLES}

    async def read(self, place: Place, stream: str, start: int, stop: int) -> tuple[Slice, bytes]:
        """Return up to half a MiB of the bytes [start, stop).

        Raises:
            ServiceAway: the store does not answer.
            NotFound: it has no such stream.
        """
        ask = ReadRange(
            run_id=place.run_id, stream=stream, start=start, stop=min(stop, start + READ_SIZE), journal=place.journal
        )
        body, payload = await self._read(ask)
        return decode(Slice, body), payload or b""

    async def lines(self, place: Place, stream: str, first: int, count: int) -> tuple[Slice, bytes]:
        """Return `count` lines from line `first` (negative: from the end), as many as fit into one answer.

        Raises:
            ServiceAway: the store does not answer.
            NotFound: it has no such stream.
        """
        ask = ReadLines(run_id=place.run_id, stream=stream, first=first, count=count, journal=place.journal)
        body, payload = await self._read(ask)
        return decode(Slice, body), payload or b""

    async def sweep(self) -> Swept:
        """Remove some of the outputs that are no longer kept.

        Raises:
            ServiceAway: the store does not answer.
        """
        body, _ = await _ask(self._peer, "store", SweepOutputs(), SEARCH_TIMEOUT, bulk=True)
        swept: Swept = decode(Swept, body)
        return swept

    async def search(self, ask: Search) -> Found:
        """Return what one step of a search has found.

        Raises:
            ServiceAway: the store does not answer.
            Unfit: what is searched for cannot be.
        """
        body, _ = await _ask(self._peer, "store", ask, SEARCH_TIMEOUT, bulk=True)
        found: Found = decode(Found, body)
        return found

    async def _read(self, ask: AskStore) -> tuple[bytes, bytes | None]:
        return await _ask(self._peer, "store", ask, READ_TIMEOUT, bulk=True)


class AlertsAsk:
    """What people ask of the service for alerts."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        _ask_again_when_it_comes(peer, "alerts")

    async def state(self, limit: int = 0) -> AlertsState:
        """Return how the delivery goes, with so many dead letters; raises ServiceAway."""
        body, _ = await _ask(self._peer, "alerts", AskAlerts(limit=limit), READ_TIMEOUT, bulk=False)
        state: AlertsState = decode(AlertsState, body)
        return state

    async def retry(self, event_ids: list[str]) -> int:
        """Have dead letters tried again (none named: all), and return how many; raises ServiceAway."""
        body, _ = await _ask(self._peer, "alerts", RetryAlerts(event_ids=event_ids), READ_TIMEOUT, bulk=False)
        retried: AlertsRetried = decode(AlertsRetried, body)
        return retried.count

    async def test(self, test: TestAlert) -> AlertTested:
        """Have a test alert sent, and return what came of it; raises ServiceAway."""
        body, _ = await _ask(self._peer, "alerts", test, TEST_TIMEOUT, bulk=False)
        tested: AlertTested = decode(AlertTested, body)
        return tested


class HostAsk:
    """What people ask of the supervisors of hosts."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def answers(self, host: str, timeout: float) -> bool:  # noqa: ASYNC109 - the bus keeps the time
        """Return whether the supervisor of a host answers in so many seconds."""
        try:
            await _ask(self._peer, f"supervisor/{host}", AskLive(run_id="r0"), timeout, bulk=False)
        except ApsisError:
            return False
        return True

    async def live(self, host: str, run_id: str) -> LiveHost:
        """Return the last figures of a run on its host; `runs` is empty where it was not looked at yet, or has ended.

        Raises:
            ServiceAway: the supervisor of that host does not answer.
        """
        body, _ = await _ask(self._peer, f"supervisor/{host}", AskLive(run_id=run_id), READ_TIMEOUT, bulk=False)
        live: LiveHost = decode(LiveHost, body)
        return live


def _ask_again_when_it_comes(peer: Peer, name: str) -> None:
    """Have what a service was asked and has not answered be asked again as soon as it has come to the bus anew.

    A message may lie in the socket of a process that is killed; nobody would tell us.
    """
    peer.subscribe(topics.topic("hello", name), lambda _: peer.lost(name))


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
        "gone": Gone,
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
