"""Lines of outputs: by number, the last ones, and those that hold a text."""

import asyncio
from typing import Any, Final

import msgspec

from apsis.errors import ApsisError, BadRequest, Unavailable
from apsis.messages.body import encode
from apsis.messages.outputs import Found, Search
from apsis_web.errors import error_body
from apsis_web.handlers.outputs import OutputResource

_LINES: Final = 200
_LINES_MAX: Final = 5_000
#: hits of one search, where the request does not say, and at most
_HITS: Final = 1_000
_HITS_MAX: Final = 10_000
#: seconds that one request searches; the client goes on from `next`
_SEARCH: Final = 30.0
#: seconds that a store which is away in the middle of a search is waited for, and between two tries
_PATIENCE: Final = 15.0
_PAUSE: Final = 0.25


class OutputLines(OutputResource):
    """GET /runs/{id}/output/{stream}/lines?from=&count=, and .../tail?count=."""

    async def get(self, run_id: str, stream: str, which: str) -> None:
        """Return lines as JSON rows."""
        given = self.arguments_of("from", "count")
        count = number_in(given.get("count", str(_LINES)), "count", 1, _LINES_MAX)
        first = -count if which == "tail" else number_in(given.get("from", "0"), "from", 0, 1 << 53)
        stat = await self.stat(run_id, stream)
        if stat.length == 0:
            self.send({"lines": [], "first": 0, "total": 0, "length": 0, "complete": stat.complete})
            return
        piece, data = await self.site.store.lines(self.place, stream, first, count)
        texts = data.split(b"\n")
        if texts[-1] == b"":
            texts.pop()
        number = piece.line or 0
        offset = piece.start
        rows = []
        for text in texts:
            rows.append({"n": number, "offset": offset, "text": text.decode("utf-8", "replace")})
            number, offset = number + 1, offset + len(text) + 1
        self.send(
            {
                "lines": rows,
                "first": piece.line or 0,
                "total": piece.lines,
                "length": piece.length,
                "complete": piece.complete,
            }
        )


class OutputSearch(OutputResource):
    """GET /runs/{id}/output/{stream}/search?q=&regex=&ignore_case=&from=&limit=, NDJSON."""

    async def get(self, run_id: str, stream: str) -> None:
        """Send a line for each hit, one of progress after each step, and a last one with `done`.

        It ends when the client hangs up.
        """
        given = self.arguments_of("q", "regex", "ignore_case", "from", "limit")
        if not given.get("q"):
            raise BadRequest("q is missing: what to search for", hint="?q=text, or ?q=expression&regex=1", loc="q")
        limit = number_in(given.get("limit", str(_HITS)), "limit", 1, _HITS_MAX)
        stat = await self.stat(run_id, stream)
        ask = Search(
            run_id=self.place.run_id,
            stream=stream,
            text=given["q"],
            regex=_is_set(given, "regex"),
            fold=_is_set(given, "ignore_case"),
            start=number_in(given.get("from", "0"), "from", 0, 1 << 53),
            limit=limit,
            journal=self.place.journal,
        )
        self.set_header("Content-Type", "application/x-ndjson")
        self.set_header("X-Accel-Buffering", "no")
        if stat.length == 0:
            self._line({"done": True, "hits": 0, "next": 0, "length": 0, "complete": stat.complete})
            return
        await self._search(ask, limit)

    async def _search(self, ask: Search, limit: int) -> None:
        loop = asyncio.get_running_loop()
        deadline, hits, begun = loop.time() + _SEARCH, 0, False
        while not self.hung_up:
            try:
                found = await self._step(msgspec.structs.replace(ask, limit=min(limit - hits, _LINES)))
            except ApsisError as error:
                if not begun:
                    raise
                self._line(error_body(error, self.request_id))
                return
            for hit in found.hits:
                self._line(msgspec.to_builtins(hit) | {"t": "hit"})
            hits += len(found.hits)
            over = found.next >= found.length or hits >= limit or loop.time() > deadline
            place = {"next": found.next, "length": found.length, "complete": found.complete, "hits": hits}
            self._line({"done": True, **place} if over else {"progress": place})
            await self.flush()
            if over:
                return
            begun = True
            ask = msgspec.structs.replace(ask, start=found.next)

    async def _step(self, ask: Search) -> Found:
        """Have one step done; a store that is away for a moment is waited for.

        Raises:
            ApsisError: it cannot be searched, or the store is away.
        """
        patience = asyncio.get_running_loop().time() + _PATIENCE
        while True:
            try:
                return await self.site.store.search(ask)
            except Unavailable:
                if asyncio.get_running_loop().time() > patience or self.hung_up:
                    raise
                await asyncio.sleep(_PAUSE)

    def _line(self, content: dict[str, Any]) -> None:
        self.write(encode(content) + b"\n")


def _is_set(given: dict[str, str], name: str) -> bool:
    return given.get(name) not in (None, "0", "false")


def number_in(text: str, name: str, low: int, high: int) -> int:
    """Return the number that a parameter gives.

    Raises:
        BadRequest: it is none, or not within the bounds.
    """
    if not text.isascii() or not text.isdigit() or not low <= int(text[:18]) <= high:
        raise BadRequest(f"{name} must be a number from {low} to {high}", loc=name)
    return int(text)
