"""How far one stream of one run has been read, sent and kept: which piece goes next. Pure; offsets never move."""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

#: bytes in one piece
PIECE: Final = 256 * 1024


#: bytes of a cap from which on the tail begins at a whole piece
_LARGE: Final = 32 * PIECE


class Piece(NamedTuple):
    """Bytes `offset` to `offset + length` of a stream; `gap`: they are lost, and only that is told."""

    offset: int
    length: int
    gap: bool = False


@dataclass(slots=True)
class Tail:
    """One stream. `size` is what the file holds, `final` what it will hold in the end, once that is known."""

    #: bytes kept of it, the head and the tail together; None: all
    cap: int | None = None
    size: int = 0
    sent: int = 0
    acked: int = 0
    #: what of it the store has on its disk: it may be given back
    durable: int = 0
    #: below it the file has been emptied: those bytes can be told only as a gap
    punched: int = 0
    #: up to here the middle beyond the cap has been emptied
    dispensed: int = 0
    #: [start, stop) ranges that were given up unsent, because the disk was full; in order
    lost: list[tuple[int, int]] = field(default_factory=list)
    final: int | None = None
    complete: bool = False
    #: where the pieces on their way end
    flights: deque[int] = field(default_factory=deque)
    #: consecutive resends without an ack that is further
    stalls: int = 0
    #: where the store last asked to be sent from again
    asked: int = -1

    @property
    def head(self) -> int | None:
        """Bytes from the beginning that are kept whatever the length will be."""
        return None if self.cap is None else self.cap - self.cap // 4

    @property
    def flying(self) -> int:
        """Bytes sent and not yet acked."""
        return self.sent - self.acked

    @property
    def all_sent(self) -> bool:
        """Whether nothing is left to be sent, now and later."""
        return self.final is not None and self.sent >= self.final

    @property
    def settled(self) -> bool:
        """Whether the store has all of it and has said so; an empty stream needs no saying."""
        return self.complete or self.final == 0

    def grow(self, size: int) -> None:
        """The file holds `size` bytes. One that shrank (its program cut it) keeps its length here."""
        self.size = max(self.size, size)

    def finish(self, length: int) -> None:
        """Nothing more will be written; what was sent already cannot become less."""
        self.final = max(length, self.sent)
        self.size = max(self.size, self.final)

    def next_piece(self) -> Piece | None:
        """Return what is to be sent next; None: nothing for the moment."""
        if self.sent < self.punched:
            return Piece(self.sent, self.punched - self.sent, gap=True)
        limit = math.inf
        for start, end in self.lost:
            if start <= self.sent < end:
                return Piece(self.sent, end - self.sent, gap=True)
            if start > self.sent:
                limit = start
                break
        stop = self.size if self.final is None else self.final
        if self.head is not None and self.cap is not None and stop > self.head:
            if self.sent < self.head:
                stop = self.head
            elif self.final is None:
                # How much lies between head and tail is known only when it has ended.
                return None
            elif (tail := self._tail_start(self.final)) > self.sent:
                return Piece(self.sent, tail - self.sent, gap=True)
        # Pieces end at whole multiples, so that the store gets whole blocks.
        length = min(stop - self.sent, PIECE - self.sent % PIECE, int(min(limit, stop)) - self.sent)
        return Piece(self.sent, length) if length > 0 else None

    def send(self, piece: Piece) -> None:
        """The piece is on its way."""
        self.sent = piece.offset + piece.length
        self.flights.append(self.sent)

    def ack(self, length: int, *, complete: bool = False, again: bool = False, durable: int | None = None) -> bool:
        """The store has `length` bytes from the beginning, `durable` of them for good; return whether that is news.

        `again`: the store could not take what came last, and wants it from `length`. It says so for each
        piece that was on its way; only the first is heeded. A store that has less than it said before was
        put back from a backup: believed if it asks, or when resending has led nowhere twice.
        """
        news = length > self.acked or complete
        self.durable = max(self.durable, length if durable is None else durable)
        if length > self.acked:
            self.acked = length
            self.sent = max(self.sent, length)
            self.stalls, self.asked = 0, -1
            while self.flights and self.flights[0] <= length:
                self.flights.popleft()
        if (again and length != self.asked) or (length < self.acked and self.stalls >= 2):
            self.acked = self.sent = self.asked = length
            self.flights.clear()
            self.stalls = 0
            news = True
        self.complete = self.complete or (complete and self.final is not None)
        return news

    def rewind(self) -> None:
        """What is on its way is to be sent again."""
        self.sent = self.acked
        self.flights.clear()
        self.stalls += 1

    def dispensable(self) -> tuple[int, int] | None:
        """Return the bytes between head and tail that will never be sent, while the stream still grows."""
        if self.head is None:
            return None
        stop = self._tail_start(self.size)
        return (self.head, stop) if stop > self.head else None

    def unsent(self) -> tuple[int, int] | None:
        """Return the middle of what lies here and was not sent: what may be given up when the disk is full.

        A piece at its beginning and one at its end stay, so that a reader sees where it breaks off.
        """
        start = max(self.sent, self.punched, self.dispensed, self.lost[-1][1] if self.lost else 0) + PIECE
        stop = self.size - PIECE
        start, stop = -(-start // PIECE) * PIECE, stop // PIECE * PIECE
        return (start, stop) if stop > start else None

    def lose(self, start: int, stop: int) -> None:
        """Give up a range that was not sent: it is told as a gap when its turn has come."""
        if self.lost and self.lost[-1][1] >= start:
            start = self.lost.pop()[0]
        self.lost.append((start, stop))

    def _tail_start(self, size: int) -> int:
        """Return where the kept tail of so many bytes begins; there is a cap."""
        assert self.cap is not None
        assert self.head is not None
        start = size - (self.cap - self.head)
        # Of a cap of some size the tail begins at a whole piece: the store gets whole blocks again.
        return -(-start // PIECE) * PIECE if self.cap >= _LARGE else start
