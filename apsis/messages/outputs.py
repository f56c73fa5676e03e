"""Supervisor, store and web: bytes that runs print, on the bulk router.

A message there may carry a payload: one more frame of raw bytes after the body.
"""

from apsis.messages.body import Body


class KeepPolicy(Body, frozen=True, kw_only=True, tag="keep_policy"):
    """How long the outputs of a job are kept: whichever limit comes first; None: no limit of that kind.

    Days since the end of the run; outputs of the job; bytes of all outputs of the job together.
    """

    days: float | None = None
    count: int | None = None
    bytes: int | None = None


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
    #: number of the database that the run belongs to; another database may have a run of the same id
    journal: int = 0


class OutputEnd(Body, frozen=True, kw_only=True, tag="output_end"):
    """Supervisor sends to `store`: these lengths are final. Answered by `OutputAck` with `complete`."""

    host: str
    run_id: str
    lengths: dict[str, int]
    journal: int = 0
    job_id: str = ""
    #: None: as the store's configuration says
    keep: KeepPolicy | None = None


class Kept(Body, frozen=True, kw_only=True, tag="kept"):
    """The contiguous length of a stream that the store has written: that many bytes outlive a `kill -9` of it.

    What lies below `durable` outlives a power loss as well, and may be given back by the sender.
    """

    run_id: str
    stream: str
    length: int
    #: all of it, the end is known, and it outlives a power loss
    complete: bool = False
    #: what came last could not be taken (bytes before it are missing, or its crc differs): send from `length` again
    again: bool = False
    journal: int = 0
    #: bytes from the beginning that are on the disk for good; None: as many as `length`
    durable: int | None = None


class OutputAck(Body, frozen=True, kw_only=True, tag="output_ack"):
    """Store sends to `supervisor/HOST`: what is kept; the supervisor may punch holes below what is durable."""

    items: list[Kept]


class ReadRange(Body, frozen=True, kw_only=True, tag="read_range"):
    """Web asks `store`: bytes `start` to `stop` (exclusive; negative `start`: that many from the end).

    OK carries `Slice` and the bytes, at most 1 MiB minus overhead; ask again for more.
    """

    run_id: str
    stream: str
    start: int
    stop: int | None = None
    journal: int = 0


class ReadLines(Body, frozen=True, kw_only=True, tag="read_lines"):
    """Web asks `store`: `count` lines from line `first` (0-based; negative: from the end). OK: `Slice` and bytes."""

    run_id: str
    stream: str
    first: int
    count: int
    journal: int = 0


class Search(Body, frozen=True, kw_only=True, tag="search"):
    """Web asks `store`: lines that hold a text, from offset `start` on. OK carries `Found`.

    One answer looks through a few MiB at most and has at most `limit` hits; ask again from its `next`.
    """

    run_id: str
    stream: str
    text: str
    #: `text` is a regular expression
    regex: bool = False
    #: take upper and lower case for the same
    fold: bool = False
    start: int = 0
    limit: int = 100
    journal: int = 0


class Hit(Body, frozen=True, kw_only=True, tag="hit"):
    """One line that was found. Of a long one `text` has what is around the place."""

    #: number of the line, from 0
    line: int
    #: offset of its first byte
    offset: int
    #: offset of the first byte that `text` stands for
    at: int
    text: str
    #: character positions in `text`: [start, stop)
    span: tuple[int, int]


class Found(Body, frozen=True, kw_only=True, tag="found"):
    """Store answers `Search`: the hits between `start` and `next`."""

    hits: list[Hit]
    #: offset from which to go on; equal to `length`: that was all
    next: int
    #: contiguous length of the whole stream at present
    length: int
    complete: bool


class OutputStat(Body, frozen=True, kw_only=True, tag="output_stat"):
    """Web asks `store`: what there is of a run. OK carries `Stats`."""

    run_id: str
    journal: int = 0


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
    journal: int = 0


class SweepOutputs(Body, frozen=True, kw_only=True, tag="sweep_outputs"):
    """Web asks `store`: remove some of the outputs that are no longer kept. OK carries `Swept`."""


class Swept(Body, frozen=True, kw_only=True, tag="swept"):
    """Store answers `SweepOutputs`."""

    removed: int
    #: there may be more; ask again
    more: bool = False


ToStore = Chunk | OutputEnd
AskStore = ReadRange | ReadLines | Search | OutputStat | SweepOutputs
