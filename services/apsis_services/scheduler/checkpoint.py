"""The thread that moves the write-ahead log into the database, so that no turn of the loop pays for it."""

import logging
import sqlite3
import threading
from pathlib import Path
from typing import Final

log = logging.getLogger("scheduler")

#: seconds between two looks, and the size of the log from which on it is moved
PERIOD: Final = 2.0
SIZE: Final = 1 << 20
#: the size at which the log is cut, for which writers wait some milliseconds
CUT: Final = 64 << 20


class Checkpointer:
    """Checkpoints with a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="checkpoint", daemon=True)
        self._moved = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for a checkpoint that is under way, two seconds at most."""
        self._over.set()
        self._thread.join(2.0)

    def _work(self) -> None:
        while not self._over.wait(PERIOD):
            try:
                self._look()
            except (sqlite3.Error, OSError) as error:
                # a full disk, a lock, a damaged file: the next look tries again, and the turns say what is wrong
                log.warning("the database's log cannot be moved: %s", error, extra={"event": "checkpoint"})

    def _look(self) -> None:
        try:
            written = self._wal.stat()
        except FileNotFoundError:
            return
        if written.st_size < SIZE or written.st_mtime_ns == self._moved:
            return
        sql = sqlite3.connect(self._path, isolation_level=None, timeout=0.2)
        try:
            sql.execute("PRAGMA synchronous = full")
            sql.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if written.st_size > CUT else 'PASSIVE'})")
        finally:
            sql.close()
        self._moved = written.st_mtime_ns
