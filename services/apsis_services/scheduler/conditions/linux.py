"""The calls of Linux that Python does not offer: inotify, and the fate of a process whose parent dies."""

import ctypes
import os
import signal
import struct
from typing import Final, NamedTuple

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_EVENT: Final = struct.Struct("iIII")

ATTRIB: Final = 0x4
MODIFY: Final = 0x2
CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
_ONLYDIR: Final = 0x01000000
#: all that may change whether a file of a folder is there, how old and how large it is
CHANGES: Final = (
    ATTRIB | MODIFY | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF | _ONLYDIR
)  # fmt: skip


class Event(NamedTuple):
    """Something has happened in a folder that is watched; `watch` is -1 where events were lost."""

    watch: int
    mask: int
    name: str


def open_inotify() -> int:
    """Return a descriptor on which events are read without waiting."""
    return _check(_LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def add_watch(descriptor: int, folder: str) -> int:
    """Watch a folder, and return the number of the watch; the same folder has the same one."""
    return _check(_LIBC.inotify_add_watch(descriptor, os.fsencode(folder), CHANGES))


def remove_watch(descriptor: int, watch: int) -> None:
    """Watch a folder no more."""
    _LIBC.inotify_rm_watch(descriptor, watch)


def read_events(descriptor: int) -> list[Event]:
    """Return the events that have come."""
    try:
        data = os.read(descriptor, 64 * 1024)
    except BlockingIOError:
        return []
    found, at = [], 0
    while at < len(data):
        watch, mask, _, length = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        found.append(Event(watch, mask, os.fsdecode(data[at : at + length].rstrip(b"\0"))))
        at += length
    return found


def inherit_orphans() -> None:
    """Become the one to whom orphaned descendants fall."""
    _check(_LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def die_with_parent(parent: int) -> None:
    """Be killed when the parent dies; at once where it has died already."""
    _check(_LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0))
    if os.getppid() != parent:
        os._exit(1)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
