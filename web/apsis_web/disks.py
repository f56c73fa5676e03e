"""The disks of an installation: how full each is, and what that stops."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apsis.config import Disk
from apsis.room import Room, has_room, in_words, limit, look

#: so many times the limit: from there on a person is told that it becomes tight
_TIGHT: Final = 2
#: this part of the limit, and at most so many bytes: what has less is as good as full
_FULL: Final = (0.1, 16 * 1024**2)
#: what lies on a disk of its own stops more than its own work
_OUTPUT: Final = "output"


@dataclass(frozen=True, slots=True)
class DiskState:
    """One disk: `ok`, `warn` or `fail`, and a sentence."""

    id: str
    status: str
    message: str


def look_at_disks(places: Mapping[str, Path], disk: Disk) -> list[DiskState]:
    """Look at each file system once; the first place is called `disk`, others by their name, as `disk-spool`."""
    found: list[DiskState] = []
    seen: set[int] = set()
    for name, path in places.items():
        key = "disk" if not found else f"disk-{name}"
        try:
            device = _there(path).stat().st_dev
            if device in seen:
                continue
            seen.add(device)
            found.append(DiskState(key, *judge(name, path, look(path), disk)))
        except OSError as error:
            found.append(DiskState(key, "fail", f"{path}: {error.strerror}; make it readable again"))
    return found


def judge(name: str, path: Path, room: Room, disk: Disk) -> tuple[str, str]:
    """Return how well a disk stands, and the sentence for it."""
    least = limit(room, disk)
    share = room.free / room.total if room.total else 0.0
    text = f"{share:.0%} free ({in_words(room.free)})"
    if name == _OUTPUT:
        if room.free <= min(least * _FULL[0], _FULL[1]):
            return "fail", f"{text}; what programs print stays with their hosts meanwhile: make room in {path}"
    elif not room.free or not has_room(room, disk):
        return "fail", f"{text}; nothing new is started until {in_words(least)} are free: make room in {path}"
    if room.free < least * _TIGHT:
        return "warn", f"{text}; make room in {path} soon"
    return "ok", text


def _there(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
