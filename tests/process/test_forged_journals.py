"""What a journal names is never trusted by its pid alone: a recycled pid, another boot, somebody else's group."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from apsis.messages.dispatch import Signal, Stop
from apsis_services.supervisor import stopper as stopper_module
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.spool.spool import Spool
from apsis_services.supervisor.stopper import Stopper
from apsis_services.supervisor.watching.watch import Watch
from apsis_services.supervisor.zygote.identity import Identity, boot_id, read_stat, start_ticks
from apsis_services.supervisor.zygote.journal_file import take_claim
from apsis_services.supervisor.zygote.keeper import group_of
from apsis_services.supervisor.zygote.request import StartRequest

KEY = Key(7, "r1")


class Deaf:
    """Hears nothing of what the journals say."""

    def journal_seen(self, key, state):
        return

    def run_missing(self, key, reason):
        return

    def run_abandoned(self, key, state):
        return


@pytest.fixture
def innocent():
    """A process that no run of ours has ever had, with a child."""
    script = "import os, time; pid = os.fork(); print(pid, flush=True) if pid else None; time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    yield child.pid
    assert child.poll() is None, "it was ended"
    assert read_stat(grandchild).living
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()


def forge(spool, innocent: int, *, ticks: int, boot: str, shim: int | None = None) -> None:
    """Write a journal that nobody holds, and that names a process that is not the run's."""
    request = StartRequest(7, "r1", 1, "a", None, {}, "h", ["x"], {"APSIS_SPOOL": "e1"}, {"signal": 15, "grace": 0.1})
    claim = request.claim(Identity(shim or 2**22 - 1, ticks), boot, "t")
    started = {"e": "started", "pid": innocent, "ticks": ticks, "boot": boot, "at": "t", "mono": time.monotonic()}
    journal = take_claim(str(spool), 7, "r1", [claim, started])
    assert journal is not None
    journal.close()


@pytest.mark.parametrize("case", ["recycled pid", "another boot", "another boot, shim too", "recycled shim"])
def test_a_process_that_only_has_the_pid_of_a_run_is_never_signalled(tmp_path, innocent, monkeypatch, case):
    monkeypatch.setattr(stopper_module, "TAKE", 0.05)
    monkeypatch.setattr(stopper_module, "WRITE", 0.05)
    monkeypatch.setattr(stopper_module, "KILL_SECONDS", 0.5)
    spool = Spool(tmp_path / "spool")
    spool.make()
    true = start_ticks(innocent)
    assert true is not None
    past = "00000000-0000-0000-0000-000000000000"
    ticks, boot, shim = {
        "recycled pid": (true - 1, boot_id(), None),
        "another boot": (true, past, None),
        "another boot, shim too": (true, past, innocent),
        "recycled shim": (true - 1, boot_id(), innocent),
    }[case]
    forge(spool.root, innocent, ticks=ticks, boot=boot, shim=shim)

    async def play() -> None:
        watch = Watch(spool.root, boot_id(), "e1", Deaf())
        stopper = Stopper(spool.root, "e1", watch)
        watch.begin(lambda _key: None)
        try:
            stopper.send(KEY, Signal(dispatch=1, run_id="r1", signal=9, by="ann"))
            stopper.stop(KEY, Stop(dispatch=2, run_id="r1", signal=9, grace=0.0))
            stopper.finish(KEY, watch.look(KEY))
            await asyncio.gather(*stopper._tasks)
        finally:
            stopper.close()
            watch.close()

    asyncio.run(play())


def test_a_journal_cannot_have_the_group_of_another_killed():
    request = StartRequest(
        7, "r1", 1, "a", None, {}, "h", ["x"], {"APSIS_SPOOL": "e1"}, {"signal": 15, "grace": 0.1}, cgroup={}
    )
    claim = request.claim(Identity(1, 1), "b", "t")
    assert group_of(claim) is None
    claim["group"] = "/sys/fs/cgroup/apsis-e1-0000000000000007-r1"
    assert group_of(claim) == "/sys/fs/cgroup/apsis-e1-0000000000000007-r1"
    for path in (
        "/sys/fs/cgroup",
        "/sys/fs/cgroup/apsis-e1-0000000000000007-r2",
        "/sys/fs/cgroup/apsis-e2-0000000000000007-r1",
    ):
        claim["group"] = path
        assert group_of(claim) is None, path
