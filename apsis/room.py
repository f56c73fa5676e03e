"""Room on a disk: how much there is, and whether it is enough for something new to be started.

The limit is the smaller of a share and a number of bytes: a share alone would stop a disk of 4 TB with 360 GB free,
bytes alone would never let a small one begin.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apsis.config import Disk

#: so much more than the limit must be free before a disk that was below it counts as having room again
_AGAIN: Final = 1.05


@dataclass(frozen=True, slots=True)
class Room:
    """What a file system has for an ordinary user; bytes."""

    free: int
    total: int


def look(path: Path) -> Room:
    """Return the room on the file system of a path, or of its nearest parent that is there.

    Raises:
        OSError: it cannot be looked at.
    """
    while not path.exists() and path != path.parent:
        path = path.parent
    found = os.statvfs(path)
    return Room(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def limit(room: Room, disk: Disk) -> int:
    """Return the bytes that must be free there."""
    return min(int(room.total * disk.min_free_percent / 100), disk.min_free_bytes)


def has_room(room: Room, disk: Disk, *, had: bool = True) -> bool:
    """Say whether something new may be started; one that `had` none must come a little above the limit."""
    least = limit(room, disk)
    return room.free >= (least if had else least * _AGAIN)


def lack(what: str, path: Path, room: Room, disk: Disk) -> str:
    """Return why nothing new is started, without a figure that changes from one look to the next."""
    return f"less than {in_words(limit(room, disk))} is free on the disk of {what}; make room in {path}"


def in_words(size: int) -> str:
    """Return a number of bytes as people read it: `2.0 GiB`."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


class DiskWatch:
    """Looks at one disk from time to time and remembers whether it had room."""

    def __init__(self, what: str, path: Path, disk: Disk) -> None:
        self._what = what
        self._path = path
        self._disk = disk
        #: why nothing new may be started, or ""
        self.lack = ""

    def look(self) -> str:
        """Look, and return why nothing new may be started, or "". What cannot be looked at has room."""
        try:
            room = look(self._path)
        except OSError:
            self.lack = ""
        else:
            fine = has_room(room, self._disk, had=not self.lack)
            self.lack = "" if fine else lack(self._what, self._path, room, self._disk)
        return self.lack
