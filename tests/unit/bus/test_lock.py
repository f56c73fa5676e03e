"""The lock of a service: held by one living process, and readable while it is."""

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from apsis.home import Home
from apsis_bus.lock import AlreadyRunning, ServiceLock, read_lock


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_the_line_names_this_process_and_what_it_said_when_ready(home: Home) -> None:
    lock = ServiceLock(home, "web")
    lock.take()
    info = read_lock(home.lock("web"))
    assert info is not None
    assert (info.pid, info.ready, info.address, info.facts) == (os.getpid(), False, None, {})
    assert info.ticks == int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    assert info.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    lock.ready(address="http://127.0.0.1:5883", token="x")
    info = read_lock(home.lock("web"))
    assert info is not None
    assert (info.ready, info.address, info.facts) == (True, "http://127.0.0.1:5883", {"token": "x"})
    lock.release()
    assert read_lock(home.lock("web")) is None


def test_a_lock_that_was_never_taken_is_held_by_nobody(home: Home) -> None:
    assert read_lock(home.lock("web")) is None
    with pytest.raises(RuntimeError):
        ServiceLock(home, "web").ready()


def test_what_is_left_of_a_dead_holder_is_no_holder(home: Home) -> None:
    program = (
        "import sys; from apsis.home import Home; from pathlib import Path; from apsis_bus.lock import ServiceLock\n"
    )
    program += "ServiceLock(Home(Path(sys.argv[1])), 'web').take()"
    subprocess.run([sys.executable, "-c", program, str(home.root)], check=True, cwd="/")
    assert home.lock("web").stat().st_size > 0
    assert read_lock(home.lock("web")) is None
    lock = ServiceLock(home, "web")
    lock.take()
    lock.release()


def test_the_second_is_told_who_the_first_is(home: Home) -> None:
    lock = ServiceLock(home, "web")
    lock.take()
    with pytest.raises(AlreadyRunning) as running:
        ServiceLock(home, "web").take()
    assert (running.value.name, running.value.pid) == ("web", os.getpid())
    lock.release()


def test_somebody_who_looks_at_the_lock_at_the_wrong_moment_is_waited_out(home: Home) -> None:
    home.run.mkdir()
    home.lock("web").touch()
    fd = os.open(home.lock("web"), os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    done_at: list[float] = []

    def look_away() -> None:
        time.sleep(0.05)
        done_at.append(time.monotonic())
        os.close(fd)

    thread = threading.Thread(target=look_away)
    thread.start()
    lock = ServiceLock(home, "web")
    lock.take()
    assert time.monotonic() >= done_at[0]
    thread.join()
    lock.release()


def test_a_program_that_a_service_starts_does_not_inherit_its_lock(home: Home) -> None:
    lock = ServiceLock(home, "web")
    lock.take()
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    lock.release()
    assert read_lock(home.lock("web")) is None
    again = ServiceLock(home, "web")
    again.take()
    again.release()
    child.kill()
    child.wait()
