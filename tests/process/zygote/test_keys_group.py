"""A control group of a run's own, with the kernel's: entered before exec, killed as a whole, removed afterwards."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apsis_services.supervisor.zygote import cgroup
from apsis_services.supervisor.zygote.failure import SpawnError


def base_or_reason() -> tuple[str, str]:
    try:
        return cgroup.find_base(), ""
    except SpawnError as error:
        return "", str(error)


BASE, REASON = base_or_reason()
GROUPS = pytest.mark.skipif(not BASE, reason=f"no control group that we may divide: {REASON}")
WITHOUT = {"memory_max": None, "cpu_max": None, "pids_max": None}


def group_of(host, run_id: str) -> Path:
    return Path(BASE, cgroup.name_of(host.epoch, f"{7:016x}-{run_id}"))


@GROUPS
def test_a_run_has_a_group_of_its_own_and_nothing_of_it_stays(host):
    state = host.ran("r1", "sh", "-c", "grep ^0:: /proc/self/cgroup", cgroup=WITHOUT)
    assert state.claim["group"] == str(group_of(host, "r1"))
    assert host.output("r1").decode().strip().endswith(group_of(host, "r1").name)
    host.wait(lambda: not host.state("r1").locked, "the shim has gone")
    assert not group_of(host, "r1").exists()
    host.ran("r2", "grep", "^0::", "/proc/self/cgroup")
    assert "apsis-" + host.epoch not in host.output("r2").decode(), "only who asks gets one"


HIDDEN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:  # children of ever new parents, faster than a walk of /proc is
    if os.fork():
        os._exit(0)
    os.setsid()
"""


@GROUPS
def test_what_forks_faster_than_it_can_be_listed_is_killed_as_a_whole(host):
    script = 'for i in 1 2 3 4 5 6; do "$0" -c "$1" & done; echo up; exec sleep 60'
    host.start("r1", "sh", "-c", script, sys.executable, HIDDEN, cgroup=WITHOUT)
    host.printed("r1")
    host.wait(lambda: len((group_of(host, "r1") / "cgroup.procs").read_text().split()) >= 4, "they live")
    host.stop("r1", number=signal.SIGKILL, grace=0)
    assert host.done("r1").done["leftovers"] == 0
    assert host.tagged() == []
    host.wait(lambda: not group_of(host, "r1").exists(), "its group is removed")


@GROUPS
def test_who_lives_in_the_group_and_descends_from_nobody_of_the_run_is_killed_too(host):
    host.start("r1", "sh", "-c", "echo up; exec sleep 60", cgroup=WITHOUT)
    host.printed("r1")
    stranger = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"], stdout=subprocess.PIPE
    )
    assert stranger.stdout is not None
    try:
        stranger.stdout.readline()
        (group_of(host, "r1") / "cgroup.procs").write_text(str(stranger.pid))
        host.stop("r1", number=signal.SIGKILL, grace=0)
        assert host.done("r1", 15).done["leftovers"] == 0
        assert stranger.wait(5) == -signal.SIGKILL
    finally:
        stranger.kill()
        stranger.wait()
        stranger.stdout.close()


@GROUPS
def test_an_adopted_run_is_killed_by_its_group_too(host):
    host.start("r1", "sh", "-c", "trap '' TERM; (setsid sleep 60 &); echo up; sleep 60", cgroup=WITHOUT)
    host.printed("r1")
    os.kill(host.state("r1").claim["pid"], signal.SIGKILL)
    host.wait(lambda: host.state("r1").adopted, "adopted")
    host.stop("r1", number=signal.SIGKILL, grace=0)
    assert host.done("r1").done["leftovers"] == 0
    host.wait(lambda: not group_of(host, "r1").exists(), "its group is removed")


@GROUPS
def test_the_group_of_what_was_left_alone_stays_until_it_is_empty(host):
    host.ran("r1", "sh", "-c", "(setsid sleep 60 > /dev/null &)", cgroup=WITHOUT, leftovers="leave")
    host.wait(lambda: not host.state("r1").locked, "the shim has gone")
    group = group_of(host, "r1")
    assert cgroup.is_populated(str(group))
    os.rename(f"{host.spool}/journals/{7:016x}-r1.j", f"{host.spool}/archive/{7:016x}-r1.j")
    host.ran("r2", "true", cgroup=WITHOUT)
    assert group.exists(), "somebody lives there"
    cgroup.kill(str(group))
    host.wait(lambda: not cgroup.is_populated(str(group)), "they have ended")
    host.ran("r3", "true", cgroup=WITHOUT)
    assert not group.exists()


@GROUPS
def test_a_limit_that_this_host_cannot_set_is_an_error_and_the_program_does_not_run(host):
    """A limit that is silently none would be found out when the machine is down."""
    have = Path(BASE, "cgroup.controllers").read_text().split()
    wanted = {"memory": {"memory_max": 64 << 20}, "cpu": {"cpu_max": 0.5}, "pids": {"pids_max": 10}}
    for number, (controller, limit) in enumerate(wanted.items()):
        state = host.ran(f"r{number}", "touch", "ran", cwd=str(host.root), cgroup=WITHOUT | limit)
        if controller in have:
            assert state.result["code"] == 0
            continue
        assert f"the controller '{controller}' is not available" in state.result["error"]
        assert "Delegate=yes" in state.result["error"]
        assert not (host.root / "ran").exists()
    assert not list(Path(BASE).glob(f"apsis-{host.epoch}-*"))


@GROUPS
def test_a_step_that_fails_after_the_group_was_made_leaves_none(host):
    state = host.ran("r1", "/no/such/program", cgroup=WITHOUT)
    assert "does not exist" in state.result["error"]
    assert not group_of(host, "r1").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become one who may not divide it")
def test_without_a_group_to_divide_the_reason_is_told(refusal_to_nobody):
    told = refusal_to_nobody(cgroup.find_base)
    assert told.startswith("cgroup: ")
    assert "use `limits`" in told


def test_the_group_of_another_is_never_taken_for_ones_own():
    name = cgroup.name_of("e1", "0000000000000007-r1")
    assert cgroup.is_group_of(f"/sys/fs/cgroup/a/{name}", "e1", "0000000000000007-r1")
    for path in ("/sys/fs/cgroup", name, f"/sys/../{name}", f"/x/{name}/..", f"/x/{name}0", ""):
        assert not cgroup.is_group_of(path, "e1", "0000000000000007-r1"), path


def test_what_the_kernel_killed_for_lack_of_memory_is_counted(tmp_path):
    (tmp_path / "memory.events").write_text("low 0\nhigh 3\nmax 17\noom 2\noom_kill 2\noom_group_kill 0\n")
    assert cgroup.oom_kills(str(tmp_path)) == 2
    assert cgroup.oom_kills(str(tmp_path / "nowhere")) == 0


def test_limits_are_written_as_the_kernel_reads_them(tmp_path, monkeypatch):
    """Into plain files, since not every machine has the controllers: bytes, and microseconds of CPU in a period."""
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids\n")
    group = tmp_path / "g"
    with pytest.raises(SpawnError, match="memory_max 1024 cannot be set"):
        cgroup.make(str(group), {"memory_max": 1024.0, "cpu_max": None, "pids_max": None})
    assert not group.exists(), "what the kernel has no file for is an error, and leaves no group"
    written: list[tuple[str, str]] = []
    monkeypatch.setattr(cgroup, "_write", lambda path, text: written.append((path.rpartition("/")[2], text)))
    cgroup.make(str(group), {"memory_max": 512 << 20, "cpu_max": 1.5, "pids_max": 20})
    assert written == [("memory.max", "536870912"), ("cpu.max", "150000 100000"), ("pids.max", "20")]
