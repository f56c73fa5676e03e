"""A spool that is taken away and made anew while a zygote of the old one lives: none of its starts is made there."""

import asyncio
import os
import shutil
import signal

import pytest

from apsis_services.supervisor.zygote.client import ZygoteError
from apsis_services.supervisor.zygote.processes import read_stat

FOLDERS = ("journals", "runs", "archive")


def empty(host) -> None:
    """Take the spool away, and make its folders anew, as a supervisor does before it draws the new epoch."""
    shutil.rmtree(host.spool)
    for folder in FOLDERS:
        (host.spool / folder).mkdir(parents=True)


def make_anew(host) -> None:
    """Take the spool away, and make another one, under another epoch."""
    empty(host)
    host.epoch = os.urandom(6).hex()
    (host.spool / "epoch").write_text(host.epoch + "\n")


def starts(host) -> list[str]:
    """Return who was started, as the programs wrote it down."""
    path = host.root / "ledger"
    return path.read_text().split() if path.exists() else []


def stopped(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and stat.state == "T"


@pytest.mark.parametrize("renew", [make_anew, empty], ids=["another spool", "its epoch not yet drawn"])
def test_a_start_that_two_zygotes_were_asked_for_is_not_claimed_again_in_another_spool(host, renew):
    """The first one asked was stopped, so its client asked the next: it obeyed, and its claim went with the spool."""
    first, second = host.connect(1), host.connect(2)
    request = host.request("r1", "sh", "-c", 'echo "$APSIS_RUN_ID" >> "$0"', str(host.root / "ledger"))

    async def ask_both() -> asyncio.Task[str]:
        await first.ensure()
        await second.ensure()
        os.kill(first.zygote_pid, signal.SIGSTOP)
        silent = asyncio.create_task(first.start(request))
        assert await second.start(request) == "claimed"
        return silent

    async def told(silent: asyncio.Task[str]) -> str:
        return await silent

    silent = host.go(ask_both())
    try:
        assert stopped(first.zygote_pid)
        host.done("r1")
        assert starts(host) == ["r1"]
        renew(host)
    finally:
        os.kill(first.zygote_pid, signal.SIGCONT)
    try:
        answer = host.go(told(silent))
        host.done("r1")  # in the new spool
    except ZygoteError as error:
        answer = error.reason
    assert starts(host) == ["r1"]
    assert "another spool" in answer
    assert list((host.spool / "journals").iterdir()) == []


def test_a_zygote_that_outlives_its_spool_serves_the_one_that_came_after(host):
    host.start("r1", "sh", "-c", "echo up; sleep 60")
    old = host.started("r1")
    host.printed("r1")
    zygote = host.zygote()
    make_anew(host)
    os.kill(old.claim["pid"], signal.SIGKILL)  # what it had lies in no spool any more
    os.kill(old.started["pid"], signal.SIGKILL)
    assert host.ran("r2", "sh", "-c", "exit 3").result["code"] == 3
    assert host.zygote() == zygote
    assert host.state("r1").phase == "none"
