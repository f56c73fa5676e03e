"""The event journal as NDJSON, once or following."""

import asyncio
from typing import Any, Final

import msgspec
from tornado.iostream import StreamClosedError

from apsis.errors import BadRequest, Conflict, Unavailable
from apsis.filters import Filter, parse
from apsis.messages.body import decode
from apsis.messages.events import Event, RunEvent
from apsis.times import from_micros
from apsis_web.handlers.resource import Resource

_PAGE: Final = 500
#: seconds between two looks where nothing is heard, and the least between two reads while much is
_LOOK: Final = 5.0
_PAUSE: Final = 0.1


class Gone(Conflict):
    """The events asked for are no longer kept."""

    code = "floor"


class Events(Resource):
    """GET /events?since=&q=&follow=1."""

    async def get(self) -> None:
        """Send an event a line; with `follow`, go on for as long as the reader stays."""
        given = self.arguments_of("since", "q", "follow")
        self.site.cache.require()
        filter_ = parse(given.get("q", ""))
        follow = given.get("follow") not in (None, "0", "false")
        since = self._since(given.get("since"), follow)
        # The first page is read before the headers go out, so that an error is one.
        oldest, page = await self.site.database.events(since, _PAGE)
        if since and oldest > since + 1:
            raise Gone(f"events after {since} are no longer kept; the oldest is {oldest}", hint="begin with GET /runs")
        self.set_header("Content-Type", "application/x-ndjson")
        self.set_header("X-Accel-Buffering", "no")
        woken = asyncio.Event()
        self.site.cache.listeners.add(woken.set)
        try:
            await self._stream(since, page, filter_, woken if follow else None)
        except StreamClosedError:
            return
        finally:
            self.site.cache.listeners.discard(woken.set)

    def _since(self, text: str | None, follow: bool) -> int:
        if text is None:
            return self.site.cache.seq if follow else 0
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise BadRequest("since is an event id, the seq of an answer", loc="since")
        return int(text)

    async def _stream(
        self, since: int, page: list[tuple[int, bytes]], filter_: Filter, woken: asyncio.Event | None
    ) -> None:
        while True:
            for event_id, body in page:
                since = event_id
                if _wanted(body, filter_, self.now):
                    self.write(body + b"\n")
            await self.flush()
            if len(page) < _PAGE:
                if woken is None:
                    return
                await _wait(woken)
            if self.hung_up:
                return
            page = await self._read(since)

    async def _read(self, since: int) -> list[tuple[int, bytes]]:
        while True:
            try:
                return (await self.site.database.events(since, _PAGE))[1]
            except Unavailable:
                # The reader has been promised all of them; the database comes back.
                await asyncio.sleep(_LOOK / 5)


async def _wait(woken: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LOOK):
            await woken.wait()
    except TimeoutError:
        return
    finally:
        woken.clear()
    await asyncio.sleep(_PAUSE)


def _wanted(body: bytes, filter_: Filter, now: int) -> bool:
    if not filter_.terms:
        return True
    try:
        event: Any = decode(Event, body)
    except msgspec.ValidationError:
        return False
    return isinstance(event, RunEvent) and event.run is not None and filter_.matches(event.run, from_micros(now))
