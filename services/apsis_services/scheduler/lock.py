"""The lock beside the database: two homes may name the same file, and only one scheduler may write it."""

import json
import os
from pathlib import Path

from apsis_bus.lock import take_flock
from apsis_services.scheduler.refusals import DatabaseRefused, refusing


class DatabaseInUse(DatabaseRefused):
    """Another process writes this database."""

    code = "conflict"

    def __init__(self, path: Path, owner: str, pid: int | None) -> None:
        super().__init__(
            f"{path} is in use by {owner}" + (f" (process {pid})" if pid else ""),
            hint="stop that one first; two homes cannot share a database: each needs its own `database` in apsis.yaml",
        )
        self.owner = owner
        self.pid = pid


class DatabaseLock:
    """A flock on `FILE.lock`; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, database: Path) -> None:
        self.database = database
        # by its real name, so that a link to the database leads to the same lock
        self.path = Path(f"{os.path.realpath(database)}.lock")
        self._fd: int | None = None

    def take(self, owner: str) -> None:
        """Take the lock; `owner` is what others are told, e.g. `the scheduler of /home/apsis`.

        Raises:
            DatabaseInUse: another process holds it.
            DatabaseRefused: the folder cannot be written.
        """
        with refusing(self.database):
            self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if not take_flock(fd):
            owner, pid = _read(fd)
            os.close(fd)
            raise DatabaseInUse(self.database, owner, pid)
        self._fd = fd
        line = json.dumps({"pid": os.getpid(), "owner": owner}).encode() + b"\n"
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, line, 0)
        except OSError:
            os.ftruncate(fd, 0)  # a full disk: the lock holds all the same, only its owner stays unnamed

    def release(self) -> None:
        """Let go before the process ends."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None


def _read(fd: int) -> tuple[str, int | None]:
    try:
        found = json.loads(os.pread(fd, 4096, 0))
        return str(found["owner"]), int(found["pid"])
    except (ValueError, TypeError, KeyError):
        return "another process", None
