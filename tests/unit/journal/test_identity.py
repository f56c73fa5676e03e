"""A process is known by pid and start ticks; a signal never reaches another one."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

import apsis
from apsis.times.instants import format_time
from apsis_services.supervisor.zygote.files import MODULES, ROOT
from apsis_services.supervisor.zygote.identity import (
    boot_id,
    open_verified,
    parse_stat,
    read_stat,
    signal_verified,
    start_ticks,
)
from apsis_services.supervisor.zygote.linux import look_at_end, open_signalfd, read_signals
from apsis_services.supervisor.zygote.processes import descendants, is_tagged
from apsis_services.supervisor.zygote.stamps import stamp
from apsis_services.supervisor.zygote.usage import Usage


def test_a_name_with_blanks_and_parentheses_is_no_trouble():
    fields = ["S", "1", "2", "3"] + ["0"] * 15 + ["777"] + ["0"] * 30
    stat = parse_stat(f"42 (a) S 9 9 (b)) {' '.join(fields)}".encode())
    assert (stat.pid, stat.state, stat.ppid, stat.group, stat.session, stat.ticks) == (42, "S", 1, 2, 3, 777)


def test_only_the_very_process_is_signalled():
    child = subprocess.Popen(["sleep", "60"])
    ticks = start_ticks(child.pid)
    assert not signal_verified(child.pid, ticks + 1, signal.SIGKILL), "a pid that was given away"
    assert open_verified(child.pid, ticks + 1) is None
    assert child.poll() is None
    assert signal_verified(child.pid, ticks, signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM
    assert not signal_verified(child.pid, ticks, signal.SIGTERM)
    assert start_ticks(child.pid) is None


def test_a_boot_has_one_name():
    assert boot_id() == boot_id()
    assert len(boot_id()) == 36


@pytest.mark.parametrize("micros", [0, 1, 1_782_829_927_120_000, 253_402_300_799_999_999])
def test_stamps_are_written_as_everywhere_else(micros):
    time = datetime(1970, 1, 1, tzinfo=UTC) + __import__("datetime").timedelta(microseconds=micros)
    assert stamp(micros * 1000 + 999) == format_time(time)


def test_how_a_child_ended_is_seen_without_reaping_it():
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    seen = look_at_end(pid)
    assert (seen.code, seen.signal) == (3, None)
    reaped = Usage.of(os.wait4(pid, 0)[2])
    assert seen.usage is None or seen.usage == reaped
    with pytest.raises(ChildProcessError):
        look_at_end(pid)


def test_a_child_that_runs_has_not_ended():
    pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    assert look_at_end(pid) is None
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert look_at_end(pid)[:2] == (None, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_signals_are_read_from_a_descriptor():
    old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGUSR2])
    fd = open_signalfd([signal.SIGUSR1, signal.SIGUSR2])
    try:
        assert read_signals(fd) == []
        # to this thread: another one of the test runner's does not block them
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        assert sorted(read_signals(fd)) == [signal.SIGUSR1, signal.SIGUSR2]
    finally:
        os.close(fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def test_usage_adds_up():
    total = Usage(0.1, 0.2, 5, 1, 1, 1, 1, 1, 1).plus(Usage(0.2, 0.1, 3, 2, 2, 2, 2, 2, 2))
    assert total == Usage(0.3, 0.3, 5, 3, 3, 3, 3, 3, 3)


def test_descendants_are_found_at_any_depth_and_others_are_not():
    stats = [read_stat(1)._replace(pid=pid, ppid=ppid) for pid, ppid in [(2, 1), (3, 2), (4, 3), (5, 9), (6, 2)]]
    assert [stat.pid for stat in descendants([2], stats)] == [3, 6, 4] or {
        stat.pid for stat in descendants([2], stats)
    } == {3, 4, 6}


def test_a_tag_is_seen_only_whole():
    child = subprocess.Popen(["sleep", "60"], env={"RUN": "r1", "SPOOL": "abc"})
    try:
        # between its exec and the laying out of its stack a process has no environment to read
        deadline = time.monotonic() + 5
        while is_tagged(child.pid, frozenset([b"RUN=r1", b"SPOOL=abc"])) is None and time.monotonic() < deadline:
            time.sleep(0.001)
        assert is_tagged(child.pid, frozenset([b"RUN=r1", b"SPOOL=abc"]))
        assert not is_tagged(child.pid, frozenset([b"RUN=r1", b"SPOOL=ab"]))
    finally:
        child.kill()
        child.wait()


def test_the_zygote_carries_the_standard_library_alone_and_all_its_modules_are_stamped():
    """What it imports is what it costs each shim; and a module that is not stamped could change unnoticed."""
    roots = "\n".join({ROOT, str(Path(apsis.__file__).parent.parent)})
    script = """
import sys
sys.path += sys.argv[1].split("\\n")
from apsis_services.supervisor.zygote.lean import lighten
lighten()
import apsis_services.supervisor.zygote.zygote
specs = [getattr(module, "__spec__", None) for module in sys.modules.values()]
print(*(spec.name for spec in specs if spec))
"""
    told = subprocess.run([sys.executable, "-I", "-S", "-c", script, roots], capture_output=True, text=True, check=True)
    modules = told.stdout.split()
    ours = [name for name in modules if name.startswith("apsis")]
    assert sorted(ours) == sorted(
        [
            "apsis",
            "apsis.failpoints",
            "apsis_services",
            "apsis_services.supervisor",
            "apsis_services.supervisor.zygote",
            *(f"apsis_services.supervisor.zygote.{name}" for name in MODULES),
        ]
    )
    others = {name.partition(".")[0] for name in modules if not name.startswith(("apsis", "__"))}
    assert others <= set(sys.stdlib_module_names)
    heavy = {"asyncio", "subprocess", "threading", "logging", "dataclasses", "inspect", "pathlib", "argparse", "zmq"}
    heavy |= {"typing", "ctypes", "collections", "enum", "re", "json", "signal", "socket", "selectors", "traceback"}
    assert heavy & others == set()
