"""The repository: `output/<shard>/<run>/<stream>.*`, the one place that turns a run id into a path.

The writer is the store's loop; readers may be threads. One lock covers the open streams, and is never held
while stored blocks are read.
"""

import contextlib
import errno
import os
import re
import threading
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from apsis.errors import BadRequest
from apsis_services.store.reading import Piece, read_lines, read_range
from apsis_services.store.stream import Stream, View

_RUN: Final = re.compile(r"r[0-9]{1,19}", re.ASCII)
_STREAM: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_END: Final = "end"
_SHARDS: Final = 256
#: three files each; far below the usual limit of 1,024 descriptors
_MAX_OPEN: Final = 64
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Stat:
    """What there is of one stream."""

    length: int
    lines: int
    complete: bool
    gaps: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Part:
    """An answer to a reader: the bytes, and the stream that they were cut from."""

    piece: Piece
    stat: Stat


class Repository:
    """Outputs by run and stream. Offsets never move, so anything may be appended again.

    Raises from each method that takes a run or a stream: BadRequest, if the name is not of the strict form
    of such names; no other text ever becomes part of a path.
    """

    def __init__(self, root: Path, *, max_open: int = _MAX_OPEN) -> None:
        self._root = root
        self._max_open = max_open
        self._open: OrderedDict[tuple[str, str], Stream] = OrderedDict()
        self._ends: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._lock = threading.Lock()

    def append(self, run_id: str, stream: str, offset: int, data: bytes) -> int:
        """Keep what is new of `data` and return the contiguous length; below `offset`: send from there again.

        Raises:
            OSError: the disk refused.
        """
        directory = self._directory(run_id, stream)
        with self._lock:
            return self._stream(directory, run_id, stream).append(offset, data)

    def append_gap(self, run_id: str, stream: str, offset: int, length: int) -> int:
        """Mark a range as lost for ever and return the contiguous length.

        Raises:
            OSError: the disk refused.
        """
        directory = self._directory(run_id, stream)
        with self._lock:
            return self._stream(directory, run_id, stream).append_gap(offset, length)

    def finish(self, run_id: str, lengths: Mapping[str, int]) -> dict[str, int]:
        """Note the final lengths, and return the contiguous length of each stream. Empty output leaves no file.

        Raises:
            OSError: the disk refused.
        """
        for stream in lengths:
            self._directory(run_id, stream)
        with self._lock:
            if not any(lengths.values()):
                return dict.fromkeys(lengths, 0)
            directory = self._directory(run_id, _END)
            if self._end(run_id, directory) != lengths:
                directory.mkdir(parents=True, exist_ok=True)
                _write_end(directory, lengths)
                self._ends[run_id] = dict(lengths)
            return {stream: self._stream(directory, run_id, stream).length for stream in lengths}

    def is_complete(self, run_id: str, stream: str, length: int) -> bool:
        """Return whether a stream of this length is known to have all its bytes."""
        directory = self._directory(run_id, stream)
        with self._lock:
            final = self._end(run_id, directory).get(stream)
        return final is not None and length >= final

    def settle(self, run_id: str, stream: str) -> None:
        """Pack what remains of a complete stream and close its files.

        Raises:
            OSError: the disk refused; the output is whole as it is, only larger than it need be.
        """
        directory = self._directory(run_id, stream)
        with self._lock:
            self._stream(directory, run_id, stream).finish()
            self._open.pop((run_id, stream), None)
            self._ends.pop(run_id, None)

    def read_range(self, run_id: str, stream: str, start: int, stop: int | None, limit: int) -> Part:
        """Return at most `limit` bytes of [start, stop); a negative start counts from the end.

        Raises:
            Damaged: what is stored is not what was written.
        """
        view, stat = self._look(run_id, stream)
        return Part(read_range(view, start, stop, limit), stat)

    def read_lines(self, run_id: str, stream: str, first: int, count: int, limit: int) -> Part:
        """Return whole lines, found by the sparse index; a negative `first` counts from the end.

        Raises:
            Damaged: what is stored is not what was written.
        """
        view, stat = self._look(run_id, stream)
        return Part(read_lines(view, first, count, limit), stat)

    def tail(self, run_id: str, stream: str, lines: int, limit: int) -> Part:
        """Return the last lines.

        Raises:
            Damaged: what is stored is not what was written.
        """
        return self.read_lines(run_id, stream, -lines, lines, limit)

    def stat(self, run_id: str) -> dict[str, Stat]:
        """Return what there is of each stream of a run; nothing, where it printed nothing."""
        directory = self._directory(run_id, _END)
        try:
            names = [path.name for path in directory.iterdir()]
        except FileNotFoundError:
            return {}
        streams = {stream for name in names for stream, dot, _ in [name.partition(".")] if dot and stream}
        with self._lock:
            streams |= self._end(run_id, directory).keys()
        return {stream: self._look(run_id, stream)[1] for stream in sorted(streams) if _STREAM.fullmatch(stream)}

    def delete(self, run_id: str) -> None:
        """Remove all that a run printed. No link is followed: neither one in the folder nor one in its place.

        Raises:
            OSError: something else than files is there, or it cannot be removed.
        """
        directory = self._directory(run_id, _END)
        with self._lock:
            for key in [key for key in self._open if key[0] == run_id]:
                self._open.pop(key).close()
            self._ends.pop(run_id, None)
            _remove(directory)

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def _directory(self, run_id: str, stream: str) -> Path:
        if not _RUN.fullmatch(run_id):
            raise BadRequest(f"{run_id[:40]!r} is no run id", hint="a run id looks like r123", loc="run_id")
        if not _STREAM.fullmatch(stream):
            raise BadRequest(
                f"{stream[:40]!r} is no name of a stream", hint="streams are output, or stdout and stderr", loc="stream"
            )
        return self._root / f"{zlib.crc32(run_id.encode()) % _SHARDS:02x}" / run_id

    def _look(self, run_id: str, stream: str) -> tuple[View, Stat]:
        directory = self._directory(run_id, stream)
        with self._lock:
            view = self._stream(directory, run_id, stream).view()
            final = self._end(run_id, directory).get(stream)
        complete = final is not None and view.length >= final
        return view, Stat(view.length, view.lines, complete, view.gaps)

    def _stream(self, directory: Path, run_id: str, stream: str) -> Stream:
        """Return the open stream, opening it if need be; the one that was used longest ago makes room."""
        key = (run_id, stream)
        found = self._open.get(key)
        if found is None:
            found = self._open[key] = Stream(directory, stream)
            if len(self._open) > self._max_open:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(key)
        return found

    def _end(self, run_id: str, directory: Path) -> dict[str, int]:
        """Return the final lengths as far as they are known; a run that goes on has none."""
        known = self._ends.get(run_id)
        if known is None:
            known = self._ends[run_id] = _read_end(directory)
            if len(self._ends) > self._max_open:
                self._ends.popitem(last=False)
        return known


def _read_end(directory: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode((directory / _END).read_bytes(), type=dict[str, int])
    except (FileNotFoundError, msgspec.DecodeError):  # torn by a power loss: the end is told again or asked again
        return {}


def _write_end(directory: Path, lengths: Mapping[str, int]) -> None:
    fresh = directory / f".{_END}"
    fresh.write_bytes(msgspec.json.encode(dict(lengths)))
    fresh.rename(directory / _END)


def _remove(directory: Path) -> None:
    with contextlib.ExitStack() as stack:
        try:
            shard = os.open(directory.parent, _DIRECTORY)
        except FileNotFoundError:
            return
        stack.callback(os.close, shard)
        try:
            folder = os.open(directory.name, _DIRECTORY, dir_fd=shard)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            os.unlink(directory.name, dir_fd=shard)  # a link or a file in the folder's place: remove that alone
            return
        stack.callback(os.close, folder)
        for name in os.listdir(folder):  # noqa: PTH208 - by descriptor, so that the folder cannot be swapped
            os.unlink(name, dir_fd=folder)
        os.rmdir(directory.name, dir_fd=shard)
