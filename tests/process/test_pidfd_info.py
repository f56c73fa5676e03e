"""How a process ended that is nobody's child here: by its pidfd after another waited, or while nobody has."""

import os
import select
import signal
import time

import pytest

from apsis_services.supervisor.watching.pidfd_info import how_it_ended, how_it_ended_unreaped
from apsis_services.supervisor.zygote.identity import Identity, start_ticks


def spawn(script: str) -> tuple[int, int, Identity]:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], {"PATH": os.environ["PATH"]})
    ticks = start_ticks(pid)
    assert ticks is not None
    return pid, os.pidfd_open(pid), Identity(pid, ticks)


def ended(pidfd: int) -> None:
    assert select.select([pidfd], [], [], 10)[0]


def tells() -> bool:
    pid, pidfd, _ = spawn("true")
    os.waitpid(pid, 0)
    try:
        return how_it_ended(pidfd) is not None
    finally:
        os.close(pidfd)


@pytest.mark.parametrize(
    ("script", "wanted"), [("exit 7", (7, None)), ("exit 0", (0, None)), ("kill -9 $$", (None, 9))]
)
def test_the_status_is_read_while_nobody_has_waited_and_by_the_pidfd_afterwards(script, wanted):
    pid, pidfd, who = spawn(script)
    ended(pidfd)
    assert how_it_ended(pidfd) in (None, wanted), "older kernels say nothing before"
    assert how_it_ended_unreaped(who) == wanted
    os.waitpid(pid, 0)
    assert how_it_ended_unreaped(who) is None
    if tells():
        assert how_it_ended(pidfd) == wanted
    else:
        assert how_it_ended(pidfd) is None
    os.close(pidfd)


def test_nothing_is_said_of_one_that_lives_or_of_another_with_its_pid():
    pid, pidfd, who = spawn("sleep 60")
    assert how_it_ended(pidfd) is None
    assert how_it_ended_unreaped(who) is None
    os.kill(pid, signal.SIGKILL)
    ended(pidfd)
    assert how_it_ended_unreaped(who._replace(ticks=who.ticks + 1)) is None
    assert how_it_ended_unreaped(who) == (None, 9)
    os.waitpid(pid, 0)
    os.close(pidfd)


def test_what_is_no_pidfd_is_no_end():
    """As on a kernel that does not know the question."""
    with open("/dev/null", "rb") as file:
        assert how_it_ended(file.fileno()) is None


def test_one_that_another_waited_for_is_told_to_whoever_held_its_pidfd():
    """The orphan of a killed parent: its new parent waits for it, and we never could."""
    if not tells():
        pytest.skip("this kernel does not tell how a process ended that another has waited for")
    reading, writing = os.pipe()
    middle = os.fork()
    if middle == 0:
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "sleep 0.3; exit 9"], {"PATH": os.environ["PATH"]})
        os.write(writing, str(pid).encode())
        os.waitpid(pid, 0)
        os._exit(0)
    pidfd = os.pidfd_open(int(os.read(reading, 20)))
    ended(pidfd)
    os.waitpid(middle, 0)
    deadline = time.monotonic() + 5
    while (found := how_it_ended(pidfd)) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found == (9, None)
    for fd in (pidfd, reading, writing):
        os.close(fd)
