"""The list of outputs that have ended, in order: what retention decides by, without a look at each folder.

`ended` in the repository: a line each, `crc32 JSON`. Read from its end in small parts, however long it is.
Written by one thread alone.
"""

import os
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from apsis.messages.outputs import KeepPolicy
from apsis_services.store.names import RunKey
from apsis_services.store.retention import Ended

_PART: Final = 64 * 1024
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW


class _Line(msgspec.Struct, frozen=True, array_like=True):
    """An `Ended` as it is written."""

    journal: int
    run_id: str
    job_id: str
    at: float
    size: int
    keep: KeepPolicy | None = None


class Catalogue:
    """The file, which may be missing."""

    def __init__(self, root: Path) -> None:
        self._path = root / "ended"

    def add(self, ended: Iterable[Ended]) -> None:
        """Write lines, for good.

        Raises:
            OSError: the disk refused.
        """
        data = b"".join(_encode(one) for one in ended)
        if not data:
            return
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _FLAGS, 0o640)
        try:
            if (size := os.fstat(file).st_size) and os.pread(file, 1, size - 1) != b"\n":
                data = b"\n" + data  # after a torn line
            if os.write(file, data) != len(data):
                raise OSError(28, os.strerror(28), str(self._path))
            os.fdatasync(file)
        finally:
            os.close(file)

    def newest_first(self) -> Iterator[Ended]:
        """Yield what is listed, the last first; damaged lines are passed over."""
        try:
            file = os.open(self._path, os.O_RDONLY | _FLAGS)
        except FileNotFoundError:
            return
        try:
            at, rest = os.fstat(file).st_size, b""
            while at:
                length = min(_PART, at)
                at -= length
                first, *lines = (os.pread(file, length, at) + rest).split(b"\n")
                for line in reversed(lines):
                    if ended := _decode(line):
                        yield ended
                rest = first
            if ended := _decode(rest):
                yield ended
        finally:
            os.close(file)

    def drop(self, keys: Collection[RunKey]) -> None:
        """Write the list anew without some.

        Raises:
            OSError: the disk refused; the list is as it was.
        """
        fresh = self._path.with_name(".ended")
        with self._path.open("rb") as old, fresh.open("wb") as new:
            for line in old:
                ended = _decode(line.rstrip(b"\n"))
                if ended is not None and ended.key not in keys:
                    new.write(line)
            new.flush()
            os.fdatasync(new.fileno())
        fresh.rename(self._path)


def _encode(ended: Ended) -> bytes:
    journal, run_id = ended.key
    body = msgspec.json.encode(_Line(journal, run_id, ended.job_id, ended.at, ended.size, ended.keep))
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _decode(line: bytes) -> Ended | None:
    body = line[9:]
    if not body or line[:8] != b"%08x" % zlib.crc32(body):
        return None
    found = msgspec.json.decode(body, type=_Line)
    return Ended(RunKey(found.journal, found.run_id), found.job_id, found.at, found.size, found.keep)
