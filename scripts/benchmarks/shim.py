"""What one run costs the zygote, its shim and the program, beside the C loop; and what a shim holds while it lives.

No service takes part: the zygote is asked directly. CPU is what the kernel counted for the zygote and all that it
waited for. Rounds of both loops alternate, and medians are told, so that a busy machine troubles both alike.

Measured with the spool in memory and on the disk. What a disk adds belongs to its filesystem and to its last minutes:
ext4 leaves inodes that were freed alone for up to five minutes, and each new file searches past them.
"""

import asyncio
import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from apsis_services.supervisor.zygote.client import ZygoteClient
from apsis_services.supervisor.zygote.journal import JournalState, journal_path, read_journal
from apsis_services.supervisor.zygote.request import StartRequest
from benchmarks.usage import TICK

ROUNDS = 7
RUNS = 300
#: a folder that is kept in memory
MEMORY = Path("/dev/shm")
LIVING = 8
AT_ONCE = 8
JOURNAL = 1


class Cost(NamedTuple):
    """Medians: CPU seconds a run, page faults a run, bytes."""

    loop: float
    ours: float
    faults: float
    uss: float
    zygote_rss: float
    #: `maxrss` that is told of a program that needs next to nothing
    maxrss: float


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, for a minute at most."""
    async with asyncio.timeout(60):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


class Bed:
    """A spool with a zygote, and nothing else."""

    def __init__(self, root: Path) -> None:
        self.spool = root / "spool"
        for folder in ("run", "log", "spool/journals", "spool/runs", "spool/archive"):
            (root / folder).mkdir(parents=True)
        (self.spool / "epoch").write_text("bench\n")  # a start is claimed in the spool that it names
        self.client = ZygoteClient(self.spool, root / "run", 1, idle=0.2)
        self.count = 0

    @property
    def zygote(self) -> int:
        """Its process id."""
        assert self.client.zygote_pid is not None
        return self.client.zygote_pid

    async def start(self, *argv: str) -> str:
        """Start a program; returns its run id once the run is claimed."""
        self.count += 1
        run_id = f"r{self.count}"
        request = StartRequest(
            journal=JOURNAL,
            run_id=run_id,
            dispatch=self.count,
            job_id="bench",
            schedule_time=None,
            args={},
            args_hash="",
            argv=list(argv),
            env={"PATH": "/usr/bin:/bin", "APSIS_RUN_ID": run_id, "APSIS_SPOOL": "bench"},
            stop={"signal": 15, "grace": 1.0},
        )
        assert await self.client.start(request) == "claimed"
        return run_id

    def state(self, run_id: str) -> JournalState:
        """Read a run's journal."""
        return read_journal(journal_path(self.spool, JOURNAL, run_id))

    async def batch(self, count: int) -> None:
        """Run `/bin/true` so often, a few at once, until all of it is waited for."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one() -> None:
            async with places:
                await self.start("/bin/true")

        await asyncio.gather(*(one() for _ in range(count)))
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until the zygote has no child."""
        children = Path(f"/proc/{self.zygote}/task/{self.zygote}/children")
        await until(lambda: not children.read_text())


@asynccontextmanager
async def bed(parent: Path | None = None) -> AsyncIterator[Bed]:
    """Make a bed in a folder (None: where temporary files go), and remove it when its zygote has ended."""
    root = Path(tempfile.mkdtemp(prefix="apsis-bench-", dir=parent))
    made = Bed(root)
    try:
        await made.client.ensure()
        pid = made.zygote
        yield made
        await made.client.close()
        await until(lambda: not Path(f"/proc/{pid}").exists())
    finally:
        shutil.rmtree(root)


def _used(pid: int) -> tuple[float, int]:
    """Return (CPU seconds, minor faults) of a process and of the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / TICK, int(fields[7]) + int(fields[8])


def _memory(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in map(str.split, lines)}


def _loop(program: Path) -> float:
    printed = subprocess.run([program, str(RUNS)], check=True, capture_output=True, text=True).stdout
    return float(printed.split()[1]) / RUNS


async def _living(made: Bed) -> tuple[float, float]:
    """Return (bytes that a living shim has for itself, bytes of the zygote in memory)."""
    runs = [await made.start("/bin/sleep", "60") for _ in range(LIVING)]
    await until(lambda: all(made.state(run_id).started for run_id in runs))
    await asyncio.sleep(0.3)  # each has gone to wait for its program
    states = [made.state(run_id) for run_id in runs]
    found = [_memory(state.claim["pid"]) for state in states if state.claim]
    zygote = _memory(made.zygote)["Rss"]
    for state in states:
        assert state.pid is not None
        os.kill(state.pid, 9)
    await made.quiet()
    return statistics.median(one["Private_Clean"] + one["Private_Dirty"] for one in found), zygote


async def _measure(program: Path, parent: Path | None) -> Cost:
    loops, ours, faults = [], [], []
    async with bed(parent):
        pass  # the first zygote of a checkout compiles its modules, which leaves its heap larger
    async with bed(parent) as made:
        await made.batch(RUNS)  # caches are warm
        for _ in range(ROUNDS):
            loops.append(await asyncio.to_thread(_loop, program))
            cpu, faulted = _used(made.zygote)
            await made.batch(RUNS)
            cpu_after, faulted_after = _used(made.zygote)
            ours.append((cpu_after - cpu) / RUNS)
            faults.append((faulted_after - faulted) / RUNS)
        uss, rss = await _living(made)
        result = made.state("r1").result
        assert result is not None
        maxrss = result["rusage"]["maxrss"]
    middle = statistics.median
    return Cost(middle(loops), middle(ours), middle(faults), uss, rss, maxrss)


def shim(program: Path, parent: Path | None = None) -> Cost:
    """Measure with the spool in a folder (None: where temporary files go); `program` is the compiled C loop."""
    return asyncio.run(_measure(program, parent))
