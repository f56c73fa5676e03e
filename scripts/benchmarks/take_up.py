"""How long a supervisor that starts anew needs for what it finds: programs that run, and runs that have ended.

The runs are real: a zygote is asked for each of them, and no supervisor is there meanwhile. No scheduler is there
either, so that none is forgotten, and each supervisor finds the journals and folders of all.
"""

import asyncio
import os
import re
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from apsis.home import Home
from apsis_services.supervisor.zygote.journal import journal_path, read_journal
from benchmarks.shim import JOURNAL, Bed, bed, until

LIVE: Final = 200
FINISHED: Final = 2000
TIMES: Final = 3
_TAKEN_UP: Final = re.compile(r"(\d+) runs taken up in ([\d.]+) s")


class TakenUp(NamedTuple):
    """Seconds: medians."""

    #: from the start of its process until it says that all is taken up
    whole: float
    #: what it says that this took after Python and its modules were there
    reading: float


def take_up() -> TakenUp:
    """Measure."""
    return asyncio.run(_measure())


async def _measure() -> TakenUp:
    async with bed() as made:
        home = Home(made.spool.parent)
        home.config.write_text("")
        await made.batch(FINISHED)
        living = [await made.start("/bin/sleep", "600") for _ in range(LIVE)]
        await until(lambda: all(made.state(run_id).started for run_id in living))
        try:
            found = [await _begin(home) for _ in range(TIMES)]
        finally:
            _end(made, living)
        await made.quiet()
    return TakenUp(*map(statistics.median, zip(*found, strict=True)))


async def _begin(home: Home) -> TakenUp:
    """Start a supervisor and kill it once it has all."""
    log = home.service_log("supervisor")
    log.unlink(missing_ok=True)
    begin = time.monotonic()
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "apsis_services.supervisor", "--home", str(home.root),
            stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        await until(lambda: process.returncode is not None or _TAKEN_UP.search(log.read_text()) is not None)
        whole = time.monotonic() - begin
        said = _TAKEN_UP.search(log.read_text())
        if said is None or int(said[1]) != LIVE + FINISHED:
            sys.exit(f"bench: {LIVE + FINISHED} runs were to be taken up; the supervisor said:\n{log.read_text()}")
        return TakenUp(whole, float(said[2]))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _end(made: Bed, living: list[str]) -> None:
    for run_id in living:
        state = read_journal(journal_path(made.spool, JOURNAL, run_id))
        if state.pid is not None and Path(f"/proc/{state.pid}").exists():
            os.kill(state.pid, signal.SIGKILL)
