"""One connection: what the client says is taken at once, what is told goes through one writer that waits."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Final, Protocol

from apsis import __version__
from apsis.errors import ApsisError, BadRequest, NotFound
from apsis.filters.errors import did_you_mean
from apsis.messages.body import encode
from apsis.times import format_time
from apsis_web.feed import now_micros
from apsis_web.sessions import Caller
from apsis_web.site import Site
from apsis_web.websocket import protocol
from apsis_web.websocket.protocol import Close
from apsis_web.websocket.runs import RunsSubscription
from apsis_web.websocket.subscription import Past, Subscription
from apsis_web.websocket.topics import HealthSubscription, JobsSubscription, OutputSubscription, RunSubscription
from apsis_web.window import ROWS_MAX

log = logging.getLogger("web")

#: seconds that one write may take
WRITE_TIMEOUT: Final = 30.0
#: answers that may wait for the writer; a client that asks on without reading is cut
_ANSWERS_MAX: Final = 64
_TOPICS: Final = ("runs", "run", "output", "jobs", "health")


class Wire(Protocol):
    """The socket below."""

    def write(self, frame: bytes) -> Awaitable[None]:
        """Write a frame; done when the client's side has room again."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close."""
        ...


class Connection:
    """Subscriptions of one client, and the writer that serves them in turn."""

    def __init__(self, site: Site, caller: Caller, wire: Wire) -> None:
        self._site = site
        self._caller = caller
        self._wire = wire
        self._subs: dict[int, Subscription] = {}
        self._answers: deque[bytes] = deque()
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._allowance = float(protocol.BURST)
        self._heard = self._loop.time()
        self._told_instance: str | None = None
        self._closed = False
        self._task = self._loop.create_task(self._write_on(), name="websocket writer")
        self._expiry: asyncio.TimerHandle | None = None
        if caller.expires is not None:
            left = max(0.0, caller.expires - time.time())
            self._expiry = self._loop.call_later(left, self._shut, Close.UNAUTHORIZED, "the login has expired")
        site.cache.listeners.add(self._woken.set)

    def close(self) -> None:
        """Let go of everything; the socket is closed or about to be."""
        self._closed = True
        self._site.cache.listeners.discard(self._woken.set)
        if self._expiry is not None:
            self._expiry.cancel()
        for sub in self._subs.values():
            sub.close()
        self._subs.clear()
        self._task.cancel()

    def say_bye(self, after: int) -> None:
        """Tell that the server stops, and when to come back, ms."""
        self._answer(encode({"t": "bye", "after": after}))
        self._loop.call_later(0.2, self._shut, Close.RESTART, "the server restarts")

    def hear(self, data: str | bytes) -> None:
        """Take a frame of the client."""
        if self._closed or not self._is_allowed():
            return
        try:
            frame = protocol.read_frame(data)
        except protocol.NoFrame as error:
            self._shut(Close.BAD_MESSAGE, error.message)
            return
        except protocol.BadFrame as error:
            self._answer(protocol.error_frame(error.sub_id, error))
            return
        self._obey(frame)

    def _obey(self, frame: protocol.Frame) -> None:
        match frame:
            case protocol.Ping():
                self._answer(encode({"t": "pong", "n": frame.n, "now": _now()}))
            case protocol.Unsub():
                if (sub := self._subs.pop(frame.id, None)) is not None:
                    sub.close()
            case protocol.Sub():
                self._subscribe(frame)
            case protocol.Window():
                self._move(frame)
            case protocol.Resume():
                for one in frame.subs:
                    again = protocol.Sub(id=one.id, topic=one.topic, q=one.q, run=one.run, window=one.window)
                    self._subscribe(again, Past(frame.inst, one.seq) if one.seq >= 0 else None, one.range)
        self._woken.set()

    def _subscribe(
        self, frame: protocol.Sub, past: Past | None = None, ends: tuple[str | None, str | None] | None = None
    ) -> None:
        if frame.id in self._subs:
            self._shut(Close.DUPLICATE, f"id {frame.id} is in use")
            return
        try:
            if len(self._subs) >= protocol.SUBS_MAX:
                raise _TooManySubs
            sub = self._make(frame)
            if past is not None and isinstance(sub, RunsSubscription):
                sub.resume(past, ends)
            elif past is not None and isinstance(sub, RunSubscription | JobsSubscription):
                sub.resume(past)
        except ApsisError as error:
            self._answer(protocol.error_frame(frame.id, error))
        else:
            self._subs[frame.id] = sub

    def _make(self, frame: protocol.Sub) -> Subscription:
        site, wake = self._site, self._woken.set
        match frame.topic:
            case "runs":
                return RunsSubscription(frame.id, site, wake, frame.q, frame.window)
            case "run":
                return RunSubscription(frame.id, site, wake, frame.run)
            case "output":
                return OutputSubscription(frame.id, site, wake, frame.run)
            case "jobs":
                return JobsSubscription(frame.id, site, wake, frame.q)
            case "health":
                return HealthSubscription(frame.id, site, wake)
        raise BadRequest(f"unknown topic {frame.topic[:80]!r}", hint=did_you_mean(frame.topic, _TOPICS))

    def _move(self, frame: protocol.Window) -> None:
        sub = self._subs.get(frame.id)
        try:
            if not isinstance(sub, RunsSubscription):
                raise NotFound(f"{frame.id} is no subscription of runs")
            sub.move(frame.window)
        except ApsisError as error:
            self._answer(protocol.error_frame(frame.id, error))

    def _is_allowed(self) -> bool:
        now = self._loop.time()
        self._allowance = min(protocol.BURST, self._allowance + (now - self._heard) * protocol.RATE) - 1
        self._heard = now
        if self._allowance < 0:
            self._shut(Close.TOO_MANY, "too many frames")
        return self._allowance >= 0

    def _answer(self, frame: bytes) -> None:
        if len(self._answers) >= _ANSWERS_MAX:
            self._shut(Close.SLOW, "answers are not read")
            return
        self._answers.append(frame)
        self._woken.set()

    def _shut(self, code: Close, reason: str) -> None:
        if not self._closed:
            self._wire.close(code, reason)
            self.close()

    async def _write_on(self) -> None:
        """Write what there is, then wait for more; the next frame is built only when the last has gone.

        It asks whether the connection is closed besides being cancelled: a writer that went on would wait for ever,
        be collected as garbage while pending, and that ends the process.
        """
        try:
            while True:
                pause = await self._write_all()
                if self._closed:
                    return
                try:
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
                except TimeoutError:
                    continue
                finally:
                    self._woken.clear()
        except TimeoutError:
            self._shut(Close.SLOW, "a frame was not taken in 30 s")
        except ConnectionError:
            self.close()
        except Exception:
            # One broken connection must not look like a quiet one, nor end the others.
            log.exception("a websocket failed", extra={"event": "websocket_failed"})
            self._shut(Close.FAILED, "the server failed; its log says how")

    async def _write_all(self) -> float | None:
        """Write until nobody has more to say now; return in how many seconds somebody may."""
        while True:
            self._woken.clear()
            await self._write_answers()
            if self._closed or not self._site.cache.loaded:
                return None
            await self._greet()
            pauses: list[float] = []
            for sub in list(self._subs.values()):
                pause = await self._serve(sub)
                if pause is not None:
                    pauses.append(pause)
            if not self._answers and not self._woken.is_set():
                return min(pauses, default=None)
            if pauses and min(pauses) > 0 and not self._answers:
                # Woken by a change of which everybody has just been told, or must wait their turn to be.
                return min(pauses)

    async def _write_answers(self) -> None:
        while self._answers:
            await self._write(self._answers.popleft())

    async def _greet(self) -> None:
        """Say hello, and again when the history has become another one."""
        cache = self._site.cache
        if self._told_instance == cache.instance:
            return
        self._told_instance = cache.instance
        await self._write(
            encode(
                {
                    "t": "hello",
                    "v": protocol.VERSION,
                    "inst": cache.instance,
                    "seq": cache.seq,
                    "now": _now(),
                    "hb": protocol.HEARTBEAT,
                    "user": self._caller.user,
                    "role": self._caller.role,
                    "build": __version__,
                    "home": str(self._site.home.root),
                    "limits": {
                        "subs": protocol.SUBS_MAX,
                        "rows": ROWS_MAX,
                        "inbound": protocol.INBOUND_MAX,
                        "rate": protocol.RATE,
                    },
                }
            )
        )

    async def _serve(self, sub: Subscription) -> float | None:
        """Write what one subscription has to say; return in how many seconds it is to be looked at again."""
        if not sub.wanted():
            return sub.next_look()
        early = sub.not_before - self._loop.time()
        if early > 0:
            return early
        try:
            frames = await sub.frames(now_micros())
        except ApsisError as error:
            frames = [protocol.error_frame(sub.id, error)]
            if self._subs.get(sub.id) is sub:
                del self._subs[sub.id]
            sub.close()
        if self._subs.get(sub.id) is sub or frames:
            for frame in frames:
                await self._write(frame)
        sub.not_before = self._loop.time() + (sub.interval if frames else 0)
        return sub.interval if frames else sub.next_look()

    async def _write(self, frame: bytes) -> None:
        async with asyncio.timeout(WRITE_TIMEOUT):
            await self._wire.write(frame)


class _TooManySubs(ApsisError):
    code = "too_many"

    def __init__(self) -> None:
        super().__init__(f"a connection holds {protocol.SUBS_MAX} subscriptions at most", hint="unsub one of them")


def _now() -> str:
    return format_time(datetime.now(UTC))
