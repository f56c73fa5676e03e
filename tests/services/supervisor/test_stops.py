"""Ending runs: by the ladder in the shim, before they start, and where no shim takes the order."""

import os
import signal
import subprocess
import time

import pytest

from apsis.messages.dispatch import Revoke, Revoked, Signal, Started, Stop, StopPolicy, TimeoutPolicy
from apsis_services.supervisor.watching.pidfd_info import how_it_ended
from apsis_services.supervisor.zygote.journal import journal_path, read_journal, run_directory, run_key
from apsis_services.supervisor.zygote.orders import StopOrder, write_stop

JOURNAL = 0x1234


def kernel_tells() -> bool:
    """Whether this kernel says how a process ended that has been waited for."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    pidfd = os.pidfd_open(pid)
    os.waitpid(pid, 0)
    try:
        return how_it_ended(pidfd) == (0, None)
    finally:
        os.close(pidfd)


TELLS = kernel_tells()
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"

LISTENER = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [10])
print("up", flush=True)
while signal.sigwait([10]):
    print("got", flush=True)
"""


def running(s, run_id: str) -> bool:
    return any(isinstance(report, Started) for report in s.scheduler.of(run_id))


def shim(s, run_id: str) -> int:
    claim = read_journal(journal_path(s.home.spool, JOURNAL, run_id)).claim
    assert claim is not None
    return claim["pid"]


def test_a_stop_ends_a_program_and_says_who_asked(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/sleep", "60")
        await s.until(lambda: running(s, "r1"))
        s.scheduler.order(lambda d: Stop(dispatch=d, run_id="r1", by="ann"))
        (end,) = await s.ended("r1")
        assert (end.stopped, end.exit.signal, end.exit.killed_by) == (True, 15, "stop by ann")

    scene.run(body)


def test_a_stop_that_a_killed_supervisor_had_only_written_down_is_obeyed(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/sleep", "60")
        await s.until(lambda: running(s, "r1"))
        s.kill("supervisor")
        write_stop(run_directory(str(s.home.spool), JOURNAL, "r1"), StopOrder(15, 5.0, "ann"))
        s.begin("supervisor")
        (end,) = await s.ended("r1")
        assert (end.stopped, end.exit.signal, end.exit.killed_by) == (True, 15, "stop by ann")

    scene.run(body)


def test_a_stubborn_tree_is_killed_after_its_grace(scene):
    async def body(s) -> None:
        child = f'{os.sys.executable} -c "{STUBBORN}"'
        s.scheduler.start("r1", "/bin/sh", "-c", f"setsid {child} & exec {child}")
        await s.until(lambda: s.store.of("r1").count(b"up") == 2)
        s.scheduler.order(lambda d: Stop(dispatch=d, run_id="r1", grace=0.3))
        (end,) = await s.ended("r1")
        assert end.exit.signal == 9
        assert end.leftovers == 0
        assert s.living("r1") == []

    scene.run(body)


def test_a_run_is_stopped_though_the_order_cannot_be_written_down(scene):
    """As on a full disk: the file that the order is written into cannot be made."""

    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/sleep", "60")
        await s.until(lambda: running(s, "r1"))
        (s.home.spool / "runs" / run_key(JOURNAL, "r1") / "stop.new").mkdir()
        s.scheduler.order(lambda d: Stop(dispatch=d, run_id="r1", by="ann"))
        (end,) = await s.ended("r1")
        assert end.exit.signal == 15
        assert s.living("r1") == []

    scene.run(body)


def test_a_stop_that_overtakes_its_start_revokes_it(scene):
    async def body(s) -> None:
        stop = s.scheduler.order(lambda d: Stop(dispatch=d, run_id="r1"))
        await s.until(lambda: stop in s.scheduler.answers)
        assert s.scheduler.answers[stop].state == "revoked"
        start = s.scheduler.start("r1", "/bin/true")
        await s.until(lambda: start in s.scheduler.answers)
        assert s.scheduler.answers[start].state == "revoked"
        await s.until(lambda: s.scheduler.of("r1"))
        assert [type(report) for report in s.scheduler.of("r1")] == [Revoked]

    scene.run(body)


def test_a_revoke_takes_the_claim_of_what_has_not_started_alone(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/sleep", "60")
        await s.until(lambda: running(s, "r1"))
        late = s.scheduler.order(lambda d: Revoke(dispatch=d, run_id="r1"))
        early = s.scheduler.order(lambda d: Revoke(dispatch=d, run_id="r2"))
        await s.until(lambda: {late, early} <= s.scheduler.answers.keys())
        assert s.scheduler.answers[late].state == "started"
        assert s.scheduler.answers[early].state == "revoked"
        assert len(s.living("r1")) == 1

    scene.run(body)


def test_a_timeout_ends_a_run_and_is_said(scene):
    async def body(s) -> None:
        s.scheduler.start(
            "r1", "/bin/sleep", "60", timeout=TimeoutPolicy(duration=0.3), stop=StopPolicy(grace=1.0),
        )  # fmt: skip
        (end,) = await s.ended("r1")
        assert end.timed_out
        assert "timeout" in end.exit.killed_by

    scene.run(body)


def test_a_signal_reaches_the_program_once(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", os.sys.executable, "-c", LISTENER)
        await s.until(lambda: b"up" in s.store.of("r1"))
        dispatch = s.scheduler.order(lambda d: Signal(dispatch=d, run_id="r1", signal=10, by="ann"))
        await s.until(lambda: b"got" in s.store.of("r1"))
        for _ in range(5):
            s.scheduler.peer.send("supervisor/local", s.scheduler.commands([s.scheduler.orders[dispatch]]))
        s.scheduler.order(lambda d: Stop(dispatch=d, run_id="r1", signal=9, grace=0.0))
        await s.ended("r1")
        await s.until(lambda: "r1" in s.store.final)
        assert s.store.of("r1") == b"up\ngot\n"

    scene.run(body)


def test_a_shim_that_is_stopped_does_not_keep_its_run_alive(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", os.sys.executable, "-c", STUBBORN)
        await s.until(lambda: b"up" in s.store.of("r1"))
        os.kill(shim(s, "r1"), signal.SIGSTOP)
        s.scheduler.order(lambda d: Stop(dispatch=d, run_id="r1", grace=0.2))
        (end,) = await s.ended("r1")
        assert end.exit.signal == 9
        assert s.living("r1") == []

    scene.run(body)


def orphan(s, run_id: str) -> None:
    """Kill whoever could wait for a run."""
    for pid in (*s.zygotes(), shim(s, run_id)):
        os.kill(pid, signal.SIGKILL)


def test_a_run_whose_shim_and_zygote_are_dead_is_watched_stopped_and_its_status_is_the_kernels(scene):
    """Or unknown, if the kernel is older than 6.15 and init was quick; never invented."""

    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/sleep", "60")
        await s.until(lambda: running(s, "r1"))
        orphan(s, "r1")
        await s.until(lambda: "lives without its shim" in s.home.service_log("supervisor").read_text())
        assert len(s.living("r1")) == 1
        s.scheduler.order(lambda d: Stop(dispatch=d, run_id="r1", grace=1.0, by="ann"))
        await s.until(lambda: type(s.scheduler.of("r1")[-1]).__name__ in ("Lost", "Finished"))
        assert s.living("r1") == []
        last = s.scheduler.of("r1")[-1]
        if TELLS:
            assert (last.exit.signal, last.exit.killed_by, last.stopped) == (signal.SIGTERM, "stop by ann", True)
            assert last.rusage is None, "what it used is not known, and not invented"
        else:
            assert "exit status unknown" in last.reason

    scene.run(body)


@pytest.mark.skipif(not TELLS, reason="this kernel does not tell how a process ended that another has waited for")
def test_the_exit_status_of_an_orphan_is_told_by_the_kernel(scene):
    async def body(s) -> None:
        script = "while kill -0 $0 2> /dev/null; do sleep 0.02; done; (setsid sleep 60 &); exit 7"
        waiting = subprocess.Popen(["/bin/sleep", "60"])
        try:
            s.scheduler.start("r1", "/bin/sh", "-c", script, str(waiting.pid))
            await s.until(lambda: running(s, "r1"))
            orphan(s, "r1")
            await s.until(lambda: "lives without its shim" in s.home.service_log("supervisor").read_text())
        finally:
            waiting.kill()
            waiting.wait()
        (end,) = await s.ended("r1")
        assert (end.exit.code, end.exit.killed_by, end.stopped) == (7, "", False)
        assert s.living("r1") == [], "what it left behind is ended all the same"

    scene.run(body)


def test_what_an_orphan_left_behind_does_not_keep_its_run_when_nobody_saw_it_end(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/sh", "-c", "(setsid sleep 60 &); exec sleep 60")
        await s.until(lambda: running(s, "r1") and len(s.living("r1")) == 2)
        program = s.scheduler.of("r1")[0].pid
        s.kill("supervisor")
        orphan(s, "r1")
        os.kill(program, signal.SIGKILL)
        await s.until(lambda: not os.path.exists(f"/proc/{program}"))
        assert len(s.living("r1")) == 1
        s.begin("supervisor")
        (end,) = await s.ended("r1")
        assert (end.exit.code, end.exit.signal) == (None, None)
        assert "exit status unknown" in end.exit.error
        assert s.living("r1") == [], "it was to be ended with its program"

    scene.run(body)


@pytest.mark.parametrize("kill", [("supervisor",), ("hub",), ("supervisor", "hub")])
def test_a_stop_is_obeyed_while_services_die(scene, kill):
    async def body(s) -> None:
        s.scheduler.start("r1", os.sys.executable, "-c", STUBBORN)
        await s.until(lambda: b"up" in s.store.of("r1"))
        dispatch = s.scheduler.order(lambda d: Stop(dispatch=d, run_id="r1", grace=1.0))
        await s.until(lambda: dispatch in s.scheduler.answers)
        began = time.monotonic()
        for name in kill:
            s.kill(name)
            s.begin(name)
        (end,) = await s.ended("r1")
        assert end.stopped
        assert time.monotonic() - began < 15

    scene.run(body)
