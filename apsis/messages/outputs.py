"""Supervisor, store and web: bytes that runs print, on the bulk router.

A message there may carry a payload: one more frame of raw bytes after the body.
"""

from apsis.messages.body import Body


class Chunk(Body, frozen=True, kw_only=True, tag="chunk"):
    """Supervisor sends to `store`, with a payload of `length` bytes: what stands at `offset` of a stream.

    Offsets never move, so the same chunk may come again; the store keeps what is new.
    """

    host: str
    run_id: str
    stream: str
    offset: int
    length: int
    crc32: int
    #: lost for ever at this place, payload empty: the gap is marked
    gap: bool = False


class OutputEnd(Body, frozen=True, kw_only=True, tag="output_end"):
    """Supervisor sends to `store`: these lengths are final. Answered by `OutputAck` with `complete`."""

    host: str
    run_id: str
    lengths: dict[str, int]


class Kept(Body, frozen=True, kw_only=True, tag="kept"):
    """The contiguous length of a stream that the store has written."""

    run_id: str
    stream: str
    length: int
    complete: bool = False
    #: what came last could not be taken (bytes before it are missing, or its crc differs): send from `length` again
    again: bool = False


class OutputAck(Body, frozen=True, kw_only=True, tag="output_ack"):
    """Store sends to `supervisor/HOST`: what is kept; the supervisor may punch holes below it."""

    items: list[Kept]


class ReadRange(Body, frozen=True, kw_only=True, tag="read_range"):
    """Web asks `store`: bytes `start` to `stop` (exclusive; negative `start`: that many from the end).

    OK carries `Slice` and the bytes, at most 1 MiB minus overhead; ask again for more.
    """

    run_id: str
    stream: str
    start: int
    stop: int | None = None


class ReadLines(Body, frozen=True, kw_only=True, tag="read_lines"):
    """Web asks `store`: `count` lines from line `first` (0-based; negative: from the end). OK: `Slice` and bytes."""

    run_id: str
    stream: str
    first: int
    count: int


class OutputStat(Body, frozen=True, kw_only=True, tag="output_stat"):
    """Web asks `store`: what there is of a run. OK carries `Stats`."""

    run_id: str


class Slice(Body, frozen=True, kw_only=True, tag="slice"):
    """Store answers; the payload is the bytes from `start`."""

    start: int
    #: contiguous length of the whole stream at present
    length: int
    complete: bool
    #: number of the first line in the payload, where lines were asked for
    line: int | None = None
    #: lines of the whole stream at present
    lines: int | None = None
    #: [start, stop) ranges that are lost
    gaps: list[tuple[int, int]] = []


class Stats(Body, frozen=True, kw_only=True, tag="stats"):
    """Store answers `OutputStat`: a `Slice` without payload for each stream."""

    streams: dict[str, Slice]


class LiveOutput(Body, frozen=True, kw_only=True, tag="live_output"):
    """Store publishes on `v1/live/out/RUN/`, at most 10 a second for a run: pull if you want the bytes."""

    run_id: str
    stream: str
    length: int
    complete: bool = False


ToStore = Chunk | OutputEnd
AskStore = ReadRange | ReadLines | OutputStat
