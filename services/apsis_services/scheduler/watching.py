"""Keeping the watcher's process, and passing on what it says."""

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

log = logging.getLogger("scheduler")

#: seconds before a watcher that has ended is started again, doubling up to the last
_FIRST: Final = 0.5
_LAST: Final = 60.0
#: one that lived for so long has worked
_WORKED: Final = 10.0


class Watching:
    """Calls `look` whenever the job directory should be read."""

    def __init__(self, directory: Path, look: Callable[[], None]) -> None:
        self._directory = directory
        self._look = look
        #: why changes are not seen at once, as a sentence; "": they are
        self.problem = ""

    async def run(self) -> None:
        """Watch, until cancelled; a watcher that ends is started again."""
        pause = _FIRST
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await self._live()
            pause = _FIRST if loop.time() - began > _WORKED else min(pause * 2, _LAST)
            self.problem = f"the watcher of the job directory has ended, and is started again within {pause:.0f} s"
            log.warning("the watcher of the job directory has ended", extra={"event": "watcher_ended"})
            await asyncio.sleep(pause)

    async def _live(self) -> None:
        """Start a watcher and hear it to its end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "apsis_services.scheduler.watcher", str(self._directory),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd="/",
        )  # fmt: skip
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                self._hear(line.decode(errors="replace").strip())
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()

    def _hear(self, line: str) -> None:
        word, _, why = line.partition(" ")
        if word == "polling":
            remedy = "raise fs.inotify.max_user_watches"
            self.problem = f"the job directory cannot be watched ({why}) and is looked at each half minute; {remedy}"
        else:
            self.problem = ""
        self._look()
