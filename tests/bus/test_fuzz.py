"""Random frames, verbs, sizes and identities at a real hub, scheduler and store: nothing crashes, changes or grows.

Meanwhile honest peers get their answers. Seeds are fixed; the long form has more of them.
"""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bus_stage import HubProcess, client_name, joined

from apsis.home import Home
from apsis.messages.body import decode
from apsis.messages.events import Page, Replay
from apsis.messages.outputs import OutputStat, Stats
from apsis.messages.snapshots import Snap, Snapshot
from apsis_bus.lock import read_lock

FUZZER = Path(__file__).parent / "fuzzer.py"
ROUNDS = 1_500
STRANGER = 12345
JOB = "program: {type: program, argv: [/bin/true]}\n"
MIB = 1024 * 1024


class Target:
    """Hub, scheduler and store of one home, as they were before, and how they are now."""

    def __init__(self, home: Home, hub: HubProcess) -> None:
        self.home, self.hub = home, hub
        home.config.write_text("{}\n")
        home.jobs.mkdir()
        (home.jobs / "a.yaml").write_text(JOB)
        self._services = {name: self._start(name) for name in ("scheduler", "store")}

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        with (self.home.root / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", f"apsis_services.{name}", "--home", str(self.home.root)]
            process = subprocess.Popen(command, stderr=log, cwd="/")
        deadline = time.monotonic() + 30
        while (info := read_lock(self.home.lock(name))) is None or not info.ready:
            assert process.poll() is None, (self.home.root / f"{name}.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process

    def close(self) -> None:
        for process in self._services.values():
            process.kill()
            process.wait()

    @property
    def pids(self) -> dict[str, int]:
        return {"hub": self.hub.pid} | {name: process.pid for name, process in self._services.items()}

    def state(self) -> list[tuple[object, ...]]:
        """What is stored of events, runs, hosts, commands, requests and single values, and what outputs there are."""
        sql = sqlite3.connect(f"{self.home.database.as_uri()}?mode=ro", uri=True)
        try:
            rows = [
                row
                for table in ("event", "run", "host", "command", "request", "job", "meta")
                for row in sql.execute(f"SELECT * FROM {table} ORDER BY 1")
            ]
        finally:
            sql.close()
        return [*rows, *(path.name for path in sorted(self.home.output.rglob("*r1*")))]

    def memory(self) -> dict[str, int]:
        page = os.sysconf("SC_PAGE_SIZE")
        return {name: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for name, pid in self.pids.items()}

    def descriptors(self) -> dict[str, int]:
        return {name: len(list(Path(f"/proc/{pid}/fd").iterdir())) for name, pid in self.pids.items()}

    def logs(self) -> dict[str, str]:
        return {name: (self.home.root / f"{name}.log").read_text() for name in self.pids}


@pytest.fixture
def target(home: Home, hub: HubProcess) -> Iterator[Target]:
    if os.getuid() == 0:
        # a stranger that the group lets in: everything but the hub's own check is out of its way
        home.root.chmod(0o755)
        hub.end()
        os.chown(home.run, -1, STRANGER)
        home.run.chmod(0o755)
        hub.start()
        for name in ("hub.ctl", "hub.pub", "hub.bulk"):
            (home.run / name).chmod(0o666)
    found = Target(home, hub)
    yield found
    found.close()


async def be_honest(target: Target, over: "asyncio.Event") -> int:
    """Ask as an outsider and as a service would, until it is over; each question is answered, and rightly."""
    answered = 0
    async with joined(target.home, client_name("honest")) as client, joined(target.home, "web") as web:
        while not over.is_set():
            body, _ = await client.request("scheduler", Replay(since=0), verb="REPLAY", timeout=30)
            page: Page = decode(Page, body)
            assert page.last == page.head > 0
            body, _ = await client.request("scheduler", Snap(), verb="SNAP", timeout=30)
            snapshot: Snapshot = decode(Snapshot, body)
            assert [job["job_id"] for job in snapshot.jobs] == ["a"]
            body, _ = await web.request("store", OutputStat(run_id="r1"), timeout=30)
            assert decode(Stats, body) == Stats(streams={})
            answered += 3
            await asyncio.sleep(0.02)
    return answered


async def attack(target: Target, seed: int, rounds: int, uid: int) -> None:
    """Have one hostile process do its worst, beside honest peers."""
    over = asyncio.Event()
    honest = asyncio.create_task(be_honest(target, over))
    command = [sys.executable, str(FUZZER), str(target.home.run), str(seed), str(rounds), str(uid)]
    hostile = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd="/")
    out, _ = await hostile.communicate()
    over.set()
    # libzmq aborts one that closes a socket (LINGER 0) while it is cut in the middle of a message: its own affair
    assert (hostile.returncode, out) in ((0, b"%d\n" % rounds), (-signal.SIGABRT, b"")), f"seed {seed}"
    assert await honest > 0


async def settle(target: Target, before: dict[str, int]) -> None:
    """Wait until what the hostile process had opened is closed everywhere."""
    deadline = time.monotonic() + 20
    while any(now > before[name] for name, now in target.descriptors().items()):
        assert time.monotonic() < deadline, (before, target.descriptors())
        await asyncio.sleep(0.05)


def fuzz(target: Target, seed: int, rounds: int, uid: int, *, first: int = 300) -> None:
    async def scenario() -> None:
        # what is allocated once for ever is not growth, nor what was freed and is kept for the next time
        await attack(target, seed + 1_000_000, first, uid)
        pids, state, descriptors = target.pids, target.state(), target.descriptors()
        memory, logs = target.memory(), target.logs()
        await attack(target, seed, rounds, uid)
        await settle(target, descriptors)
        assert target.pids == pids
        assert all(Path(f"/proc/{pid}").exists() for pid in pids.values())
        assert target.state() == state, f"seed {seed}: something was done"
        for name, text in target.logs().items():
            new = text[len(logs[name]) :]
            assert "Traceback" not in new, f"seed {seed}: {name}\n{new}"
            assert len(new) < 20_000, f"seed {seed}: {name} wrote {len(new)} bytes of log"
        for name, size in target.memory().items():
            assert size - memory[name] < 40 * MIB, f"seed {seed}: {name} grew by {(size - memory[name]) >> 20} MiB"

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", [1, 2])
def test_a_stranger_can_neither_crash_nor_change_nor_fill_anything(target: Target, seed: int) -> None:
    """As a user whom the group lets in, where there is another user to be; else as a client of our own."""
    fuzz(target, seed, ROUNDS, STRANGER if os.getuid() == 0 else os.getuid())


def test_a_service_that_talks_nonsense_can_neither_crash_nor_fill_anything(target: Target) -> None:
    """As the owner, who may also be called `alerts` and `supervisor/fuzz`."""
    fuzz(target, 3, ROUNDS, os.getuid())


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 130))
def test_more_seeds_and_more_of_each(target: Target, seed: int) -> None:
    uid = STRANGER if os.getuid() == 0 and seed % 2 else os.getuid()
    fuzz(target, seed, 6 * ROUNDS, uid, first=6 * ROUNDS)
