"""The lock that a service holds for as long as it lives, and the line in it that says who holds it.

Needs no ZeroMQ: the manager and `apsisctl` read locks without paying for a bus.
"""

import fcntl
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from apsis.errors import ApsisError
from apsis.home import Home
from apsis.times import format_time

#: a reader that looks whether a lock is held holds it itself for some microseconds; a taker waits that out
_ATTEMPTS: Final = 10
_PAUSE: Final = 0.02
_LINE_MAX: Final = 4096


class LockInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the holder of a lock wrote into it. (pid, ticks, boot) names one process for ever."""

    pid: int
    #: start of the process in clock ticks, field 22 of /proc/PID/stat
    ticks: int
    #: the kernel's boot id
    boot: str
    #: when the lock was taken, as `format_time` writes it
    since: str
    #: it does its work; before that it is starting
    ready: bool = False
    #: where it listens for people (web: `http://127.0.0.1:5883`)
    address: str | None = None
    #: whatever else the service said of itself when it became ready
    facts: dict[str, str] = {}


class AlreadyRunning(ApsisError):
    """Another live process holds the lock of this service."""

    code = "conflict"

    def __init__(self, name: str, pid: int | None) -> None:
        who = f"by process {pid}" if pid else "by another process"
        super().__init__(f"{name} is already running in this home ({who})", hint="`apsisctl status` shows what runs")
        self.name = name
        self.pid = pid


class ServiceLock:
    """The flock on `run/NAME.lock`; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, home: Home, name: str) -> None:
        self.name = name
        self.path = home.lock(name)
        self._fd: int | None = None
        self._info: LockInfo | None = None

    def take(self) -> None:
        """Take the lock for the life of this process.

        Raises:
            AlreadyRunning: a live process holds it.
        """
        self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if not take_flock(fd):
            os.close(fd)
            holder = read_lock(self.path)
            raise AlreadyRunning(self.name, holder.pid if holder else None)
        self._fd = fd
        self._write(
            LockInfo(
                pid=os.getpid(),
                ticks=_start_ticks(),
                boot=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                since=format_time(datetime.now(UTC)),
            )
        )

    def ready(self, **facts: str) -> None:
        """Say that the service does its work from now on; `address` is where people reach it."""
        if self._info is None:
            raise RuntimeError(f"the lock of {self.name} was not taken")
        address = facts.pop("address", self._info.address)
        self._write(msgspec.structs.replace(self._info, ready=True, address=address, facts=self._info.facts | facts))

    def release(self) -> None:
        """Let go before the process ends (tests, and a manager that hands over)."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = self._info = None

    def _write(self, info: LockInfo) -> None:
        if self._fd is None:
            raise RuntimeError(f"the lock of {self.name} was not taken")
        line = msgspec.json.encode(info) + b"\n"
        # the new line first, then the cut: a reader sees a whole first line at any moment
        os.pwrite(self._fd, line, 0)
        os.ftruncate(self._fd, len(line))
        self._info = info


def read_lock(path: Path) -> LockInfo | None:
    """Return what the live holder of a lock wrote, or None if nobody holds it.

    A holder that has taken the lock and not yet written its line is waited for, some milliseconds.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        for _ in range(_ATTEMPTS):
            if not _is_held(fd):
                return None
            line, end, _rest = os.pread(fd, _LINE_MAX, 0).partition(b"\n")
            if end:
                return msgspec.json.decode(line, type=LockInfo)
            time.sleep(_PAUSE)
    finally:
        os.close(fd)
    return None


def _is_held(fd: int) -> bool:
    """Say whether somebody holds the lock: a shared one, taken for an instant, meets only the holder's own."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def take_flock(fd: int) -> bool:
    """Take an exclusive flock; False: somebody holds it, and does not let go within some milliseconds.

    A child between fork and exec holds its parent's lock for a moment after that parent was killed.
    """
    for attempt in range(_ATTEMPTS):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt < _ATTEMPTS - 1:
                time.sleep(_PAUSE)
        else:
            return True
    return False


def _start_ticks() -> int:
    # the command's name may hold spaces and brackets: count fields after the last bracket
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
