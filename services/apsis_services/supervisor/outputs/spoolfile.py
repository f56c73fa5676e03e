"""The files that programs print into: reading them, emptying what is kept elsewhere, taking them away."""

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

import msgspec

from apsis_services.supervisor.spool.guarded import seal, unseal

_PUNCH: Final = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
_BLOCK: Final = 4096
_MARKS: Final = "marks"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class Marks(msgspec.Struct, frozen=True, array_like=True):
    """What of a run's files is not what its program wrote any more, by stream."""

    #: the run's cap, bytes; None: all is kept
    cap: int | None = None
    #: up to where a stream is kept elsewhere and emptied here
    punched: dict[str, int] = {}
    #: [start, stop) ranges that were given up unsent
    lost: dict[str, list[tuple[int, int]]] = {}


class SpoolFolder:
    """One run's folder. It may be missing (the shim makes it) or hold less than it did."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self, stream: str) -> int:
        """Return a stream's length in bytes; 0 while it has no file."""
        try:
            return os.stat(f"{self.path}/{stream}").st_size  # noqa: PTH116 - each time that a file grows
        except FileNotFoundError:
            return 0

    def read(self, stream: str, offset: int, length: int) -> bytes:
        """Return what stands there: less than `length` at the end of the file, nothing if it is not there."""
        try:
            fd = os.open(f"{self.path}/{stream}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return b""
        try:
            return os.pread(fd, length, offset)
        finally:
            os.close(fd)

    def punch(self, stream: str, start: int, stop: int) -> bool:
        """Give the blocks between two offsets back to the file system; False: it cannot do that."""
        start, stop = -(-start // _BLOCK) * _BLOCK, stop // _BLOCK * _BLOCK
        if stop <= start:
            return True
        try:
            fd = os.open(f"{self.path}/{stream}", os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return True
        try:
            if _libc.fallocate(fd, _PUNCH, start, stop - start) == 0:
                return True
            number = ctypes.get_errno()
            if number in (errno.EOPNOTSUPP, errno.ENOSYS):
                return False
            raise OSError(number, os.strerror(number), f"{self.path}/{stream}")
        finally:
            os.close(fd)

    def marks(self) -> Marks:
        """Return what was marked."""
        try:
            data = (self.path / _MARKS).read_bytes()
        except FileNotFoundError:
            return Marks()
        return next(unseal(data, Marks), Marks())

    def mark(self, marks: Marks) -> None:
        """Write what `marks` returns, before anything is emptied; in place, since the disk may be full.

        Raises:
            OSError: it could not be written: then nothing may be emptied.
        """
        fd = os.open(self.path / _MARKS, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.pwrite(fd, seal(marks), 0)
        finally:
            os.close(fd)


def can_punch(folder: Path) -> bool:
    """Whether the file system below a folder can give back the middle of a file."""
    name = "punch.try"
    path = folder / name
    try:
        path.write_bytes(bytes(2 * _BLOCK))
        return SpoolFolder(folder).punch(name, 0, _BLOCK)
    except OSError:
        # A disk that is full tells nothing of its file system: try when there is something to give back.
        return True
    finally:
        path.unlink(missing_ok=True)
