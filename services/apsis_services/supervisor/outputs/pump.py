"""Carrying what runs print to the store: fairly between runs, with a bounded amount on its way, until it is kept."""

import logging
import math
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from apsis.failpoints import reach
from apsis.messages.outputs import Chunk, Kept, OutputEnd, ToStore
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.outputs.carried import FIRST_DELAY, PLAIN, Output, Terms
from apsis_services.supervisor.outputs.spoolfile import Marks, SpoolFolder
from apsis_services.supervisor.outputs.tail import PIECE, Piece, Tail

#: bytes sent and not yet acked, over all runs
CREDIT: Final = 8 * PIECE
#: messages sent and not yet acked, over all runs: the bulk router queues 32 for one peer
MESSAGES: Final = 24
#: acked bytes that are given back to the file system at once
PUNCH: Final = 1 << 20
#: seconds between two resends, at most
LAST_DELAY: Final = 5.0
#: seconds in which the small pieces of one stream are gathered, after the first was sent at once
GATHER: Final = 0.005

log = logging.getLogger("supervisor")

Sends = Callable[[ToStore, bytes | None], None]


@dataclass(slots=True)
class Pump:
    """All outputs of this host, and what is on its way to the store."""

    host: str
    runs: Path
    send: Sends
    remove: Callable[[Path], None]
    outputs: dict[Key, Output] = field(default_factory=dict)
    #: runs that may have something to send, in the order in which they are served
    queue: OrderedDict[Key, None] = field(default_factory=OrderedDict)
    #: of all runs together
    messages: int = 0
    bytes: int = 0
    #: the store was not reached: one message is tried, at `try_at`, until it is back
    away: bool = False
    try_at: float = 0.0
    absence: float = FIRST_DELAY
    punching: bool = True
    _waiting: set[Key] = field(default_factory=set)
    #: runs whose small pieces are gathered
    _gathering: set[Key] = field(default_factory=set)
    #: no run is to be sent again before then
    _check_at: float = math.inf

    def open(self, key: Key, streams: Iterable[str], terms: Terms = PLAIN, *, found: bool = False) -> Output:
        """Begin with a run, or go on with one that was found after a restart, from where its file was emptied to."""
        if key in self.outputs:
            return self.outputs[key]
        folder = SpoolFolder(self.runs / str(key))
        marks = folder.marks()
        cap = terms.cap if terms.cap is not None else marks.cap
        output = Output(key, folder, {}, cap, terms.job_id, terms.keep, probing=found)
        for name in streams:
            start = marks.punched.get(name, 0)
            tail = Tail(cap, size=start, sent=start, acked=start, durable=start, punched=start)
            tail.lost += marks.lost.get(name, [])
            output.streams[name] = tail
        self.outputs[key] = output
        return output

    def grew(self, key: Key) -> None:
        """The run's files may hold more than they did."""
        output = self.outputs.get(key)
        if output is None or output.settled:
            return  # word of what was printed may come after the store has all of it
        for name, tail in output.streams.items():
            if tail.final is None:
                tail.grow(output.folder.size(name))
                self._dispense(output, name, tail)
        self.queue[key] = None

    def finish(self, key: Key, lengths: Mapping[str, int]) -> None:
        """Nothing more will be printed; lengths that are not stated are those of the files."""
        output = self.outputs.get(key)
        if output is None or output.ended:
            return
        for name, tail in output.streams.items():
            tail.finish(lengths[name] if name in lengths else output.folder.size(name))
        if output.settled:
            self._settle(output)
        else:
            output.ready_at = 0.0
            self.queue[key] = None

    def forget(self, key: Key) -> None:
        """The run's journal is archived: its folder goes as soon as the store has all."""
        output = self.outputs.get(key)
        if output is None:
            self.remove(self.runs / str(key))
            return
        output.forgotten = True
        if output.settled:
            self._settle(output)

    def acked(self, items: Iterable[Kept], now: float) -> None:
        """The store has said how far it is."""
        self.back()
        for kept in items:
            output = self.outputs.get(Key(kept.journal, kept.run_id))
            tail = output.streams.get(kept.stream) if output is not None else None
            if output is None or tail is None:
                continue
            if self._acked_one(output, tail, kept):
                output.delay, output.resend_at = FIRST_DELAY, None
            if output.settled:
                self._settle(output)
                continue
            if any(output.flying):
                self._expect_ack(output, now)
            else:
                self._waiting.discard(output.key)
            self._punch(output, kept.stream, tail)
            self.queue[output.key] = None

    def _acked_one(self, output: Output, tail: Tail, kept: Kept) -> bool:
        messages, size = output.flying
        news = tail.ack(kept.length, complete=kept.complete, again=kept.again, durable=kept.durable)
        if output.probing or kept.again:
            # The end was said too early: it is said again when all is sent.
            output.probing = output.end_sent = False
            news = True
        self._count(output, messages, size)
        return news

    def _count(self, output: Output, messages: int, size: int) -> None:
        """Note that a run has other messages and bytes on their way than the given."""
        flying = output.flying
        self.messages += flying[0] - messages
        self.bytes += flying[1] - size

    def lost(self, now: float) -> None:
        """The store or the hub went away: all that is on its way is to be sent again, in a while."""
        for key in tuple(self._waiting):
            self._rewind(self.outputs[key])
        if not self.away or now >= self.try_at:
            self.away = True
            self.try_at = now + self.absence
            self.absence = min(self.absence * 2, LAST_DELAY)

    def give_up(self, key: Key, name: str, start: int, stop: int) -> None:
        """The disk is full: let go of a range that was not sent; the store is told of the gap in its place."""
        output = self.outputs[key]
        tail = output.streams[name]
        if tail.unsent() is None:
            return
        tail.lose(start, stop)
        log.error(
            "run %s: bytes %d to %d of %s are given up, for the disk is full", key.run_id, start, stop - 1, name,
            extra={"event": "output_given_up", "run": key.run_id},
        )  # fmt: skip
        self._empty(output, name, start, stop)

    def back(self) -> None:
        """The store is there."""
        self.away = False
        self.absence = FIRST_DELAY

    def pump(self, now: float) -> float | None:
        """Send what may be sent, one piece of each run in turn; return when to be called again, if nothing happens."""
        if now >= self._check_at:
            self._resend(now)
        self.queue.update(dict.fromkeys(self._gathering))
        self._gathering.clear()
        again = self._check_at
        if self.away and self.queue and now < self.try_at:
            return min(again, self.try_at)
        messages, credit = (1, 1) if self.away else (MESSAGES, CREDIT)
        while self.queue and self.messages < messages and self.bytes < credit:
            key, _ = self.queue.popitem(last=False)
            output = self.outputs.get(key)
            if output is None:
                continue
            if _gathers(output, now):
                self._gathering.add(key)
                again = min(again, output.ready_at)
            elif self._send_one(output, now):
                self.queue[key] = None
        again = min(again, self._check_at)
        return None if again == math.inf else again

    def _resend(self, now: float) -> None:
        self._check_at = math.inf
        for key in tuple(self._waiting):
            output = self.outputs[key]
            if output.resend_at is None:
                continue
            if output.resend_at <= now:
                output.delay = min(output.delay * 2, LAST_DELAY)
                self._rewind(output)
            else:
                self._check_at = min(self._check_at, output.resend_at)

    def _send_one(self, output: Output, now: float) -> bool:
        """Send the next piece of a run, or its end; return whether there may be more."""
        if output.ended and output.probing:
            self._send_end(output, now)
            return False
        for name, tail in output.streams.items():
            piece = tail.next_piece()
            if piece is not None and self._send_piece(output, name, tail, piece):
                self._expect_ack(output, now)
                output.ready_at = now + GATHER
                return True
        if output.ended and not output.end_sent and all(tail.all_sent for tail in output.streams.values()):
            self._send_end(output, now)
        return False

    def _send_end(self, output: Output, now: float) -> None:
        journal, run_id = output.key
        self.send(
            OutputEnd(
                host=self.host, run_id=run_id, lengths=output.lengths, journal=journal, job_id=output.job_id,
                keep=output.keep,
            ),
            None,
        )  # fmt: skip
        before = output.flying
        output.end_sent = True
        self._count(output, *before)
        self._expect_ack(output, now)

    def _send_piece(self, output: Output, name: str, tail: Tail, piece: Piece) -> bool:
        journal, run_id = output.key
        data = b"" if piece.gap else output.folder.read(name, piece.offset, piece.length)
        if not piece.gap and len(data) < piece.length:
            if tail.final is None:
                piece = Piece(piece.offset, len(data))
            else:
                # The file is shorter than its journal states: what is missing is told, not invented.
                piece = piece if not data else Piece(piece.offset, len(data))
                piece = piece._replace(gap=not data)
            if not piece.length:
                return False
        self.send(
            Chunk(
                host=self.host,
                run_id=run_id,
                stream=name,
                offset=piece.offset,
                length=piece.length,
                crc32=zlib.crc32(data),
                gap=piece.gap,
                journal=journal,
            ),
            data,
        )
        reach("supervisor.chunk-sent")
        before = output.flying
        tail.send(piece)
        self._count(output, *before)
        return True

    def _expect_ack(self, output: Output, now: float) -> None:
        self._waiting.add(output.key)
        if output.resend_at is None:
            output.resend_at = now + output.delay
            self._check_at = min(self._check_at, output.resend_at)

    def _rewind(self, output: Output) -> None:
        before = output.flying
        for tail in output.streams.values():
            tail.rewind()
        output.end_sent = output.probing = False
        self._count(output, *before)
        output.resend_at = None
        output.ready_at = 0.0
        self._waiting.discard(output.key)
        self.queue[output.key] = None

    def _dispense(self, output: Output, name: str, tail: Tail) -> None:
        """Give back what lies beyond the cap, so that a log bomb does not fill the disk."""
        middle = tail.dispensable()
        if not self.punching or middle is None or middle[1] - max(middle[0], tail.dispensed) < PUNCH:
            return
        tail.dispensed = middle[1]
        self._empty(output, name, *middle)

    def _punch(self, output: Output, name: str, tail: Tail) -> None:
        if not self.punching:
            return
        stop = min(tail.durable, tail.acked)
        stop -= stop % PIECE
        if stop - tail.punched >= PUNCH:
            start, tail.punched = tail.punched, stop
            self._empty(output, name, start, stop)

    def _empty(self, output: Output, name: str, start: int, stop: int) -> None:
        try:
            output.folder.mark(Marks(output.cap, output.punched, output.lost))
        except OSError as error:
            # What is emptied without the mark would be sent as zeros after a restart: rather a full disk.
            log.warning("%s: %s", output.folder.path, error.strerror, extra={"event": "not_marked"})
            return
        self.punching = output.folder.punch(name, start, stop)
        reach("supervisor.punched")
        if not self.punching:
            log.warning("the file system of %s cannot give back parts of files", self.runs, extra={"event": "no_holes"})

    def _settle(self, output: Output) -> None:
        before = output.flying
        output.end_sent = False
        for tail in output.streams.values():
            tail.flights.clear()
            tail.sent = tail.acked
        self._count(output, *before)
        self._waiting.discard(output.key)
        self.queue.pop(output.key, None)
        if output.forgotten:
            self._remove(output)

    def _remove(self, output: Output) -> None:
        self.remove(output.folder.path)
        del self.outputs[output.key]


def _gathers(output: Output, now: float) -> bool:
    """Whether a run's next piece is small and follows close upon another: it waits for more to come."""
    if output.ready_at <= now or output.ended:
        return False
    return all(tail.size - tail.sent < PIECE // 4 for tail in output.streams.values())
