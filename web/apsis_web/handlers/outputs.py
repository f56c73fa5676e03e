"""Outputs: bytes by range, lines, and following; straight from the store, a piece at a time."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec
from tornado.iostream import StreamClosedError

from apsis.errors import BadRequest, NotFound, Unavailable
from apsis.messages.outputs import Slice
from apsis.runs.states import FINISHED
from apsis_web.asking import READ_SIZE, Damaged, Gone, Place
from apsis_web.handlers.resource import Resource
from apsis_web.live_outputs import Growth
from apsis_web.places import place_of

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
#: streams that a run may have while nothing was printed yet
_STREAMS: Final = ("output", "stdout", "stderr")
#: gaps that a header names
_GAPS_SHOWN: Final = 64
#: seconds between two looks at an output that is followed, where no word of it comes
_LOOK: Final = 5.0
#: seconds that a store which is away in the middle of an answer is waited for, and between two tries
_PATIENCE: Final = 15.0
_PAUSE: Final = 0.25


class _Facts(msgspec.Struct, frozen=True):
    """What of a run decides about its outputs."""

    state: str
    job_id: str
    outputs: dict[str, int] = {}


class OutputResource(Resource):
    """What all resources of outputs share: the run must be known, and the stream possible."""

    #: where the store has what this request is about; set by `facts`
    place: Place

    async def facts(self, run_id: str) -> _Facts:
        """Return the run's facts.

        Raises:
            NotFound: there is no such run.
        """
        run = await self.run_json(run_id)
        self.place = place_of(run, run_id, self.site.cache.journal)
        return msgspec.json.decode(run, type=_Facts)

    async def stat(self, run_id: str, stream: str) -> Slice:
        """Return how much of a stream there is; an empty one where the run may still print, or never printed.

        Raises:
            NotFound: no such run or stream.
            Gone: it was removed by retention.
            ServiceAway: the store does not answer.
        """
        facts = await self.facts(run_id)
        streams = await self.site.store.stat(self.place)
        if stream in streams:
            return streams[stream]
        known = sorted({*streams, *facts.outputs})
        if stream in facts.outputs or (not known and stream in _STREAMS):
            finished = facts.state in FINISHED and not facts.outputs.get(stream, 0)
            return Slice(start=0, length=0, complete=finished, lines=0)
        names = ", ".join(known) or ", ".join(_STREAMS)
        raise NotFound(f"{run_id} has no output named {stream[:80]!r}", hint=f"it has: {names}")


class Outputs(OutputResource):
    """GET /runs/{id}/outputs: which streams there are, and how long."""

    async def get(self, run_id: str) -> None:
        """Return `{outputs: {name: {length, complete, lines, gaps}}}`."""
        self.arguments_of()
        facts = await self.facts(run_id)
        streams = await self.site.store.stat(self.place)
        shown: dict[str, Any] = {
            name: {"length": one.length, "complete": one.complete, "lines": one.lines, "gaps": one.gaps}
            for name, one in streams.items()
        }
        for name, length in facts.outputs.items():
            # Final lengths are known before the last bytes have come.
            shown.setdefault(name, {"length": 0, "complete": length == 0, "lines": 0, "gaps": []})
        self.send({"outputs": shown})


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes [start, stop) of `length`; `partial` if a range was asked for."""

    start: int
    stop: int
    partial: bool


class Output(OutputResource):
    """GET and HEAD /runs/{id}/output[/{stream}]."""

    def prepare(self) -> None:
        """Let pass, and send the bytes as they are: a compressed range is no range."""
        super().prepare()
        self._transforms = []

    def compute_etag(self) -> str | None:
        """Leave the tag that was set; it tells of the whole output, not of the bytes of this answer."""
        return None

    async def head(self, run_id: str, stream: str | None = None) -> None:
        """Answer as GET, without the bytes."""
        await self._answer(run_id, stream or "output", send=False)

    async def get(self, run_id: str, stream: str | None = None) -> None:
        """Answer with bytes."""
        await self._answer(run_id, stream or "output", send=True)

    async def _answer(self, run_id: str, stream: str, *, send: bool) -> None:
        given = self.arguments_of("follow", "download", "gaps")
        gaps = given.get("gaps", "zeros")
        follow = given.get("follow") not in (None, "0", "false")
        if gaps not in (("zeros", "skip", "stop") if follow else ("zeros", "skip")):
            raise BadRequest(f"gaps={gaps[:20]} is not known", hint="zeros, skip, or with follow stop", loc="gaps")
        stat = await self.stat(run_id, stream)
        tag = f'"{self.site.cache.instance}-{run_id}-{stream}-{stat.length}{"" if stat.complete else "+"}"'
        self._describe(run_id, stream, stat, tag, download=given.get("download") not in (None, "0"))
        if follow:
            await self._follow(run_id, stream, stat, gaps, send=send)
            return
        if tag in [one.strip() for one in self.request.headers.get("If-None-Match", "").split(",")]:
            self.set_status(304)
            return
        if_range = self.request.headers.get("If-Range")
        asked = self.request.headers.get("Range") if if_range in (None, tag) else None
        if gaps == "skip":
            await self._send_without_gaps(stream, stat, send=send)
            return
        span = _span(asked, stat.length)
        if span is None:
            self.set_status(416)
            self.set_header("Content-Range", f"bytes */{stat.length}")
            self.set_header("Content-Length", "0")
            return
        if span.partial:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {span.start}-{span.stop - 1}/{stat.length}")
        self.set_header("Content-Length", str(span.stop - span.start))
        if send:
            await self._send(stream, span)

    async def _send_without_gaps(self, stream: str, stat: Slice, *, send: bool) -> None:
        """Send all that is there; offsets do not count in such an answer, so it has no ranges."""
        spans = spans_between(stat.gaps, 0, stat.length)
        self.clear_header("Accept-Ranges")
        self.clear_header("ETag")
        self.set_header("Content-Length", str(sum(stop - start for start, stop in spans)))
        for start, stop in spans if send else ():
            await self._send(stream, Span(start, stop, partial=True))

    def _describe(self, run_id: str, stream: str, stat: Slice, tag: str, *, download: bool) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        # Output is data of strangers: whatever a browser takes it for, it runs no script in our name.
        self.set_header("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("ETag", tag)
        self.set_header("Cache-Control", "private, no-cache")
        self.set_header("X-Output-Complete", "true" if stat.complete else "false")
        if stat.gaps:
            self.set_header("X-Output-Gaps", ",".join(f"{start}-{stop - 1}" for start, stop in stat.gaps[:_GAPS_SHOWN]))
            self.set_header("X-Output-Lost", str(sum(stop - start for start, stop in stat.gaps)))
        if download:
            name = quote(f"{run_id}-{stream}.log")
            self.set_header("Content-Disposition", f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}")

    async def _send(self, stream: str, span: Span) -> None:
        """Send exactly the span; a store that is away for too long breaks the connection, for a length was promised."""
        position = span.start
        loop = asyncio.get_running_loop()
        patience = loop.time() + _PATIENCE
        while position < span.stop:
            try:
                _, data = await self.site.store.read(self.place, stream, position, span.stop)
            except Unavailable:
                data = b""
            except (Damaged, Gone, NotFound):
                if self._headers_written:
                    self.break_off()
                raise  # where nothing is sent yet, the client is told: retention may have come between
            if data:
                patience = loop.time() + _PATIENCE
                position += len(data)
                self.write(data)
                await self.flush()
            elif loop.time() > patience:
                self.break_off()
                return
            else:
                await asyncio.sleep(_PAUSE)

    async def _follow(self, run_id: str, stream: str, stat: Slice, gaps: str, *, send: bool) -> None:
        """Send from the start of the range, and what comes, until the output is complete, or a gap ends the answer."""
        span = _span(self.request.headers.get("Range"), stat.length, growing=True)
        if span is None:
            raise BadRequest("a range that is followed has a start only", hint="Range: bytes=1048576-", loc="Range")
        if span.partial:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {span.start}-{max(span.start, stat.length - 1)}/*")
        self.clear_header("ETag")
        if not send:
            return
        position = span.start
        self.set_header("X-Accel-Buffering", "no")
        await self.flush()
        with Growth(self.site.outputs, self.place) as growth:
            while not self.hung_up:
                position, ended = await self._catch_up(run_id, stream, position, gaps)
                if ended:
                    return
                await growth.wait(_LOOK)

    async def _catch_up(self, run_id: str, stream: str, position: int, gaps: str) -> tuple[int, bool]:
        """Send what there is from a position; return the next one, and whether the answer ends there."""
        while True:
            try:
                piece, data = await self.site.store.read(self.place, stream, position, position + READ_SIZE)
            except NotFound:
                return position, await self._never_printed(run_id, stream)
            except Unavailable:
                # It comes back; what it keeps is not lost, so the reader is made to wait.
                await asyncio.sleep(_PAUSE)
                return position, False
            if data and gaps != "zeros":
                data, after = _before_gap(piece.gaps, position, data)
                if not data and gaps == "stop":
                    return position, True
                position = after if not data else position
            if data:
                position += len(data)
                self.write(data)
                try:
                    await self.flush()
                except StreamClosedError:
                    return position, True
            if position >= piece.length:
                # A run that was never started is finished, and the store has not heard of it.
                return position, piece.complete or (piece.length == 0 and await self._never_printed(run_id, stream))

    async def _never_printed(self, run_id: str, stream: str) -> bool:
        """Tell whether a stream that the store does not know has ended all the same."""
        try:
            stat = await self.stat(run_id, stream)
        except Unavailable:
            return False
        except NotFound:
            return True
        return stat.complete and stat.length == 0


def spans_between(gaps: list[tuple[int, int]], start: int, stop: int) -> list[tuple[int, int]]:
    """Return the [start, stop) ranges of a range that are no gaps."""
    spans = []
    for gap, end in gaps:
        if gap >= stop:
            break
        if gap > start:
            spans.append((start, gap))
        start = max(start, end)
    if start < stop:
        spans.append((start, stop))
    return spans


def _before_gap(gaps: list[tuple[int, int]], position: int, data: bytes) -> tuple[bytes, int]:
    """Return the data up to the first gap in it; nothing and the gap's end if it begins in one."""
    for start, stop in gaps:
        if start <= position < stop:
            return b"", stop
        if position < start < position + len(data):
            return data[: start - position], start
    return data, position


def _span(header: str | None, length: int, *, growing: bool = False) -> Span | None:
    """Return which bytes a `Range` header means; None if there are none of them.

    Several ranges, or a unit that is not bytes, are answered with the whole, as the standard allows.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or match.group(1) == match.group(2) == "":
        return Span(0, length, partial=False)
    first, last = match.groups()
    if first == "":
        start, stop = max(0, length - int(last)), length
        if int(last) == 0:
            return None
    else:
        start, stop = int(first), min(length, int(last) + 1) if last else length
        if last and int(last) < int(first):
            # A range that ends before it begins is no range.
            return Span(0, length, partial=False)
    if growing:
        return Span(start, max(start, length), partial=True) if not (first and last) else None
    return Span(start, stop, partial=True) if start < length else None
