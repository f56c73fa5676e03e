"""The repository: `output/<shard>/<journal>-<run>/<stream>.*`, written by one, read by many.

The writer is the store's loop; readers and the remover may be threads. One lock covers the open streams, and
is never held while stored blocks are read.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from apsis.errors import ConfigError
from apsis_services.store.names import RunKey, check_stream, is_stream, key_of
from apsis_services.store.reading import Piece, read_lines, read_range
from apsis_services.store.removals import Removal, find_removal
from apsis_services.store.removing import remove_folder
from apsis_services.store.stream import Stream, View

_END: Final = "end"
#: three files each; far below the usual limit of 1,024 descriptors
_MAX_OPEN: Final = 64


class Removed(Exception):
    """The output was removed by retention."""

    def __init__(self, removal: Removal) -> None:
        super().__init__(removal)
        self.removal = removal


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
    of such names; Removed, if there was such an output. Damaged comes from what reads, OSError from what writes.
    """

    def __init__(self, root: Path, *, max_open: int = _MAX_OPEN) -> None:
        self.root = root
        self._max_open = max_open
        self._open: OrderedDict[tuple[RunKey, str], Stream] = OrderedDict()
        self._ends: OrderedDict[RunKey, dict[str, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._booted = _boot_time()

    def refuse_other_layout(self) -> None:
        """Refuse a repository of a version that kept runs of all databases under the same names.

        Raises:
            ConfigError: it is one.
        """
        for shard in sorted(self.root.glob("[0-9a-f][0-9a-f]")):
            for entry in shard.iterdir():
                if key_of(entry.name) is None and entry.name.startswith("r") and entry.name[1:].isdigit():
                    raise ConfigError(
                        f"the outputs in {self.root} are of an earlier version, which this one cannot read",
                        hint=f"move them away: mv {self.root} {self.root}.old",
                    )
                break

    def append(self, key: RunKey, stream: str, offset: int, data: bytes, crc: int | None = None) -> int:
        """Keep what is new of `data` and return the contiguous length; below `offset`: send from there again.

        `crc` is the crc32 of `data`, where it is known.
        """
        check_stream(stream)
        with self._lock:
            return self._writable(key, stream).append(offset, data, crc)

    def append_gap(self, key: RunKey, stream: str, offset: int, length: int) -> int:
        """Mark a range as lost for ever and return the contiguous length."""
        check_stream(stream)
        with self._lock:
            return self._writable(key, stream).append_gap(offset, length)

    def finish(self, key: RunKey, lengths: Mapping[str, int]) -> dict[str, int]:
        """Note the final lengths, and return the contiguous length of each stream. Empty output leaves no file."""
        folder = key.folder(self.root)
        for stream in lengths:
            check_stream(stream)
        with self._lock:
            if not any(lengths.values()):
                return dict.fromkeys(lengths, 0)
            kept = {stream: self._writable(key, stream).length for stream in lengths}
            if self._end(key) != lengths:
                folder.mkdir(mode=0o750, parents=True, exist_ok=True)
                _write_end(folder, lengths)
                self._ends[key] = dict(lengths)
            return kept

    def has_ended(self, key: RunKey) -> bool:
        """Return whether the final lengths were noted already."""
        with self._lock:
            return bool(self._end(key))

    def is_complete(self, key: RunKey, stream: str, length: int) -> bool:
        """Return whether a stream of this length is known to have all its bytes."""
        with self._lock:
            final = self._end(key).get(stream)
        return final is not None and length >= final

    def is_whole(self, key: RunKey) -> bool:
        """Return whether all streams of a run are known to have all their bytes."""
        with self._lock:
            end = dict(self._end(key))
            return bool(end) and all(self._stream(key, stream).length >= final for stream, final in end.items())

    def settle(self, key: RunKey, stream: str) -> None:
        """Pack what remains of a complete stream and close its files."""
        with self._lock:
            self._stream(key, check_stream(stream)).finish()
            self._open.pop((key, stream), None)
            self._ends.pop(key, None)

    def read_range(self, key: RunKey, stream: str, start: int, stop: int | None, limit: int) -> Part:
        """Return at most `limit` bytes of [start, stop); a negative start counts from the end."""
        view, stat = self.look(key, stream)
        return Part(read_range(view, start, stop, limit), stat)

    def read_lines(self, key: RunKey, stream: str, first: int, count: int, limit: int) -> Part:
        """Return whole lines, found by the sparse index; a negative `first` counts from the end."""
        view, stat = self.look(key, stream)
        return Part(read_lines(view, first, count, limit), stat)

    def look(self, key: RunKey, stream: str) -> tuple[View, Stat]:
        """Return a stream as it is now, to be read without a lock."""
        check_stream(stream)
        with self._lock:
            view = self._stream(key, stream).view()
            final = self._end(key).get(stream)
        complete = final is not None and view.length >= final
        return view, Stat(view.length, view.lines, complete, view.gaps)

    def stat(self, key: RunKey) -> dict[str, Stat]:
        """Return what there is of each stream of a run; nothing, where it printed nothing."""
        try:
            names = os.listdir(key.folder(self.root))  # noqa: PTH208 - names are all that is wanted
        except FileNotFoundError:
            self._refuse_removed(key)
            return {}
        streams = {stream for name in names for stream, dot, _ in [name.partition(".")] if dot and is_stream(stream)}
        with self._lock:
            streams |= self._end(key).keys()
        return {stream: self.look(key, stream)[1] for stream in sorted(streams)}

    def size(self, key: RunKey) -> int:
        """Return the bytes that a run's files take."""
        try:
            with os.scandir(key.folder(self.root)) as entries:
                return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
        except FileNotFoundError:
            return 0

    def delete(self, key: RunKey) -> None:
        """Remove all that a run printed. No link is followed: neither one in the folder nor one in its place."""
        folder = key.folder(self.root)
        with self._lock:
            for known in [known for known in self._open if known[0] == key]:
                self._open.pop(known).close()
            self._ends.pop(key, None)
            remove_folder(folder)

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def _refuse_removed(self, key: RunKey) -> None:
        if (removal := find_removal(self.root, key)) is not None:
            raise Removed(removal)

    def _writable(self, key: RunKey, stream: str) -> Stream:
        found = self._stream(key, stream)
        if not found.verified:
            if found.is_older_than(self._booted):
                found.verify()
            found.verified = True
        return found

    def _stream(self, key: RunKey, stream: str) -> Stream:
        """Return the open stream, opening it if need be; the one that was used longest ago makes room."""
        found = self._open.get((key, stream))
        if found is None:
            folder = key.folder(self.root)
            if not folder.is_dir():
                self._refuse_removed(key)
            found = self._open[key, stream] = Stream(folder, stream)
            if len(self._open) > self._max_open:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end((key, stream))
        return found

    def _end(self, key: RunKey) -> dict[str, int]:
        """Return the final lengths as far as they are known; a run that goes on has none."""
        known = self._ends.get(key)
        if known is None:
            known = self._ends[key] = _read_end(key.folder(self.root))
            if len(self._ends) > self._max_open:
                self._ends.popitem(last=False)
        return known


def _read_end(folder: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode((folder / _END).read_bytes(), type=dict[str, int])
    except (FileNotFoundError, msgspec.DecodeError):  # torn by a power loss: the end is told again or asked again
        return {}


def _write_end(folder: Path, lengths: Mapping[str, int]) -> None:
    fresh = folder / f".{_END}"
    fresh.write_bytes(msgspec.json.encode(dict(lengths)))
    fresh.rename(folder / _END)


def _boot_time() -> float:
    """Return when this machine was started, seconds since the epoch, as its clock has it now."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return float("inf")
