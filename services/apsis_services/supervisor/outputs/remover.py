"""Taking run folders away, in a thread: a file system may need milliseconds for each, and the loop has none."""

import asyncio
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

log = logging.getLogger("supervisor")


class Remover:
    """Removes folders one after another. What is left at the end is found and removed after the next start."""

    def __init__(self) -> None:
        self._waiting: list[Path] = []
        self._busy = False
        self._pool: ThreadPoolExecutor | None = None

    def remove(self, folder: Path) -> None:
        """Take a folder away soon, with all that is in it; one that is gone already is no error."""
        self._waiting.append(folder)
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._next)

    def close(self) -> None:
        """Begin nothing more."""
        self._waiting.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _next(self) -> None:
        batch, self._waiting = self._waiting[:64], self._waiting[64:]
        self._busy = bool(batch)
        if batch:
            self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="remove")
            done = asyncio.get_running_loop().run_in_executor(self._pool, _remove_all, batch)
            done.add_done_callback(lambda future: None if future.cancelled() else self._next())


def _remove_all(folders: list[Path]) -> None:
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("%s cannot be removed: %s", folder, error, extra={"event": "not_removed"})
