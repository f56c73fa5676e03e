"""One stream of one run's output on disk: opened with recovery, appended to, snapshotted for readers.

There is one writer, the store's loop. Readers take a `View`, which stays true while the writer goes on:
what lies below the last settled block never changes, and the tail is copied.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apsis_services.store.blocks import (
    BLOCK,
    NOTHING,
    RECORD,
    Block,
    Damaged,
    gap,
    gaps_in,
    joined,
    pack,
    unpack,
)
from apsis_services.store.tails import tail_from, tail_header, tail_piece

#: a finished tail below this stays as it is: a block would save no disk block and cost two more files
SMALL: Final = 4096

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_SCAN: Final = RECORD * 16384


@dataclass(frozen=True, slots=True)
class View:
    """A stream at one moment; its settled files are read by whoever holds this, without a lock."""

    data: Path
    index: Path
    #: settled blocks
    count: int
    last: Block
    tail: bytes
    gaps: list[tuple[int, int]]

    @property
    def length(self) -> int:
        """The contiguous length in bytes, gaps included."""
        return self.last.stop + len(self.tail)

    @property
    def lines(self) -> int:
        """How many lines there are; a last one without newline counts."""
        is_open = not (self.tail.endswith(b"\n") if self.tail else self.last.ends_line)
        return self.last.next_line + self.tail.count(b"\n") + is_open


class Stream:
    """The files of one stream. Opening it truncates what a crash left torn; nothing is made until bytes come."""

    def __init__(self, directory: Path, name: str) -> None:
        self._data_path = directory / f"{name}.data"
        self._index_path = directory / f"{name}.index"
        self._tail_path = directory / f"{name}.tail"
        self._data = self._index = self._tail_file = -1
        self._count = 0
        self._last = NOTHING
        self._gaps: list[tuple[int, int]] = []
        self._tail = bytearray()
        #: bytes of the tail's file that count; 0: it has no header yet
        self._tail_size = 0
        #: of the last piece in the tail's file
        self._tail_crc = 0
        #: no power was lost since its bytes were written, or every block was looked at since
        self.verified = False
        self._recover()

    @property
    def length(self) -> int:
        """The contiguous length: what can be read back, whatever is killed now."""
        return self._last.stop + len(self._tail)

    def append(self, offset: int, data: bytes, crc: int | None = None) -> int:
        """Keep what of `data`, with its crc32 where that is known, is new and return the contiguous length.

        Bytes that are kept already are passed over; a length below `offset` says that bytes before are
        missing and nothing was taken.

        Raises:
            OSError: the disk refused; what was kept before is still whole.
        """
        length = self.length
        if not offset <= length < offset + len(data):
            return length
        fresh = data[length - offset :] if offset < length else data
        if len(self._tail) + len(fresh) < BLOCK:
            self._grow_tail(fresh)
            return self.length
        raw = bytes(self._tail) + fresh if self._tail else fresh
        full = len(raw) // BLOCK * BLOCK
        for start in range(0, full, BLOCK):
            whole = raw if len(raw) == BLOCK else raw[start : start + BLOCK]
            self._settle(*pack(self._last, whole, crc if whole is data else None))
        if full < len(raw):
            self._grow_tail(raw[full:])
        return self.length

    def append_gap(self, offset: int, length: int) -> int:
        """Mark a range as lost and return the contiguous length; what is kept of it already stays."""
        missing = offset + length - self.length
        if offset > self.length or missing <= 0:
            return self.length
        self._seal_tail()
        self._settle(gap(self._last, missing), b"")
        return self.length

    def finish(self) -> None:
        """Settle a tail that is worth a block, remove an empty one, and close the files."""
        if len(self._tail) >= SMALL:
            self._seal_tail()
        if not self._tail:
            self._tail_path.unlink(missing_ok=True)
        self.close()

    def is_older_than(self, moment: float) -> bool:
        """Say whether its last block was written before a moment (seconds since the epoch)."""
        try:
            return self._index_path.stat().st_mtime < moment
        except FileNotFoundError:
            return False

    def verify(self) -> None:
        """Look at every block, once after the machine has lost its power, and drop the first damaged one and all after.

        The kernel writes in any order: a block may be on the disk whose predecessor is not. Nothing that was
        called durable is dropped, and what was not is still with its sender.
        """
        if self.verified:
            return
        self.verified = True
        if not self._count:
            return
        index = os.open(self._index_path, _FLAGS & ~os.O_CREAT)
        try:
            data = os.open(self._data_path, _FLAGS & ~os.O_CREAT)
            try:
                good = _whole_blocks(index, data, self._count)
            finally:
                os.close(data)
            if good < self._count:
                os.ftruncate(index, good * RECORD)
        finally:
            os.close(index)
        if good < self._count:
            self.close()
            self._count, self._last, self._gaps = 0, NOTHING, []
            self._tail.clear()
            self._tail_size = self._tail_crc = 0
            self._recover()

    def view(self) -> View:
        """Return the stream as it is now."""
        return View(self._data_path, self._index_path, self._count, self._last, bytes(self._tail), list(self._gaps))

    def close(self) -> None:
        """Close the files; the stream is opened anew when it is needed again."""
        for file in (self._data, self._index, self._tail_file):
            if file >= 0:
                os.close(file)
        self._data = self._index = self._tail_file = -1

    def _seal_tail(self) -> None:
        if self._tail:
            self._settle(*pack(self._last, bytes(self._tail)))

    def _settle(self, block: Block, frame: bytes) -> None:
        """Write a block, then its record: only then does it exist; the tail, which it holds, is emptied last."""
        if self._data < 0:
            self._data = _open(self._data_path)
            self._index = _open(self._index_path)
        _write(self._data, frame, block.place)
        _write(self._index, block.encode(), self._count * RECORD)
        self._last = block
        self._count += 1
        if block.gap:
            self._gaps = joined([*self._gaps, (block.start, block.stop)])
        self._tail.clear()
        if self._tail_size:
            self._open_tail()
            os.ftruncate(self._tail_file, 0)
            self._tail_size = 0

    def _grow_tail(self, data: bytes) -> None:
        self._open_tail()
        head = b"" if self._tail_size else tail_header(self._last.stop)
        piece, crc = tail_piece(data, self._tail_crc if self._tail_size else 0)
        _write(self._tail_file, head + piece, self._tail_size)
        self._tail_size += len(head) + len(piece)
        self._tail_crc = crc
        self._tail += data

    def _open_tail(self) -> None:
        if self._tail_file < 0:
            self._tail_file = _open(self._tail_path)

    def _recover(self) -> None:
        try:
            self._recover_blocks()
            self._recover_tail()
        finally:
            self.close()

    def _recover_blocks(self) -> None:
        try:
            self._index = os.open(self._index_path, _FLAGS & ~os.O_CREAT)
        except FileNotFoundError:
            return
        self._data = os.open(self._data_path, _FLAGS & ~os.O_CREAT)
        size = os.fstat(self._index).st_size
        data_size = os.fstat(self._data).st_size
        self._count = size // RECORD
        while self._count and not self._good(data_size):
            self._count -= 1
        if self._count == 0:
            self._last = NOTHING
        if size != self._count * RECORD:
            os.ftruncate(self._index, self._count * RECORD)
        if data_size > self._last.next_place:
            os.ftruncate(self._data, self._last.next_place)
        for start in range(0, self._count * RECORD, _SCAN):
            self._gaps += gaps_in(os.pread(self._index, min(_SCAN, self._count * RECORD - start), start))
        self._gaps = joined(self._gaps)

    def _good(self, data_size: int) -> bool:
        """Read the last record into `_last`; False if it, or the block that it names, is torn."""
        block = Block.decode(os.pread(self._index, RECORD, (self._count - 1) * RECORD))
        if block is None or block.next_place > data_size:
            return False
        if not block.gap:
            try:
                unpack(block, os.pread(self._data, block.packed, block.place))
            except Damaged:
                return False
        self._last = block
        return True

    def _recover_tail(self) -> None:
        try:
            self._tail_file = os.open(self._tail_path, _FLAGS & ~os.O_CREAT)
        except FileNotFoundError:
            return
        content = os.pread(self._tail_file, os.fstat(self._tail_file).st_size, 0)
        tail = tail_from(content, self._last.stop)
        kept = tail.size if tail else 0
        if kept < len(content):
            os.ftruncate(self._tail_file, kept)
        if tail:
            self._tail += tail.data
            self._tail_size, self._tail_crc = tail.size, tail.crc


def _whole_blocks(index: int, data: int, count: int) -> int:
    """Return how many blocks are whole, counted from the first."""
    before = NOTHING
    for number in range(count):
        block = Block.decode(os.pread(index, RECORD, number * RECORD))
        if block is None or block.start != before.stop:
            return number
        if not block.gap:
            try:
                unpack(block, os.pread(data, block.packed, block.place))
            except Damaged:
                return number
        before = block
    return count


def _open(path: Path) -> int:
    """Open a file to write, and make it and its folder where they are missing."""
    try:
        return os.open(path, _FLAGS, 0o640)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        return os.open(path, _FLAGS, 0o640)


def _write(file: int, data: bytes, place: int) -> None:
    """Write all of it at a place: a short write, as at the end of a disk, is gone on with until it raises."""
    done = os.pwrite(file, data, place) if data else 0
    while done < len(data):
        done += os.pwrite(file, data[done:], place + done)
