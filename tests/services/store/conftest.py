"""A hub and a store as real processes, and a peer in the test that plays supervisor and web.

home     a home of its own, with an empty configuration
stage    starts, kills and restarts the processes of that home; all are ended afterwards
stage_of the same, made when the test calls it
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
import zlib

import pytest

from apsis.home import Home
from apsis.messages.body import decode
from apsis.messages.outputs import Chunk, OutputAck, OutputEnd
from apsis_bus.lock import read_lock
from apsis_bus.peer import Peer


class Stage:
    """Processes of one home."""

    def __init__(self, home):
        self.home = home
        self._processes = {}

    def start(self, name, module):
        """Start a service and wait until it is ready."""
        log = (self.home.log / f"{name}.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", module, "--home", str(self.home.root)], cwd="/", stdout=log, stderr=log
        )
        log.close()
        self._processes[name] = process
        deadline = time.monotonic() + 15
        while not ((info := read_lock(self.home.lock(name))) and info.ready and info.pid == process.pid):
            assert process.poll() is None, self.log(name)
            assert time.monotonic() < deadline, self.log(name)
            time.sleep(0.02)
        return process

    def kill(self, name):
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def ended(self, name):
        """Say whether a process that was started has ended by a signal; it may be started again then."""
        try:
            code = self._processes[name].wait(2)
        except subprocess.TimeoutExpired:
            return False
        assert code == -signal.SIGKILL, self.log(name)
        del self._processes[name]
        return True

    def log(self, name):
        return (self.home.log / f"{name}.log").read_text()

    def end(self):
        for process in reversed(self._processes.values()):
            process.terminate()
            assert process.wait(6) == 0


class Sender:
    """A supervisor as far as output goes: sends by offset with a credit; goes back when told to, or after silence."""

    CREDIT = 8 * 262144

    def __init__(self, peer):
        self.peer = peer
        self.kept = {}
        self.complete = set()
        self.sent = {}
        self.heard = asyncio.Event()
        peer.handle(self._on_delivery)

    def _on_delivery(self, delivery):
        for kept in decode(OutputAck, delivery.body).items:
            key = kept.run_id, kept.stream
            self.kept[key] = kept.length
            if kept.complete:
                self.complete.add(key)
            if kept.again:
                self.sent[key] = kept.length
        self.heard.set()

    def chunk(self, run, stream, offset, data, **changes):
        fields = {"host": "local", "run_id": run, "stream": stream, "offset": offset, "length": len(data)}
        chunk = Chunk(**fields, crc32=zlib.crc32(data))
        self.peer.send("store", Chunk(**{**{f: getattr(chunk, f) for f in chunk.__struct_fields__}, **changes}),
                       payload=data, bulk=True)  # fmt: skip

    async def send_all(self, run, stream, data, *, step=262144, deadline=60):
        key = run, stream
        self.kept.setdefault(key, 0)
        self.sent.setdefault(key, 0)
        until = time.monotonic() + deadline
        while key not in self.complete:
            assert time.monotonic() < until, f"kept {self.kept[key]} of {len(data)}"
            while self.sent[key] < min(len(data), self.kept[key] + self.CREDIT):
                at = self.sent[key]
                self.chunk(run, stream, at, data[at : at + step])
                self.sent[key] = min(len(data), at + step)
            if self.kept[key] == len(data):
                self.peer.send("store", OutputEnd(host="local", run_id=run, lengths={stream: len(data)}), bulk=True)
            self.heard.clear()
            try:
                async with asyncio.timeout(0.3):
                    await self.heard.wait()
            except TimeoutError:
                self.sent[key] = self.kept[key]

    async def until(self, condition, deadline=10):
        until = time.monotonic() + deadline
        while not condition():
            assert time.monotonic() < until
            self.heard.clear()
            try:
                async with asyncio.timeout(0.1):
                    await self.heard.wait()
            except TimeoutError:
                continue


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    for path in (home.root, home.log, home.run):
        path.mkdir(mode=0o750)
    home.config.write_text("")
    return home


@pytest.fixture
def stage_of(home):
    """Make the processes when the test wants them, e.g. with another environment."""
    stages = []

    def make():
        stage = Stage(home)
        stages.append(stage)
        stage.start("hub", "apsis_bus.hub")
        stage.start("store", "apsis_services.store")
        return stage

    yield make
    for stage in stages:
        stage.end()


@pytest.fixture
def stage(stage_of):
    before = len(os.listdir("/proc/self/fd"))
    yield stage_of()
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.fixture
def on_bus(home):
    """Run a coroutine function with a sender and a second peer that reads."""

    def run(scenario):
        async def whole():
            sender, reader = Peer(home, "supervisor/local", bulk=True), Peer(home, "web", bulk=True)
            await sender.connect(10)
            await reader.connect(10)
            try:
                return await scenario(Sender(sender), reader)
            finally:
                await sender.close()
                await reader.close()

        return asyncio.run(whole())

    return run
