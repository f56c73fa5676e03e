"""The store as a service: takes bytes from supervisors, says what it keeps, and answers readers.

Appending happens on the loop, as it is one writer; reading happens in threads, so that a gigabyte read by
someone delays no acknowledgement.
"""

import asyncio
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from apsis.errors import ApsisError
from apsis.messages.body import encode
from apsis.messages.outputs import (
    Chunk,
    Kept,
    LiveOutput,
    OutputAck,
    OutputEnd,
    OutputStat,
    ReadLines,
    ReadRange,
    Slice,
    Stats,
)
from apsis_bus import topics
from apsis_bus.peer import Delivery, Peer
from apsis_bus.service import Service
from apsis_services.store.blocks import Damaged
from apsis_services.store.live import LiveOutputs
from apsis_services.store.repository import Part, Repository, Stat

#: bytes in one answer: below the bus' 1 MiB a message, and whole blocks
ANSWER_MAX: Final = 768 * 1024
READERS: Final = 2
#: reads that may wait for a thread; more are answered `busy`
READS_MAX: Final = 64
#: seconds between two lines of log about a disk that refuses
_COMPLAIN_EACH: Final = 10.0

_Answer = tuple[Slice | Stats, bytes | None]


class Store(Service):
    """Owns the output repository."""

    name = "store"

    async def start(self) -> None:
        """Open the repository and join the bus."""
        self._loop = asyncio.get_running_loop()
        self._repository = Repository(self.home.output)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="read")
        self._reading = 0
        #: (asker, came on the bulk socket): stream: what to say at the end of this turn
        self._acks: dict[tuple[str, bool], dict[tuple[str, str], Kept]] = {}
        self._complained = -_COMPLAIN_EACH
        self._live = LiveOutputs(self._publish, lambda delay, call: self._loop.call_later(delay, call))
        self._peer = Peer(self.home, self.name, bulk=True)
        self._peer.handle(self.take)
        await self._peer.connect()

    async def stop(self) -> None:
        """Acknowledge what was taken, leave the bus and close the files."""
        self._send_acks()
        await self._peer.close()
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._repository.close()

    def on_chunk(self, message: Chunk, delivery: Delivery) -> None:
        """Keep what is new; say how far it goes now."""
        try:
            length = self._keep(message, delivery.payload or b"")
        except ApsisError as error:
            delivery.no(error.code, error.message)
            return
        except OSError as error:
            self._complain(error)  # not acknowledged: it comes again
            return
        again = length < message.offset + message.length
        complete = self._repository.is_complete(message.run_id, message.stream, length)
        self._kept(delivery, message.run_id, message.stream, length, complete=complete, again=again)

    def on_output_end(self, message: OutputEnd, delivery: Delivery) -> None:
        """Note the final lengths; what is there in full is complete."""
        try:
            lengths = self._repository.finish(message.run_id, message.lengths)
        except ApsisError as error:
            delivery.no(error.code, error.message)
            return
        except OSError as error:
            self._complain(error)
            return
        for stream, length in lengths.items():
            missing = length < message.lengths[stream]
            self._kept(delivery, message.run_id, stream, length, complete=not missing, again=missing)

    def on_read_range(self, message: ReadRange, delivery: Delivery) -> None:
        """Answer with a `Slice` and its bytes."""

        def read() -> _Answer:
            return _slice(
                self._repository.read_range(message.run_id, message.stream, message.start, message.stop, ANSWER_MAX)
            )

        self._answer(delivery, read)

    def on_read_lines(self, message: ReadLines, delivery: Delivery) -> None:
        """Answer with a `Slice` and whole lines."""

        def read() -> _Answer:
            return _slice(
                self._repository.read_lines(message.run_id, message.stream, message.first, message.count, ANSWER_MAX)
            )

        self._answer(delivery, read)

    def on_output_stat(self, message: OutputStat, delivery: Delivery) -> None:
        """Answer with what there is of each stream."""

        def read() -> _Answer:
            stats = self._repository.stat(message.run_id)
            return Stats(streams={stream: _without_bytes(stat) for stream, stat in stats.items()}), None

        self._answer(delivery, read)

    def _keep(self, chunk: Chunk, payload: bytes) -> int:
        """Return the contiguous length after a chunk; one whose bytes are spoilt counts as never come."""
        if chunk.gap:
            return self._repository.append_gap(chunk.run_id, chunk.stream, chunk.offset, chunk.length)
        if len(payload) != chunk.length or zlib.crc32(payload) != chunk.crc32:
            self.log.error(
                "%s bytes of %s at %d came spoilt and are asked for again", chunk.run_id, chunk.stream, chunk.offset,
                extra={"event": "chunk_spoilt", "run": chunk.run_id, "host": chunk.host},
            )  # fmt: skip
            payload = b""
        return self._repository.append(chunk.run_id, chunk.stream, chunk.offset, payload)

    def _kept(self, delivery: Delivery, run_id: str, stream: str, length: int, *, complete: bool, again: bool) -> None:
        """Tell the sender at the end of this turn, and the watchers when their turn has come."""
        if complete:
            try:
                self._repository.settle(run_id, stream)
            except OSError as error:
                self._complain(error)
        if not self._acks:
            self._loop.call_soon(self._send_acks)
        acks = self._acks.setdefault((delivery.sender, delivery.bulk), {})
        acks[run_id, stream] = Kept(run_id=run_id, stream=stream, length=length, complete=complete, again=again)
        if length and not again:
            self._live.grew(LiveOutput(run_id=run_id, stream=stream, length=length, complete=complete))

    def _send_acks(self) -> None:
        acks, self._acks = self._acks, {}
        for (sender, bulk), kept in acks.items():
            self._peer.send(sender, OutputAck(items=list(kept.values())), bulk=bulk)

    def _publish(self, output: LiveOutput) -> None:
        self._peer.publish(topics.live_output(output.run_id), 0, 0, encode(output))

    def _answer(self, delivery: Delivery, read: Callable[[], _Answer]) -> None:
        if self._reading >= READS_MAX:
            delivery.no("busy", "the store has many reads to answer; ask again")
            return
        self._reading += 1

        def answer(future: "asyncio.Future[_Answer]") -> None:
            self._reading -= 1
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                delivery.ok(*future.result())
            elif isinstance(error, ApsisError):
                delivery.no(error.code, error.message)
            elif isinstance(error, FileNotFoundError):
                delivery.no("not_found", "the output was removed")
            elif isinstance(error, Damaged | OSError):
                self.log.error("stored output cannot be read: %s", error, extra={"event": "output_damaged"})
                delivery.no("damaged", f"the stored output cannot be read: {error}")
            else:
                raise error

        self._loop.run_in_executor(self._readers, read).add_done_callback(answer)

    def _complain(self, error: OSError) -> None:
        """Say that the disk refuses, not for each chunk that comes again meanwhile."""
        now = time.monotonic()
        if now - self._complained >= _COMPLAIN_EACH:
            self._complained = now
            self.log.error(
                "output cannot be written: %s; it stays with the supervisors and comes again", error,
                extra={"event": "disk_refuses"},
            )  # fmt: skip


def _slice(part: Part) -> _Answer:
    piece, stat = part.piece, part.stat
    header = Slice(
        start=piece.start, line=piece.line, length=stat.length, complete=stat.complete, lines=stat.lines, gaps=stat.gaps
    )
    return header, piece.data


def _without_bytes(stat: Stat) -> Slice:
    return Slice(start=0, length=stat.length, complete=stat.complete, lines=stat.lines, gaps=stat.gaps)
