"""A service's process: started once, ready when it says so, ended when told, and never silently dead."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apsis.home import Home
from apsis_bus.lock import LockInfo, read_lock

SERVICE = """
import asyncio, sys, subprocess, threading, time
from apsis.errors import ConfigError
from apsis_bus.service import Service, run

class Store(Service):
    name = "store"
    async def start(self):
        kind = (self.home.root / "kind").read_text()
        if kind == "cannot":
            raise ConfigError("the repository is on fire", hint="put it out")
        if kind == "crash":
            asyncio.get_running_loop().call_later(0.05, lambda: 1 / 0)
        if kind == "task":
            self.kept = self.background(self.fail(), "to fail")
        if kind == "broken":
            raise KeyError("what")
        if kind == "slow":
            await asyncio.sleep(100)
        if kind == "pipe":
            shell = "trap - PIPE; kill -PIPE $$; echo survived"
            done = subprocess.run(["sh", "-c", shell], capture_output=True)
            self.facts["child"] = str(done.returncode)
        self.log.info("two\\nlines", extra={"event": "hello", "run": "r 12", "job": "etl/load"})
        self.facts["address"] = "http://127.0.0.1:1"
    async def fail(self):
        raise RuntimeError("in a task")
    async def stop(self):
        if (self.home.root / "kind").read_text() == "hang":
            threading.Thread(target=time.sleep, args=(100,)).start()
            time.sleep(100)
        self.log.info("stopping")

sys.exit(run(Store, sys.argv[1:]))
"""


class Started:
    """A service's process and what it wrote."""

    def __init__(self, home: Home, kind: str) -> None:
        home.config.write_text("")
        (home.root / "kind").write_text(kind)
        self.lock = home.lock("store")
        self.log = home.root / f"log-{time.monotonic_ns()}"
        with self.log.open("wb") as stderr:
            command = [sys.executable, "-c", SERVICE, "--home", str(home.root)]
            self.process = subprocess.Popen(command, stderr=stderr, cwd="/")

    def until_ready(self) -> LockInfo:
        deadline = time.monotonic() + 10
        while True:
            info = read_lock(self.lock)
            if info and info.ready:
                return info
            assert time.monotonic() < deadline, self.lines()
            time.sleep(0.01)

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


@pytest.fixture
def started(home: Home) -> Iterator[list[Started]]:
    all_: list[Started] = []
    yield all_
    for one in all_:
        one.process.kill()
        one.process.wait()


def test_a_service_is_ready_when_start_returns_and_ends_with_0(home: Home, started: list[Started]) -> None:
    service = Started(home, "")
    started.append(service)
    info = service.until_ready()
    assert (info.pid, info.address) == (service.process.pid, "http://127.0.0.1:1")
    assert Path(f"/proc/{info.pid}/cmdline").read_bytes().rstrip(b"\0") == b"apsis store"
    assert service.end() == 0
    assert read_lock(service.lock) is None


def test_each_record_of_the_log_is_one_line(home: Home, started: list[Started]) -> None:
    service = Started(home, "")
    started.append(service)
    service.until_ready()
    service.end()
    lines = service.lines()
    assert all(line[23] == "Z" and " INFO store: " in line for line in lines), lines
    assert "INFO store: two\\nlines event=hello run='r 12' job=etl/load" in lines[0]


def test_a_second_one_ends_with_75_and_names_the_first(home: Home, started: list[Started]) -> None:
    first = Started(home, "")
    started.append(first)
    first.until_ready()
    second = Started(home, "")
    started.append(second)
    assert second.process.wait(10) == 75
    assert len(second.lines()) == 1
    assert f"process {first.process.pid}" in second.lines()[0]


def test_one_that_cannot_start_says_why_in_one_line_and_ends_with_3(home: Home, started: list[Started]) -> None:
    service = Started(home, "cannot")
    started.append(service)
    assert service.process.wait(10) == 3
    assert "the repository is on fire; put it out" in service.lines()[0]
    assert not any("Traceback" in line for line in service.lines())


@pytest.mark.parametrize(
    ("kind", "error"), [("crash", "ZeroDivisionError"), ("broken", "KeyError"), ("task", "in a task")]
)
def test_an_unhandled_error_is_logged_and_ends_the_process_with_1(
    home: Home, started: list[Started], kind: str, error: str
) -> None:
    service = Started(home, kind)
    started.append(service)
    assert service.process.wait(10) == 1
    assert any(error in line for line in service.lines())


def test_one_that_is_told_to_end_while_starting_ends(home: Home, started: list[Started]) -> None:
    service = Started(home, "slow")
    started.append(service)
    deadline = time.monotonic() + 10
    while (
        read_lock(service.lock) is None
        or b"apsis store" not in Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    code = service.end()
    assert code in (0, -signal.SIGTERM)


def test_one_whose_end_hangs_is_gone_within_seconds(home: Home, started: list[Started]) -> None:
    service = Started(home, "hang")
    started.append(service)
    service.until_ready()
    at = time.monotonic()
    assert service.end() == 0
    assert time.monotonic() - at < 8


def test_children_are_ended_by_sigpipe_as_everywhere_else(home: Home, started: list[Started]) -> None:
    """What a service ignores would stay ignored in its children, and `yes | head` would never end."""
    service = Started(home, "pipe")
    started.append(service)
    assert service.until_ready().facts == {"child": str(-signal.SIGPIPE)}


def test_the_lock_outlives_no_process(home: Home, started: list[Started]) -> None:
    service = Started(home, "")
    started.append(service)
    service.until_ready()
    service.process.kill()
    service.process.wait()
    assert json.loads(service.lock.read_text())["pid"] == service.process.pid
    assert read_lock(service.lock) is None


LOOKER = """
import sys
from pathlib import Path
from apsis_bus.lock import read_lock
while True:
    read_lock(Path(sys.argv[1]))
"""


def test_looking_at_a_lock_never_keeps_a_service_from_taking_it(home: Home, started: list[Started]) -> None:
    home.run.mkdir()
    home.lock("store").touch()
    looker = subprocess.Popen([sys.executable, "-c", LOOKER, str(home.lock("store"))], cwd="/")
    try:
        service = Started(home, "")
        started.append(service)
        service.until_ready()
        assert service.end() == 0
    finally:
        os.kill(looker.pid, signal.SIGKILL)
        looker.wait()
