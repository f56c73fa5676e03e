"""The thread that moves the write-ahead log into the database, so that no turn of the loop pays for it."""

import logging
import sqlite3
import threading
from pathlib import Path
from typing import Final

from apsis_services.scheduler.holders import named, readers

log = logging.getLogger("scheduler")

#: seconds between two looks, and the size of the log from which on it is moved
PERIOD: Final = 2.0
SIZE: Final = 1 << 20
#: the size at which the log is cut, for which writers wait some milliseconds
CUT: Final = 64 << 20
#: the size from which on a reader who keeps the log from being moved is told of
HELD: Final = 256 << 20


class Checkpointer:
    """Checkpoints with a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="checkpoint", daemon=True)
        self._moved = 0
        self._warning = ""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for a checkpoint that is under way, two seconds at most."""
        self._over.set()
        self._thread.join(2.0)

    def warnings(self) -> list[str]:
        """Return what a person should do about the log's growth; nothing, as long as it is moved."""
        return [self._warning] if self._warning else []

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
        moved = self._move(cut=written.st_size > CUT)
        self._warning = "" if moved or written.st_size < HELD else _warn(self._path, written.st_size)
        if moved:
            self._moved = written.st_mtime_ns

    def _move(self, *, cut: bool) -> bool:
        """Move the log into the database; False: a reader still needs a part of it."""
        sql = sqlite3.connect(self._path, isolation_level=None, timeout=0.2)
        try:
            sql.execute("PRAGMA synchronous = full")
            _, frames, moved = sql.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if moved < frames:
                return False
            if cut:
                # only where nobody is in the way: it would have the writer wait for them, each time
                busy, _, _ = sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return not busy
            return True
        finally:
            sql.close()


def _warn(path: Path, size: int) -> str:
    held = named(readers(path)) or "somebody"
    return (
        f"the database's log has grown to {size / 1e6:.0f} MB, as {held} has been reading for long; "
        f"end that transaction, or the process"
    )
