"""The store as a service: takes bytes from supervisors, says what it keeps, and answers readers.

Appending happens on the loop, as it is one writer; reading happens in threads, so that a gigabyte read by
someone delays no acknowledgement; one more thread waits for the disk.
"""

import asyncio
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from apsis.errors import ApsisError
from apsis.failpoints import reach
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
    Search,
    SweepOutputs,
    Swept,
)
from apsis_bus import topics
from apsis_bus.peer import Delivery, Peer
from apsis_bus.service import Service
from apsis_services.store.answers import Answers
from apsis_services.store.durable import make_durable
from apsis_services.store.live import LiveOutputs
from apsis_services.store.names import RunKey
from apsis_services.store.repository import Removed, Repository
from apsis_services.store.retention import Ended
from apsis_services.store.rules import rules_of
from apsis_services.store.sweeper import TURN, Sweeper
from apsis_services.store.syncer import Place, Round, Syncer

#: seconds between two lines of log about a disk that refuses
_COMPLAIN_EACH: Final = 10.0
#: seconds until retention is looked at after something has ended; at most a fiftieth of the time is spent on it
_SWEEP_AFTER: Final = 1.0
_SWEEP_SHARE: Final = 50.0
#: seconds between two looks where nothing ends: outputs grow old all the same
_SWEEP_EACH: Final = 3600.0


class Store(Service):
    """Owns the output repository."""

    name = "store"

    async def start(self) -> None:
        """Open the repository and join the bus."""
        self._loop = asyncio.get_running_loop()
        self._repository = Repository(self.home.output)
        self._repository.refuse_other_layout()
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._answers = Answers(self._repository, self.log)
        self._syncer = Syncer(self._begin_sync, lambda delay, call: self._loop.call_later(delay, call))
        self._sweeper = Sweeper(self._repository, rules_of(self.config.output))
        self._sweeping: asyncio.TimerHandle | None = None
        self._sweep_again = False
        #: not again before then
        self._rested = 0.0
        self._sweep_later(_SWEEP_EACH)
        #: ends that were told and are not yet durable
        self._ends: dict[RunKey, tuple[OutputEnd, bool]] = {}
        #: who sends a stream, and on which socket
        self._senders: dict[Place, tuple[str, bool]] = {}
        #: the same: stream: what to say at the end of this turn
        self._acks: dict[tuple[str, bool], dict[Place, Kept]] = {}
        self._complained = -_COMPLAIN_EACH
        self._live = LiveOutputs(self._publish, lambda delay, call: self._loop.call_later(delay, call))
        self._peer = Peer(self.home, self.name, bulk=True)
        self._peer.handle(self.take)
        await self._peer.connect()

    async def stop(self) -> None:
        """Acknowledge what was taken, leave the bus and close the files."""
        self._send_acks()
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self._peer.close()
        self._answers.close()
        self._disk.shutdown(wait=False, cancel_futures=True)
        self._repository.close()

    # What supervisors send

    def on_chunk(self, message: Chunk, delivery: Delivery) -> None:
        """Keep what is new; say how far it goes now."""
        key = RunKey(message.journal, message.run_id)
        end = message.offset + message.length
        try:
            length = self._keep(key, message, delivery.payload or b"")
        except Removed:
            length = end  # nobody wants these bytes any more: let them go
        except ApsisError as error:
            delivery.no(error.code, error.message)
            return
        except OSError as error:
            self._complain(error)  # not acknowledged: it comes again
            return
        self._has(delivery, (key, message.stream), length, again=length < end)

    def on_output_end(self, message: OutputEnd, delivery: Delivery) -> None:
        """Note the final lengths; what is there in full is complete when it is durable."""
        key = RunKey(message.journal, message.run_id)
        try:
            known = self._repository.has_ended(key)
            lengths = self._repository.finish(key, message.lengths)
        except Removed:
            for stream, length in message.lengths.items():
                self._tell(delivery.sender, delivery.bulk, (key, stream), length, complete=True, durable=length)
            return
        except ApsisError as error:
            delivery.no(error.code, error.message)
            return
        except OSError as error:
            self._complain(error)
            return
        if any(message.lengths.values()):
            self._ends.setdefault(key, (message, known))
        for stream, length in lengths.items():
            self._has(delivery, (key, stream), length, again=length < message.lengths[stream])
            if message.lengths[stream] == 0:
                self._tell(delivery.sender, delivery.bulk, (key, stream), 0, complete=True, durable=0)

    def _keep(self, key: RunKey, chunk: Chunk, payload: bytes) -> int:
        """Return the contiguous length after a chunk; one whose bytes are spoilt counts as never come."""
        if chunk.gap:
            return self._repository.append_gap(key, chunk.stream, chunk.offset, chunk.length)
        if len(payload) != chunk.length or zlib.crc32(payload) != chunk.crc32:
            self.log.error(
                "%s bytes of %s at %d came spoilt and are asked for again", chunk.run_id, chunk.stream, chunk.offset,
                extra={"event": "chunk_spoilt", "run": chunk.run_id, "host": chunk.host},
            )  # fmt: skip
            return self._repository.append(key, chunk.stream, chunk.offset, b"")
        return self._repository.append(key, chunk.stream, chunk.offset, payload, chunk.crc32)

    def _has(self, delivery: Delivery, place: Place, length: int, *, again: bool) -> None:
        """Tell the sender at the end of this turn, and the watchers when their turn has come."""
        key, stream = place
        whole = self._repository.is_complete(key, stream, length)
        if whole:
            try:
                self._repository.settle(key, stream)
            except OSError as error:
                self._complain(error)
        if length:
            reach("store.written")
            self._senders[place] = (delivery.sender, delivery.bulk)
            self._syncer.wrote(place, length, ended=whole and key in self._ends)
        durable = min(self._syncer.durable.get(place, 0), length)
        self._tell(delivery.sender, delivery.bulk, place, length, again=again, durable=durable)
        if length and not again:
            output = LiveOutput(run_id=key.run_id, stream=stream, length=length, complete=whole, journal=key.journal)
            self._live.grew(output)

    def _tell(
        self,
        to: str,
        bulk: bool,
        place: Place,
        length: int,
        *,
        complete: bool = False,
        again: bool = False,
        durable: int,
    ) -> None:
        if not self._acks:
            self._loop.call_soon(self._send_acks)
        (journal, run_id), stream = place
        self._acks.setdefault((to, bulk), {})[place] = Kept(
            run_id=run_id, stream=stream, length=length, complete=complete, again=again, journal=journal,
            durable=durable,
        )  # fmt: skip

    def _send_acks(self) -> None:
        acks, self._acks = self._acks, {}
        for (sender, bulk), kept in acks.items():
            self._peer.send(sender, OutputAck(items=list(kept.values())), bulk=bulk)
            reach("store.acked")

    # The disk

    def _begin_sync(self, due: Round) -> None:
        root = self._repository.root
        folders = {key.folder(root) for key in due.runs}
        runs = due.runs
        # in the order in which they ended: retention goes by it
        ended = [end for key, end in self._ends.items() if key in runs and self._repository.is_whole(key)]
        now = time.time()

        def sync() -> None:
            make_durable(root, folders)
            listed = [(self._ended(end, now), known) for end, known in ended]
            self._sweeper.add([one for one, _ in listed], {one.key for one, known in listed if known})
            reach("store.synced")

        def done(future: "asyncio.Future[None]") -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                self._synced(due, [end for end, _ in ended])
            elif isinstance(error, OSError):
                self._complain(error)
                self._syncer.failed()
            else:
                raise error

        self._loop.run_in_executor(self._disk, sync).add_done_callback(done)

    def _ended(self, end: OutputEnd, now: float) -> Ended:
        key = RunKey(end.journal, end.run_id)
        return Ended(key, end.job_id, now, self._repository.size(key), end.keep)

    def _synced(self, due: Round, ended: list[OutputEnd]) -> None:
        """Tell the senders what is durable, and that what has ended is complete."""
        self._syncer.ended(due)
        finals = {RunKey(end.journal, end.run_id): end.lengths for end in ended}
        for place, length in due.lengths.items():
            key, stream = place
            complete = key in finals and length >= finals[key].get(stream, length)
            sender, bulk = self._senders[place]
            self._tell(sender, bulk, place, length, complete=complete, durable=length)
            if complete:
                self._syncer.forget(place)
                del self._senders[place]
        for key in finals:
            del self._ends[key]
        if finals:
            self._sweep_later(_SWEEP_AFTER)

    def _sweep_later(self, delay: float) -> None:
        at = max(self._loop.time() + delay, self._rested)
        if self._sweeping is None:
            self._sweeping = self._loop.call_at(at, self._sweep)
        elif self._sweeping.when() <= self._loop.time():
            self._sweep_again = True  # under way
        elif self._sweeping.when() > at:
            self._sweeping.cancel()
            self._sweeping = self._loop.call_at(at, self._sweep)

    def _sweep(self) -> None:
        began = self._loop.time()

        def done(future: "asyncio.Future[int]") -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is not None and not isinstance(error, OSError):
                raise error
            if error is not None:
                self._complain(error)
            now = self._loop.time()
            self._sweeping = None
            self._rested = now + (now - began) * _SWEEP_SHARE
            more = error is None and future.result() >= TURN
            self._sweep_later(0.0 if more or self._sweep_again else _SWEEP_EACH)
            self._sweep_again = False

        self._loop.run_in_executor(self._disk, self._sweeper.turn, time.time()).add_done_callback(done)

    # What readers ask

    def on_read_range(self, message: ReadRange, delivery: Delivery) -> None:
        """Answer with a `Slice` and its bytes."""
        self._answers.give(delivery, lambda: self._answers.range(message))

    def on_read_lines(self, message: ReadLines, delivery: Delivery) -> None:
        """Answer with a `Slice` and whole lines."""
        self._answers.give(delivery, lambda: self._answers.lines(message))

    def on_output_stat(self, message: OutputStat, delivery: Delivery) -> None:
        """Answer with what there is of each stream."""
        self._answers.give(delivery, lambda: self._answers.stats(message))

    def on_sweep(self, message: SweepOutputs, delivery: Delivery) -> None:
        """Remove some of what is no longer kept, and answer with how much that was."""

        def done(future: "asyncio.Future[int]") -> None:
            if future.cancelled():
                return
            error = future.exception()
            if error is None:
                delivery.ok(Swept(removed=future.result(), more=future.result() >= TURN))
            elif isinstance(error, OSError):
                self._complain(error)
                delivery.no("unavailable", f"the outputs cannot be removed: {error.strerror}")
            else:
                raise error

        if delivery.sender.startswith("client/"):
            delivery.no("denied", "outputs are removed by REST")
            return
        self._loop.run_in_executor(self._disk, self._sweeper.turn, time.time()).add_done_callback(done)

    def on_search(self, message: Search, delivery: Delivery) -> None:
        """Answer with the lines that one step of a search has found."""
        self._answers.search(message, delivery)

    def _publish(self, output: LiveOutput) -> None:
        self._peer.publish(topics.live_output(output.run_id), 0, 0, encode(output))

    def _complain(self, error: OSError) -> None:
        """Say that the disk refuses, not for each chunk that comes again meanwhile."""
        now = time.monotonic()
        if now - self._complained >= _COMPLAIN_EACH:
            self._complained = now
            self.log.error(
                "output cannot be written: %s; it stays with the supervisors and comes again", error,
                extra={"event": "disk_refuses"},
            )  # fmt: skip
