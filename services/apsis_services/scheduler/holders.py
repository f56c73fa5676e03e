"""Which processes hold the database, as the kernel's table of locks has it: the remedy needs a name."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_LOCKS: Final = Path("/proc/locks")
#: bytes of the file `-shm` that SQLite locks (its WAL format): the one writer, and the places of the readers
_WRITER: Final = range(120, 121)
_READERS: Final = range(123, 128)


def writers(database: Path) -> list[int]:
    """Return the processes, other than this one, in a transaction that writes."""
    return _holding(database, _WRITER)


def readers(database: Path) -> list[int]:
    """Return the processes, other than this one, in a transaction that reads; some are there but for an instant."""
    return _holding(database, _READERS)


def named(pids: Iterable[int]) -> str:
    """Return processes as a person looks for them: `process 12 (sqlite3)`; "" if there is none."""
    return ", ".join(f"process {pid} ({_command(pid)})" for pid in pids)


def locks_on(table: str, device: int, inode: int, places: range) -> list[int]:
    """Return who holds a lock on any of these bytes of a file, by the text of `/proc/locks`."""
    file = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    found = []
    for line in table.splitlines():
        words = line.split()
        # `5: POSIX ADVISORY WRITE 4711 fd:01:1838 120 120`; one who still waits has `->` after the number
        if len(words) != 8 or words[1] != "POSIX" or words[5] != file:
            continue
        first, last = int(words[6]), places.stop if words[7] == "EOF" else int(words[7])
        if first < places.stop and last >= places.start and int(words[4]) not in found:
            found.append(int(words[4]))
    return found


def _holding(database: Path, places: range) -> list[int]:
    try:
        shared = Path(f"{database}-shm").stat()
        table = _LOCKS.read_text()
    except OSError:
        return []  # no such table here: then the sentence names nobody
    return [pid for pid in locks_on(table, shared.st_dev, shared.st_ino, places) if pid not in (0, os.getpid())]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "gone"
