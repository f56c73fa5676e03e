"""The common keys of a program, where they are applied: input, mask, niceness, limits, and each step's own error."""

import os
import signal
import sys
from pathlib import Path

import pytest

from apsis_services.supervisor.zygote.request import StartRequest
from apsis_services.supervisor.zygote.spawn import spawn

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
#: of the shell itself; 32 and 33 belong to glibc, which leaves them ignored
FACTS = """
grep -E '^Sig(Blk|Ign):' /proc/self/status
ls /proc/$$/fd | tr '\\n' ' '; echo
echo $(cut -d' ' -f5,6 /proc/$$/stat) $$
nice
ulimit -Sn; ulimit -Hn; ulimit -St; ulimit -Ht; umask
"""


def lines(host, run_id="r1"):
    return host.output(run_id).decode().splitlines()


def test_a_program_reads_nothing_unless_it_is_given_something(host):
    host.ran("r1", "sh", "-c", "readlink /proc/self/fd/0; wc -c")
    assert lines(host) == ["/dev/null", "0"]


@pytest.mark.parametrize("more", [{}, {"nice": 1}], ids=["spawned", "forked"])
def test_a_text_for_standard_input_is_read_to_its_end(host, more):
    text = "erste Zeile\nzweite: ü\n" + "x" * 65_000
    host.ran("r1", "cat", stdin=text, **more)
    assert host.output("r1") == text.encode()


@pytest.mark.parametrize("more", [{}, {"nice": 1}], ids=["spawned", "forked"])
def test_a_file_for_standard_input_is_read(host, more):
    path = host.root / "in"
    path.write_bytes(b"\0\xff" * 100_000)
    host.ran("r1", "cat", stdin_file=str(path), **more)
    assert host.output("r1") == path.read_bytes()


@pytest.mark.parametrize("more", [{}, {"nice": 1}], ids=["spawned", "forked"])
def test_why_a_file_cannot_be_read_as_standard_input_is_told(host, more):
    os.mkfifo(host.root / "fifo")
    cases = {
        "r1": ("/no/such/file", "stdin: file '/no/such/file' does not exist"),
        "r2": (str(host.root / "fifo"), "is no file"),
        "r3": (str(host.root), "is no file"),
        "r4": ("/etc/passwd/x", "cannot be read: Not a directory"),
    }
    for run_id, (path, words) in cases.items():
        assert words in host.ran(run_id, "cat", stdin_file=path, **more).result["error"]


def test_the_forked_child_begins_with_the_same_clean_slate(host):
    """The slow way (limits and niceness need a fork of the shim) must leave nothing of the shim's behind."""
    limits = {"open_files": 123, "file_size": 4096 * 1024, "cpu": 7}
    host.ran("r1", "/bin/bash", "-c", FACTS, nice=3, limits=limits, umask=0o077)
    blocked, ignored, fds, ids, *rest = lines(host)
    assert int(blocked.split()[1], 16) == 0
    assert int(ignored.split()[1], 16) & ~(3 << 31) == 0
    assert fds.split()[:3] == ["0", "1", "2"]
    assert set(fds.split()) <= {"0", "1", "2", "255"}, "255 is bash's own"
    assert len(set(ids.split())) == 1, "group, session and pid are one"
    assert rest == ["3", "123", "123", "7", "12", "0077"]


def test_the_mask_holds_for_what_the_program_makes(host):
    for run_id, more in (("r1", {}), ("r2", {"nice": 1})):
        host.ran(run_id, "sh", "-c", f"umask; : > made-{run_id}", cwd=str(host.root), umask=0o037, **more)
        assert lines(host, run_id) == ["0037"]
        assert (host.root / f"made-{run_id}").stat().st_mode & 0o777 == 0o640
    assert (host.directory("r1") / "output").stat().st_mode & 0o777 == 0o640, "the files of the run are ours"


def test_who_uses_more_cpu_than_allowed_is_ended_and_that_is_said(host):
    host.start("r1", sys.executable, "-c", "while True: pass", limits={"cpu": 1})
    result = host.done("r1").result
    assert (result["signal"], result["killed_by"]) == (signal.SIGXCPU, "limits.cpu 1s")


def test_who_writes_a_longer_file_than_allowed_is_ended_and_that_is_said(host):
    script = "head -c 100000 /dev/zero > big"
    host.ran("r1", "sh", "-c", f"ulimit -c 0; exec {script}", cwd=str(host.root), limits={"file_size": 4096})
    host.ran(
        "r2", "dd", "if=/dev/zero", "of=big2", "bs=8192", "count=4", cwd=str(host.root), limits={"file_size": 4096}
    )
    result = host.state("r2").result
    assert (result["signal"], result["killed_by"]) == (signal.SIGXFSZ, "limits.file_size 4096")
    assert (host.root / "big2").stat().st_size == 4096


def test_what_a_program_may_not_allocate_it_does_not_get(host):
    grab = "try:\n x = bytearray(1 << 30)\nexcept MemoryError: print('refused')"
    host.ran("r1", sys.executable, "-c", grab, limits={"memory": 512 << 20})
    assert lines(host) == ["refused"]


def test_a_memory_limit_below_what_a_start_takes_is_named(host):
    """The kernel kills what it cannot lay out, when there is no way back any more."""
    result = host.ran("r1", "/bin/true", limits={"memory": 65536}).result
    assert "limits.memory 65536" in result["error"] + result["killed_by"]


def test_a_failing_step_says_which_it_was_also_in_the_forked_child(host):
    closed = host.root / "plain"
    closed.write_text("x")
    cases = {
        "cwd": (["true"], {"cwd": "/no/such/folder"}, "working directory '/no/such/folder' does not exist"),
        "missing": (["/no/such/program"], {}, "program '/no/such/program' does not exist"),
        "path": (["apsis-nope"], {}, "was not found in PATH"),
        "mode": ([str(closed)], {}, "is not executable"),
        "long": (["echo", "x" * 200_000], {}, "too long"),
        "nul": (["echo", "a\0b"], {}, "cannot be given to a program"),
        "name": (["echo"], {"env": {"A=B": "1"}}, ""),
    }
    for run_id, (argv, facts, words) in cases.items():
        state = host.ran(run_id, *argv, **({"nice": 1} | facts))
        if words:
            assert words in state.result["error"], run_id
            assert state.started is None
    assert host.tagged() == []


@ROOT
def test_only_as_much_as_this_host_allows_can_be_asked_for_by_an_ordinary_user(refusal_to_nobody):
    def refused(**facts):
        stop = {"signal": 15, "grace": 1.0}
        request = StartRequest(7, "r1", 1, "job", None, {}, "h", ["true"], {"PATH": "/bin"}, stop, **facts)
        return refusal_to_nobody(lambda: spawn(request, [2, 2], str))

    too_many = refused(limits={"open_files": 1 << 29})
    assert "limits.open_files 536870912 cannot be set: this host allows at most" in too_many
    assert refused(nice=-5) == "nice -5: only root may put a program before others"
    assert refused(user="root", nice=1).startswith("cannot become user 'root': only root may")
    assert refused(nice=5, limits={"open_files": 64}) == ""


@ROOT
def test_a_file_for_standard_input_is_opened_as_the_user(host):
    path = host.root / "secret"
    path.write_text("mine")
    path.chmod(0o600)
    error = host.ran("r1", "cat", user="nobody", stdin_file=str(path)).result["error"]
    assert "cannot be read: Permission denied" in error


@ROOT
def test_who_has_as_many_processes_as_allowed_is_told_so(host):
    host.start("r1", "sleep", "60", user="nobody")
    host.started("r1")
    state = host.ran("r2", "sh", "-c", "sleep 0 & wait; echo up", user="nobody", limits={"processes": 1})
    assert "limits.processes 1" in state.result["error"] or "fork" in host.output("r2").decode().lower()


def test_nothing_of_what_is_secret_is_written_down(host):
    host.ran(
        "r1", "sh", "-c", 'printf %s "$TOKEN" | md5sum', env={"TOKEN": "s3cr3t-value"}, stdin="also-s3cr3t", nice=1
    )
    for path in [*Path(host.spool).rglob("*"), host.log]:
        if path.is_file():
            assert b"s3cr3t" not in path.read_bytes(), path
