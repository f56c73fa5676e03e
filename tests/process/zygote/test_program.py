"""What becomes of one program: its status, its output, its surroundings, and why it could not be started."""

import os
import signal
import sys
from pathlib import Path

import pytest

MIB = 1024 * 1024


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_an_exit_code_is_recorded(host, code):
    state = host.ran("r1", "sh", "-c", f"exit {code}")
    assert (state.phase, state.result["code"], state.result["signal"], state.result["error"]) == (
        "done",
        code,
        None,
        "",
    )
    host.wait(lambda: not host.state("r1").locked, "the shim is gone")
    assert state.result["killed_by"] == ""
    assert not state.result["stopped"]
    assert not state.result["timed_out"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_signal_that_nobody_here_sent_is_said_to_be_so(host, number):
    result = host.ran("r1", "sh", "-c", f"ulimit -c 0; kill -{int(number)} $$").result
    assert (result["code"], result["signal"]) == (None, number)
    assert result["killed_by"] == f"signal {int(number)} not sent by apsis"


def test_every_byte_of_output_is_kept_in_order(host):
    script = "import os\nfor i in range(3000): os.write(1, b'o%d\\n' % i); os.write(2, b'e%d\\0' % i)"
    expected = b"".join(b"o%d\ne%d\0" % (i, i) for i in range(3000))
    state = host.ran("r1", sys.executable, "-c", script)
    assert host.output("r1") == expected
    assert state.done["outputs"] == {"output": len(expected)}


def test_split_streams_go_to_two_files(host):
    state = host.ran("r1", "sh", "-c", "printf out; printf error >&2", streams="split")
    assert (host.output("r1", "stdout"), host.output("r1", "stderr")) == (b"out", b"error")
    assert state.done["outputs"] == {"stdout": 3, "stderr": 5}


def test_the_claim_says_what_run_it_is_and_who_holds_it(host):
    host.start(
        "r1", "sleep", "30", args={"a": "ü"}, args_hash="abc", dispatch=12, schedule_time="2026-01-01T00:00:00.000000Z"
    )
    state = host.started("r1")
    claim = state.claim
    assert (claim["journal"], claim["run_id"], claim["dispatch"], claim["job_id"]) == (7, "r1", 12, "job")
    assert (claim["args"], claim["args_hash"], claim["schedule_time"]) == (
        {"a": "ü"},
        "abc",
        "2026-01-01T00:00:00.000000Z",
    )
    assert state.locked
    assert state.phase == "started"
    assert Path(f"/proc/{state.holder.pid}/comm").read_text() == "apsis-shim\n"
    assert Path(f"/proc/{state.pid}/comm").read_text() == "sleep\n"


def test_what_a_program_used_is_its_own(host):
    """A small program started for a big process shows little memory, and a big one all of it."""
    big = bytearray(200 * MIB)
    big[::4096] = b"x" * len(big[::4096])
    small = host.ran("r1", "/bin/true").result
    assert small["rusage"]["maxrss"] < 16 * MIB
    assert small["maxrss_floor"] <= small["rusage"]["maxrss"]
    burn = "import time\nx = b'x' * (64 << 20)\nwhile time.process_time() < 0.2: pass"
    state = host.ran("r2", sys.executable, "-c", burn)
    usage = state.result["rusage"]
    assert 64 * MIB < usage["maxrss"] < 150 * MIB
    assert 0.19 < usage["utime"] + usage["stime"] < 2
    assert state.result["elapsed"] >= 0.2
    assert state.result["start"] < state.result["end"]
    del big


def test_done_counts_what_daemons_used_as_well(host):
    """A child that daemonised itself is not waited for by the program; its use is in `done` alone."""
    burn = "import os, time\nwhile time.process_time() < 0.2: pass\nopen('over', 'w')"
    main = '("$0" -c "$1" &); while ! [ -e over ]; do sleep 0.05; done; sleep 0.1'
    state = host.ran("r1", "sh", "-c", main, sys.executable, burn, cwd=str(host.root))
    own, tree = state.result["rusage"], state.done["rusage"]
    assert own["utime"] + own["stime"] < 0.19
    assert tree["utime"] + tree["stime"] >= own["utime"] + own["stime"] + 0.19


#: 32 and 33 belong to glibc, whose posix_spawn lets them be ignored until a program's own glibc takes them
LIBRARY_SIGNALS = 1 << 31 | 1 << 32

SURROUNDINGS = """
cat /proc/$$/status | sed 's/^/status /'
echo "stat $(cat /proc/$$/stat)"
for n in 0 1 2 3 4 5 6 7 8 9 10 11 12; do
  if [ -e /proc/$$/fd/$n ]; then printf "fd $n "; readlink /proc/$$/fd/$n; fi
done
echo "umask $(umask)"
echo "cwd $(pwd)"
(: < /dev/tty) 2> /dev/null && echo "tty yes" || echo "tty no"
printf 'env '; tr '\\0' '\\1' < /proc/$$/environ
"""


def surroundings(host, run_id="r1", **facts):
    """Return what a shell finds around itself when it is started."""
    state = host.ran(run_id, "/bin/sh", "-c", SURROUNDINGS, **facts)
    assert state.result["code"] == 0, host.output(run_id)
    lines = [line.partition(" ")[::2] for line in host.output(run_id).decode().split("\n")]
    of = {
        kind: [rest for first, rest in lines if first == kind]
        for kind in ("status", "fd", "umask", "cwd", "tty", "stat")
    }
    status = dict(line.split(":\t", 1) for line in of["status"])
    stat = of["stat"][0].rsplit(") ", 1)[1].split()
    env = host.output(run_id).decode().partition("\nenv ")[2].rstrip("\n").rstrip("\1").split("\1")
    return {
        "session": int(stat[3]),
        "group": int(stat[2]),
        "fds": {int(line.split()[0]): line.split()[1] for line in of["fd"]},
        "umask": of["umask"][0],
        "cwd": of["cwd"][0],
        "tty": of["tty"][0],
        "env": dict(variable.split("=", 1) for variable in env),
        "blocked": int(status["SigBlk"], 16),
        "ignored": int(status["SigIgn"], 16) & ~LIBRARY_SIGNALS,
        "uid": status["Uid"].split(),
        "gid": status["Gid"].split(),
        "groups": status["Groups"].split(),
    }, state


def test_a_program_begins_with_a_clean_slate(host):
    found, state = surroundings(host, env={"A": "b=c\n"})
    assert found["session"] == found["group"] == state.pid
    output = f"{host.directory('r1')}/output"
    assert found["fds"] == {0: "/dev/null", 1: output, 2: output}
    assert (found["umask"], found["cwd"], found["tty"]) == ("0022", "/", "no")
    assert (found["blocked"], found["ignored"]) == (0, 0)
    tag = {"APSIS_RUN_ID": "r1", "APSIS_SPOOL": host.epoch, "APSIS_JOURNAL": "7"}
    assert found["env"] == {"PATH": os.environ["PATH"], "A": "b=c\n"} | tag


def test_a_pipe_whose_reader_ends_ends_its_writer(host):
    """A leaked, ignored SIGPIPE would let `yes` live and complain."""
    assert host.ran("r1", "sh", "-c", "yes | head -1").result["code"] == 0
    assert host.output("r1") == b"y\n"


def test_the_working_directory_and_the_umask_are_as_asked(host):
    found, _ = surroundings(host, cwd=str(host.root), umask=0o077)
    assert (found["cwd"], found["umask"]) == (str(host.root), "0077")


def test_a_program_is_found_by_the_path_of_its_own_environment(host):
    program = host.root / "mine"
    program.write_text("#!/bin/sh\necho mine\n")
    program.chmod(0o755)
    host.ran("r1", "mine", env={"PATH": f"/nonexistent:{host.root}:/bin"})
    assert host.output("r1") == b"mine\n"


def executable(path: Path, text: bytes, mode: int = 0o755) -> str:
    path.write_bytes(text)
    path.chmod(mode)
    return str(path)


def failures(root: Path):
    """Return what can be wrong with a program, and the words that tell it."""
    (root / "folder").mkdir(exist_ok=True)
    return {
        "missing": ([f"{root}/nope"], {}, "does not exist"),
        "not-in-path": (["apsis-nope"], {}, "was not found in PATH"),
        "folder": ([f"{root}/folder"], {}, "is a folder, not a program"),
        "not-executable": ([executable(root / "plain", b"#!/bin/sh\n", 0o644)], {}, "is not executable (mode 0644)"),
        "no-interpreter": (
            [executable(root / "script", b"#!/no/such/sh -e\n")],
            {},
            "needs the interpreter '/no/such/sh'",
        ),
        "windows": ([executable(root / "dos", b"#!/bin/sh\r\n")], {}, "Windows line ends"),
        "no-format": ([executable(root / "data", b"hello\n")], {}, "must begin with a line like #!/bin/sh"),
        "too-long": (["/bin/echo", "x" * 200_000], {}, "too long"),
        "nul": (["/bin/echo", "a\0b"], {}, "cannot be given to a program"),
        "empty": ([""], {}, "argv[0] is empty"),
        "no-argv": ([], {}, "argv is empty"),
        "cwd-missing": (["true"], {"cwd": "/no/such/folder"}, "working directory '/no/such/folder' does not exist"),
        "cwd-file": (["true"], {"cwd": "/etc/passwd"}, "is not a directory"),
        "user": (["true"], {"user": "apsis-nobody"}, "there is no user 'apsis-nobody'"),
        "group": (["true"], {"group": "apsis-nobody"}, "there is no group 'apsis-nobody'"),
        "not-a-folder": (["/etc/passwd/x"], {}, "a part of its path is not a folder"),
    }


def test_each_reason_why_a_program_cannot_start_is_told_apart(host):
    cases = failures(host.root)
    for run_id, (argv, facts, _) in cases.items():
        assert host.start(run_id, *argv, **facts) == "claimed"
    for run_id, (_, _, words) in cases.items():
        state = host.done(run_id)
        assert words in state.result["error"], run_id
        assert (state.result["code"], state.result["signal"], state.result["start"]) == (None, None, None)
        assert state.started is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
class TestAsSomebodyElse:
    """The path by fork and exec."""

    def test_the_program_runs_as_the_user_with_the_users_groups(self, host):
        found, state = surroundings(host, user="nobody", cwd=str(host.root))
        assert found["uid"] == found["gid"] == ["65534"] * 4
        assert found["groups"] == ["65534"]
        assert found["session"] == found["group"] == state.pid
        assert sorted(found["fds"]) == [0, 1, 2]
        assert (found["blocked"], found["ignored"]) == (0, 0)
        assert found["cwd"] == str(host.root)

    def test_a_group_alone_can_be_asked_for(self, host):
        found, _ = surroundings(host, group="nogroup")
        assert (found["uid"], found["gid"]) == (["0"] * 4, ["65534"] * 4)

    def test_each_step_that_fails_is_told_apart(self, host):
        closed = host.root / "closed"
        closed.mkdir(mode=0o700)
        script = executable(host.root / "mine", b"#!/bin/sh\n", 0o700)
        cases = {
            "cwd": (["true"], str(closed), "cannot be entered: Permission denied"),
            "exec": ([script], "/", "may not be executed by us: permission denied"),
            "missing": (["/no/such"], "/", "does not exist"),
            "script": ([executable(host.root / "s", b"#!/no/such/sh\n")], "/", "needs the interpreter"),
        }
        for run_id, (argv, cwd, _) in cases.items():
            host.start(run_id, *argv, user="nobody", cwd=cwd)
        for run_id, (_, _, words) in cases.items():
            assert words in host.done(run_id).result["error"]

    def test_it_can_be_stopped(self, host):
        host.start("r1", "sleep", "60", user="nobody")
        host.started("r1")
        host.stop("r1")
        assert host.done("r1").result["stopped"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may become anybody")
def test_an_ordinary_user_is_told_that_it_cannot_become_another(host):
    assert "cannot become user 'root'" in host.ran("r1", "true", user="root").result["error"]


def test_becoming_who_one_is_already_needs_no_root(host):
    import pwd

    me = pwd.getpwuid(os.geteuid()).pw_name
    assert host.ran("r1", "true", user=me).result["code"] == 0
