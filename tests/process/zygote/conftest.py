"""A spool with a real zygote, and programs that run in it. Fixtures: `host` (a fresh one for each test)."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from apsis_services.supervisor.zygote.client import ZygoteClient
from apsis_services.supervisor.zygote.failure import SpawnError
from apsis_services.supervisor.zygote.files import living_generations
from apsis_services.supervisor.zygote.identity import signal_verified, start_ticks
from apsis_services.supervisor.zygote.journal import JournalState, journal_path, read_journal, run_directory
from apsis_services.supervisor.zygote.orders import SignalOrder, StopOrder, notify, write_signal, write_stop
from apsis_services.supervisor.zygote.processes import is_tagged, live_stats
from apsis_services.supervisor.zygote.request import StartRequest

DEADLINE = 20.0


def wait_for(condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> Any:
    """Return the first true value of a condition; fails after `seconds`."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > until:
            pytest.fail(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.005)
    return value


class Host:
    """Folders, a client, and short words for what tests do with them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.epoch = os.urandom(6).hex()
        self.spool = root / "spool"
        self.run_dir = root / "run"
        self.log = root / "log" / "zygote.log"
        for folder in ("run", "log", "spool/journals", "spool/runs", "spool/archive"):
            (root / folder).mkdir(parents=True)
        (self.spool / "epoch").write_text(self.epoch + "\n")
        self._runner = asyncio.Runner()
        self.clients: list[ZygoteClient] = []
        self.client = self.connect()

    def go(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end."""
        return self._runner.run(asyncio.wait_for(coroutine, DEADLINE))

    def connect(self, generation: int | None = 1, idle: float = 30.0) -> ZygoteClient:
        """Return one more client, which is closed at the end."""

        async def make() -> ZygoteClient:
            return ZygoteClient(self.spool, self.run_dir, generation, idle=idle)

        client = self.go(make())
        self.clients.append(client)
        return client

    def request(self, run_id: str, *argv: str, **facts: Any) -> StartRequest:
        """Return a request with what each needs."""
        env = {"PATH": os.environ["PATH"], "APSIS_RUN_ID": run_id, "APSIS_SPOOL": self.epoch} | facts.pop("env", {})
        stop = {"signal": int(signal.SIGTERM), "grace": facts.pop("grace", 0.3)}
        defaults = {"dispatch": 1, "job_id": "job", "schedule_time": None, "args": {}, "args_hash": "h"}
        return StartRequest(journal=7, run_id=run_id, argv=list(argv), env=env, stop=stop, **(defaults | facts))

    def start(self, run_id: str, *argv: str, **facts: Any) -> str:
        """Start a program; returns the answer."""
        return self.go(self.client.start(self.request(run_id, *argv, **facts)))

    def state(self, run_id: str) -> JournalState:
        """Read a run's journal."""
        return read_journal(journal_path(self.spool, 7, run_id))

    def done(self, run_id: str, seconds: float = DEADLINE) -> JournalState:
        """Wait until a run is settled, and return its journal."""
        wait_for(lambda: self.state(run_id).settled, f"{run_id} done", seconds)
        return self.state(run_id)

    def started(self, run_id: str) -> JournalState:
        """Wait until a program runs, and return its journal."""
        wait_for(lambda: self.state(run_id).started, f"{run_id} started")
        return self.state(run_id)

    def ran(self, run_id: str, *argv: str, **facts: Any) -> JournalState:
        """Start a program, wait until it is done, and return its journal."""
        assert self.start(run_id, *argv, **facts) == "claimed"
        return self.done(run_id)

    def directory(self, run_id: str) -> Path:
        """Return a run's folder."""
        return Path(run_directory(self.spool, 7, run_id))

    def output(self, run_id: str, name: str = "output") -> bytes:
        """Return what a run has printed."""
        try:
            return (self.directory(run_id) / name).read_bytes()
        except FileNotFoundError:  # the shim has the claim, and is about to make it
            return b""

    def printed(self, run_id: str, count: int = 1) -> list[str]:
        """Wait until a run has printed so many whole lines, and return them."""
        wait_for(lambda: self.output(run_id).count(b"\n") >= count, f"{run_id} printed {count} lines")
        return self.output(run_id).decode().splitlines()

    def stop(self, run_id: str, by: str = "ann", number: int = signal.SIGTERM, grace: float = 0.3) -> None:
        """Order a stop as the supervisor does."""
        write_stop(self.directory(run_id), StopOrder(int(number), grace, by))
        assert notify(self.state(run_id))

    def signal(self, run_id: str, number: int, by: str = "ann", order: int = 1) -> None:
        """Order a signal as the supervisor does."""
        write_signal(self.directory(run_id), SignalOrder(order, int(number), by))
        assert notify(self.state(run_id))

    def tagged(self) -> list[int]:
        """Return the pids of all living processes that carry this host's tag."""
        tag = frozenset([f"APSIS_SPOOL={self.epoch}".encode()])
        return [stat.pid for stat in live_stats() if is_tagged(stat.pid, tag)]

    def zygote(self) -> int:
        """Return the pid of the zygote in use."""
        self.go(self.client.ensure())
        pid = self.client.zygote_pid
        assert pid is not None
        return pid

    def lives(self, pid: int) -> bool:
        """Whether a process is there and is no zombie."""
        return any(stat.pid == pid for stat in live_stats())

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for a condition."""
        return wait_for(condition, what)

    def close(self) -> None:
        """End everything that was started here, and see that nothing stays."""

        def nobody_left() -> bool:
            left = self.tagged()
            for pid in left:
                signal_verified(pid, start_ticks(pid) or 0, signal.SIGKILL)
            return not left

        wait_for(nobody_left, "all programs are ended")
        for generation in living_generations(str(self.run_dir)):
            self.go(self._retire(generation))

        async def ended() -> None:
            while living_generations(str(self.run_dir)):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)  # the zygote is reaped

        self.go(ended())
        for client in self.clients:
            self.go(client.close())
        wait_for(nobody_left, "all programs are ended")
        self._runner.close()

    async def _retire(self, generation: int) -> None:
        client = ZygoteClient(self.spool, self.run_dir, generation)
        await client.ensure()
        await client.retire()


@pytest.fixture
def refusal_to_nobody() -> Callable[[Callable[[], object]], str]:
    """Why something is refused to an ordinary user, whom a fork of this process becomes; "": it is not. Needs root."""

    def ask(deed: Callable[[], object]) -> str:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
                deed()
            except SpawnError as error:
                os.write(writing, str(error).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as said:
            text = said.read()
        os.waitpid(pid, 0)
        return text

    return ask


@pytest.fixture
def host() -> Iterator[Host]:
    """A spool of its own, with a zygote as soon as it is needed; readable by any user."""
    root = Path(tempfile.mkdtemp(prefix="apsis-zygote-"))
    root.chmod(0o755)
    host = Host(root)
    try:
        yield host
    finally:
        try:
            host.close()
        finally:
            shutil.rmtree(root)
