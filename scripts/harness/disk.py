"""A small file system of its own, which a test can fill to the last byte. Mounting needs root."""

import contextlib
import ctypes
import os
from pathlib import Path

from harness.installation import Installation

_MS_RDONLY, _MS_REMOUNT, _MNT_DETACH = 1, 32, 2


class SmallDisk:
    """A tmpfs of some MiB, mounted on a folder."""

    def __init__(self, folder: Path, size: str = "16m") -> None:
        self.folder = folder
        self._size = size
        self._libc = ctypes.CDLL(None, use_errno=True)

    def mount(self, *, read_only: bool = False, again: bool = False) -> None:
        """Mount it; `again` changes whether the one that is mounted can be written."""
        flags = (_MS_RDONLY if read_only else 0) | (_MS_REMOUNT if again else 0)
        options = f"size={self._size},mode=0755".encode()
        if self._libc.mount(b"tmpfs", os.fsencode(self.folder), b"tmpfs", flags, options) != 0:
            raise OSError(ctypes.get_errno(), "mount", str(self.folder))

    def unmount(self) -> None:
        """Take it away with all that is on it."""
        if self._libc.umount2(os.fsencode(self.folder), _MNT_DETACH) != 0:
            raise OSError(ctypes.get_errno(), "umount", str(self.folder))

    def fill(self, *, leave: int = 0) -> None:
        """Leave so many bytes, to a page; 0: not one."""
        found = os.statvfs(self.folder)
        if leave:
            size = max(0, found.f_bavail * found.f_frsize - leave)
            with (self.folder / "filler").open("ab") as file:
                os.posix_fallocate(file.fileno(), file.tell(), max(1, size))
            return
        for piece in (65536, 16):
            with (self.folder / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(b"x" * piece):
                    pass

    def clear(self) -> None:
        """Give the room back."""
        (self.folder / "filler").unlink(missing_ok=True)


class OnDisk(Installation):
    """An installation whose home is on that disk."""

    def __init__(self, disk: SmallDisk, jobs: dict[str, str]) -> None:
        super().__init__(jobs)
        self.home.rmdir()
        self.home = disk.folder / "home"
        self.disk = disk

    def __exit__(self, *rest: object) -> None:
        """There must be room to stop it."""
        self.disk.clear()
        super().__exit__(*rest)


class WithDisk(Installation):
    """An installation of whose home one folder (`spool`, `output`, `db`) is on a disk of its own."""

    def __init__(self, folder: str, jobs: dict[str, str], size: str = "16m") -> None:
        super().__init__(jobs)
        (self.home / folder).mkdir(mode=0o750)
        self.disk = SmallDisk(self.home / folder, size)

    def __enter__(self) -> "WithDisk":
        """Mount it before anything is written there."""
        self.disk.mount()
        super().__enter__()
        return self

    def __exit__(self, *rest: object) -> None:
        """Stop it while the disk is there, then take the disk away."""
        self.disk.clear()
        try:
            self.control("stop", "--kill-runs")
        finally:
            self.disk.unmount()
            super().__exit__(*rest)
