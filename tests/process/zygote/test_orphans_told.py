"""A program whose shim was killed before it could write `started`: its status is told, or is unknown, never wrong."""

import os
import signal
from pathlib import Path

import pytest

from apsis import failpoints
from apsis_services.supervisor.zygote import launch
from apsis_services.supervisor.zygote.processes import all_stats, has_executed, is_tagged


@pytest.fixture
def points(host, monkeypatch) -> Path:
    """The folder of the zygote's failpoints."""
    folder = host.root / "points"
    (folder / "reached").mkdir(parents=True)
    monkeypatch.setitem(launch._ENVIRONMENT, failpoints.VARIABLE, str(folder))
    return folder


def stopped_shim(host, points: Path, run_id: str, *argv: str, point: str = "shim.spawned") -> int:
    """Start a program, and have its shim stop at a point, by default when it has spawned; return the shim's pid."""
    before = set(os.listdir(points / "reached"))
    (points / "aside").write_text("stop")
    (points / "aside").rename(points / point)
    assert host.start(run_id, *argv) == "claimed"
    reached = host.wait(lambda: set(os.listdir(points / "reached")) - before, f"{point} is reached")
    return int(reached.pop().rpartition(".")[2])


def ended_program(host, shim: int) -> None:
    """Wait until the program of a stopped shim is a zombie."""
    host.wait(lambda: [s for s in all_stats() if s.ppid == shim and s.state == "Z"], "the program has ended")


def test_the_status_is_known_though_the_program_ended_before_anybody_looked(host, points):
    for number in range(3):  # again: what was adopted once does not stand in the way
        shim = stopped_shim(host, points, f"r{number}", "sh", "-c", "exit 9")
        ended_program(host, shim)
        os.kill(shim, signal.SIGKILL)
        state = host.done(f"r{number}")
        assert state.adopted
        assert (state.result["code"], state.result["error"]) == (9, "")
        assert state.result["rusage"]["maxrss"] > 0
        zygote = host.zygote()
        host.wait(lambda: not [s for s in all_stats() if s.ppid == zygote], "nobody is left")  # noqa: B023
        # a run that ends well lets the zygote look around
        host.wait(lambda n=number: clean(host, n), "the zygote has looked around")


def clean(host, number: int) -> bool:
    """Run something, so that the zygote has a reason to look around; true when it had time to."""
    count = getattr(host, "looked", 0)
    host.looked = count + 1
    host.ran(f"look{number}-{count}", "sleep", "0.1")
    return (count + 1) % 3 == 0


def test_of_two_that_are_killed_at_once_none_gets_the_others_status(host, points):
    idle = stopped_shim(host, points, "r1", "sh", "-c", "exit 1", point="shim.answered")
    shim = stopped_shim(host, points, "r2", "sh", "-c", "exit 2")
    ended_program(host, shim)
    zygote = host.zygote()
    os.kill(zygote, signal.SIGSTOP)
    for pid in (idle, shim):
        os.kill(pid, signal.SIGKILL)
    dead = {idle, shim}
    host.wait(lambda: dead <= {stat.pid for stat in all_stats() if stat.state == "Z"}, "both are dead")
    os.kill(zygote, signal.SIGCONT)
    never, ended = host.done("r1").result, host.done("r2").result
    assert never["code"] is None
    assert "exit status unknown" in never["error"] or "before it had started" in never["error"]
    assert ended["code"] == 2 or "exit status unknown" in ended["error"]


def test_one_that_a_job_left_alone_is_not_taken_for_a_program(host, points):
    """The daemon ends while the shim of another run is dead: it leads a session too, and is no older."""
    os.mkfifo(host.root / "fifo")
    daemon = f"setsid sh -c 'echo up > {host.root}/up; read line < {host.root}/fifo; exit 5' & sleep 0.2"
    host.ran("d", "sh", "-c", daemon, leftovers="leave")
    shim = stopped_shim(host, points, "r1", "sh", "-c", "exit 9")
    ended_program(host, shim)
    zygote = host.zygote()
    os.kill(zygote, signal.SIGSTOP)
    (host.root / "fifo").write_text("go\n")
    host.wait(lambda: [s for s in all_stats() if s.ppid == zygote and s.state == "Z"], "the daemon has ended")
    os.kill(shim, signal.SIGKILL)
    host.wait(lambda: [s for s in all_stats() if s.pid == shim and s.state == "Z"], "the shim is dead")
    os.kill(zygote, signal.SIGCONT)
    result = host.done("r1").result
    assert (result["code"], "exit status unknown" in result["error"]) == (None, True)


@pytest.mark.parametrize(
    ("point", "error", "code"),
    [
        ("shim.claimed", "before it had started the program", None),
        ("shim.answered", "before it had started the program", None),
        ("shim.spawned", "", 9),
        ("shim.recorded", "", 9),
        ("shim.ended", "", 9),
        ("shim.resulted", "", 9),
        ("shim.reaped", "", 9),
        ("shim.done", "", 9),
    ],
)
def test_a_shim_killed_at_any_named_point_leaves_a_true_result(host, points, point, error, code):
    (points / point).write_text("kill")
    host.start("r1", "sh", "-c", "exit 9")
    result = host.done("r1").result
    assert result["code"] == code
    assert error in result["error"]
    assert not (points / point).exists(), "the point was never reached"


def test_a_process_that_was_only_forked_is_no_program():
    forked = os.fork()
    if forked == 0:
        os._exit(0)
    spawned = os.posix_spawn("/bin/true", ["true"], {"A": "b"})
    for pid in (forked, spawned):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert not has_executed(forked)
        assert has_executed(spawned)
        # it is not said to be another's: between its end and its being a zombie that would lose a status
        assert is_tagged(spawned, frozenset([b"A=b"])) is None
    finally:
        for pid in (forked, spawned):
            os.waitpid(pid, 0)
    assert not has_executed(2**22 + 1)
