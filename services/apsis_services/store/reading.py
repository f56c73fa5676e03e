"""Reading a range of bytes or of lines from a `View`: only the blocks that hold them are unpacked."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from apsis_services.store.blocks import RECORD, Block, Damaged, unpack
from apsis_services.store.stream import View


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a stream and where they stand."""

    start: int
    data: bytes
    #: number of the line that `start` begins, where lines were asked for
    line: int | None = None


def read_range(view: View, start: int, stop: int | None, limit: int) -> Piece:
    """Return at most `limit` bytes of [start, stop); a negative start counts from the end. Gaps read as zeros.

    Raises:
        Damaged: what is stored is not what was written.
    """
    length = view.length
    start = max(0, length + start) if start < 0 else min(start, length)
    stop = min(length if stop is None else stop, length, start + limit)
    if start >= stop:
        return Piece(start, b"")
    parts = []
    with _settled(view) as blocks:
        if start < view.last.stop:
            for block in blocks.after(blocks.find(lambda block: block.stop > start), stop):
                first, end = max(start, block.start), min(stop, block.stop)
                raw = bytes(end - first) if block.gap else blocks.raw(block)[first - block.start : end - block.start]
                parts.append(raw)
    if stop > view.last.stop:
        parts.append(view.tail[max(0, start - view.last.stop) : stop - view.last.stop])
    return Piece(start, b"".join(parts))


def read_lines(view: View, first: int, count: int, limit: int) -> Piece:
    """Return `count` whole lines from line `first`; a negative one counts from the end.

    Fewer come where the output ends, at a gap, and where `limit` bytes are reached; only a single line
    longer than `limit` is cut (the rest of it is reached by `read_range`).

    Raises:
        Damaged: what is stored is not what was written.
    """
    total = view.lines
    first = max(0, total + first) if first < 0 else min(first, total)
    start = _line_start(view, first)
    if count <= 0 or first >= total:
        return Piece(start, b"", first)
    stop = next((begin for begin, _ in view.gaps if begin >= start), view.length)
    parts: list[bytes] = []
    size = 0
    for piece in _onward(view, start, min(stop, start + limit)):
        newlines = piece.count(b"\n")
        if newlines >= count:
            piece = piece[: _after_newline(piece, count)]
        parts.append(piece)
        size += len(piece)
        count -= newlines
        if count <= 0:
            break
    data = b"".join(parts)
    if count > 0 and start + size < stop:  # the limit cut the last line
        whole = data.rfind(b"\n") + 1
        data = data[: whole or size]
    return Piece(start, data, first)


def line_at(view: View, offset: int) -> tuple[int, int]:
    """Return the number of the line that a byte belongs to, and the offset at which its line begins.

    A line that began in an earlier block than the byte's is said to begin where that block does: how far it
    reaches back is not known without reading on.

    Raises:
        Damaged: what is stored is not what was written.
    """
    if offset >= view.last.stop:
        raw, start, line = view.tail, view.last.stop, view.last.next_line
    else:
        with _settled(view) as blocks:
            number = blocks.find(lambda block: block.stop > offset)
            block = blocks.record(number)
            raw = b"" if block.gap else blocks.raw(block)
            start, line = block.start, block.line
    before = raw[: offset - start]
    newline = before.rfind(b"\n")
    return line + before.count(b"\n"), start + newline + 1


def _onward(view: View, start: int, stop: int) -> Iterator[bytes]:
    """Yield the bytes of a range without gap, a block at a time, so that no more is unpacked than is wanted."""
    with _settled(view) as blocks:
        if start < view.last.stop:
            for block in blocks.after(blocks.find(lambda block: block.stop > start), stop):
                yield blocks.raw(block)[max(0, start - block.start) : stop - block.start]
    if stop > view.last.stop:
        yield view.tail[max(0, start - view.last.stop) : stop - view.last.stop]


def _line_start(view: View, line: int) -> int:
    """Return the offset at which a line begins: right after the newline, or the gap, that ends the one before."""
    if line == 0:
        start = 0
    elif line > view.last.next_line:
        missing = line - view.last.next_line
        if missing > view.tail.count(b"\n"):
            return view.length
        start = view.last.stop + _after_newline(view.tail, missing)
    else:
        with _settled(view) as blocks:
            block = blocks.record(blocks.find(lambda block: block.next_line >= line))
            start = block.stop if block.gap else block.start + _after_newline(blocks.raw(block), line - block.line)
    return next((stop for begin, stop in view.gaps if begin <= start < stop), start)


def _after_newline(raw: bytes, nth: int) -> int:
    """Return the offset after the nth newline, counted from 1."""
    return len(raw) - len(raw.split(b"\n", nth)[nth])


class _Blocks:
    """The settled blocks of a view, read from its files."""

    def __init__(self, index: int, data: int, count: int) -> None:
        self._index = index
        self._data = data
        self._count = count

    def record(self, number: int) -> Block:
        block = Block.decode(os.pread(self._index, RECORD, number * RECORD))
        if block is None:
            raise Damaged(f"index record {number} is torn")
        return block

    def raw(self, block: Block) -> bytes:
        return unpack(block, os.pread(self._data, block.packed, block.place))

    def find(self, reached: Callable[[Block], bool]) -> int:
        """Return the number of the first block for which `reached` is true; it must be so for the last."""
        low, high = 0, self._count - 1
        while low < high:
            middle = (low + high) // 2
            if reached(self.record(middle)):
                high = middle
            else:
                low = middle + 1
        return low

    def after(self, number: int, stop: int) -> Iterator[Block]:
        """Yield the blocks from one on that begin before `stop`."""
        while number < self._count and (block := self.record(number)).start < stop:
            yield block
            number += 1


@contextmanager
def _settled(view: View) -> Iterator[_Blocks]:
    """Open the settled files for one read: descriptors of its own, so that the writer may close or remove its own."""
    if not view.count:
        yield _Blocks(-1, -1, 0)
        return
    index = os.open(view.index, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        data = os.open(view.data, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            yield _Blocks(index, data, view.count)
        finally:
            os.close(data)
    finally:
        os.close(index)
