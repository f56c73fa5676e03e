"""Being told by the kernel what changes in a folder: inotify by ctypes, one file descriptor for all folders."""

import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from apsis.errors import Unavailable

IN_MODIFY: Final = 0x2
IN_CLOSE_WRITE: Final = 0x8
IN_MOVED_TO: Final = 0x80
IN_CREATE: Final = 0x100
IN_DELETE: Final = 0x200
IN_Q_OVERFLOW: Final = 0x4000
IN_IGNORED: Final = 0x8000
IN_ONLYDIR: Final = 0x1000000

_HEAD: Final = struct.Struct("iIII")
#: bytes taken at once: some thousand changes
_TAKE: Final = 256 * 1024


class Change(NamedTuple):
    """Something happened to `name` in the folder that `watch` stands for; `mask` holds the IN_ flags."""

    watch: int
    mask: int
    name: str


class Inotify:
    """The kernel's queue of changes. `fd` is readable when there are some; `take` never blocks."""

    def __init__(self) -> None:
        """Open a queue.

        Raises:
            Unavailable: this user has too many already.
        """
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            self.fd = self._check(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")
        except OSError as error:
            raise Unavailable(
                f"the kernel has no inotify queue left for this user: {error.strerror}",
                hint="raise it, e.g.: sysctl fs.inotify.max_user_instances=512",
            ) from None

    def add(self, folder: Path | str, mask: int) -> int:
        """Watch a folder and return the number of the watch; the same folder gives the same number.

        Raises:
            OSError: there is no such folder, or the user's number of watches is used up.
        """
        name = os.fsencode(folder)
        return self._check(self._libc.inotify_add_watch(self.fd, name, mask | IN_ONLYDIR), os.fsdecode(name))

    def remove(self, watch: int) -> None:
        """Watch it no longer. That it is gone already, with its folder, is no error."""
        self._libc.inotify_rm_watch(self.fd, watch)

    def take(self) -> Iterator[Change]:
        """Yield what has happened since the last call; with IN_Q_OVERFLOW among it, more has than is told."""
        try:
            data = os.read(self.fd, _TAKE)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            yield Change(watch, mask, data[at : at + length].split(b"\0", 1)[0].decode(errors="surrogateescape"))
            at += length

    def close(self) -> None:
        """End all watches."""
        os.close(self.fd)

    @staticmethod
    def _check(result: int, what: str) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), what)
        return result
