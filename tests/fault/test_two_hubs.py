"""Two hubs on one home: the second refuses before it touches anything, and the first is unhurt."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apsis.home import Home
from apsis_bus.lock import read_lock
from apsis_bus.process import ExitCode
from harness.installation import Installation, until
from harness.work import Ledger

SOCKETS = ("hub.ctl", "hub.pub", "hub.bulk")
Starts = Callable[[], "subprocess.Popen[str]"]


def hub(home: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "apsis_bus.hub", "--home", str(home)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd="/")


def refusal(second: "subprocess.Popen[str]") -> str:
    """Return the one line with which a hub refuses."""
    _, words = second.communicate(timeout=30)
    assert second.returncode == ExitCode.ALREADY_RUNNING, words
    (line,) = words.splitlines()
    return line


def inodes(home: Path) -> list[int]:
    return [(home / "run" / name).stat().st_ino for name in SOCKETS]


def test_a_second_hub_beside_a_whole_installation_leaves_everything_as_it_is(
    installation: Installation, ledger: Ledger
) -> None:
    before = installation.processes()
    sockets = inodes(installation.home)
    for _ in range(3):
        assert f"process {before['hub']}" in refusal(hub(installation.home))
    assert inodes(installation.home) == sockets
    args = {"seconds": "0.2", "code": "0", "ledger": str(ledger.path)}
    made = installation.make("work", 5, args=args)
    until(lambda: installation.count("state:success") == 5, 30, "the runs to end")
    assert ledger.starts() == {run["run_id"]: 1 for run in made}
    assert installation.processes() == before


@pytest.fixture
def starts(tmp_path: Path) -> Iterator[Starts]:
    """Starts a hub in an empty home; whatever is left of them is ended."""
    started: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        started.append(hub(tmp_path))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def is_up(home: Path, pid: int) -> bool:
    info = read_lock(Home(home).lock("hub"))
    return info is not None and info.ready and info.pid == pid


def test_of_hubs_that_start_at_once_one_serves_and_the_others_refuse(starts: Starts, tmp_path: Path) -> None:
    hubs = [starts() for _ in range(6)]
    until(lambda: sum(each.poll() is None for each in hubs) == 1, 30, "five of them to refuse")
    (first,) = [each for each in hubs if each.poll() is None]
    until(lambda: is_up(tmp_path, first.pid), 10, "the one to serve")
    assert {each.returncode for each in hubs if each is not first} == {ExitCode.ALREADY_RUNNING}
    assert all((tmp_path / "run" / name).is_socket() for name in SOCKETS)


def test_a_hub_that_is_stopped_keeps_its_place_and_one_that_was_killed_does_not(starts: Starts, tmp_path: Path) -> None:
    first = starts()
    until(lambda: is_up(tmp_path, first.pid), 20, "the first hub")
    sockets = inodes(tmp_path)
    os.kill(first.pid, signal.SIGSTOP)
    assert f"process {first.pid}" in refusal(starts())
    assert inodes(tmp_path) == sockets
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    # what it has left lies there still, and is nobody's
    second = starts()
    until(lambda: is_up(tmp_path, second.pid), 20, "the second hub")
