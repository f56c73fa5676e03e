"""Journals on disk become facts: all of them at the start, each change afterwards, and what nobody holds."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.spool.spool import Spool
from apsis_services.supervisor.watching import orphan_watch
from apsis_services.supervisor.watching.watch import Watch
from apsis_services.supervisor.zygote.identity import Identity, boot_id, start_ticks
from apsis_services.supervisor.zygote.journal import JournalState
from apsis_services.supervisor.zygote.journal_file import JournalFile, revoke, take_claim
from apsis_services.supervisor.zygote.request import StartRequest, unstarted


class Ear:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.missing: list[tuple[str, str]] = []
        self.abandoned: list[str] = []

    def journal_seen(self, key: Key, state: JournalState) -> None:
        self.seen.append((key.run_id, state.phase))

    def run_missing(self, key: Key, reason: str) -> None:
        self.missing.append((key.run_id, reason))

    def run_abandoned(self, key: Key, state: JournalState) -> None:
        self.abandoned.append(key.run_id)


def claim(spool: Path, run_id: str, *, boot: str | None = None, started: bool = False) -> JournalFile:
    request = StartRequest(7, run_id, 1, "a", None, {}, "h", ["x"], {"APSIS_SPOOL": "e1"}, {"signal": 15, "grace": 1.0})
    ticks = start_ticks(os.getpid())
    assert ticks is not None
    records = [request.claim(Identity(os.getpid(), ticks), boot or boot_id(), "t")]
    if started:
        records.append({"e": "started", "pid": 2**22 - 1, "ticks": 1, "boot": "b", "at": "t", "mono": 1.0})
    taken = take_claim(str(spool), 7, run_id, records)
    assert taken is not None
    return taken


def follow(spool: Path, play: Callable[[Watch, Ear], object]) -> Ear:
    """Watch a spool while a coroutine plays."""
    ear = Ear()

    async def whole() -> None:
        watch = Watch(spool, boot_id(), "e1", ear)
        watch.begin(lambda key: ear.seen.append((key.run_id, "output")))
        try:
            await asyncio.wait_for(play(watch, ear), 20)  # type: ignore[arg-type]
        finally:
            watch.close()

    asyncio.run(whole())
    return ear


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


@pytest.fixture
def spool(tmp_path) -> Path:
    Spool(tmp_path / "spool").make()
    return tmp_path / "spool"


def test_every_journal_is_read_at_the_start(spool):
    for run in range(500):
        revoke(spool, 7, f"r{run}", dispatch=1, by="x", at="t")

    async def play(watch: Watch, ear: Ear) -> None:
        assert len(ear.seen) == 500
        assert watch.live == 0

    follow(spool, play)


def test_each_line_is_told_once_as_it_is_written(spool):
    async def play(watch: Watch, ear: Ear) -> None:
        journal = claim(spool, "r1")
        await until(lambda: ear.seen == [("r1", "claim")])
        watch.look(Key(7, "r1"), probe=True)
        journal.append({"e": "started", "pid": 1, "ticks": 1, "boot": "b", "at": "t", "mono": 1.0})
        await until(lambda: len(ear.seen) == 2)
        journal.append(*unstarted("no", "t"))
        journal.close()
        await until(lambda: len(ear.seen) == 3)

    assert follow(spool, play).seen == [("r1", "claim"), ("r1", "started"), ("r1", "done")]


def test_a_run_of_another_boot_is_lost_at_once(spool):
    claim(spool, "r1", boot="before", started=True).close()

    async def play(_: Watch, ear: Ear) -> None:
        assert ear.missing == [("r1", "lost in reboot")]

    follow(spool, play)


@pytest.mark.parametrize(("started", "reason"), [(False, "unknown whether it started"), (True, "exit status unknown")])
def test_a_run_that_nobody_holds_and_nothing_is_left_of_is_lost(spool, monkeypatch, started, reason):
    monkeypatch.setattr(orphan_watch, "ADOPTION", 0.1)
    monkeypatch.setattr("apsis_services.supervisor.watching.verdicts.ADOPTION", 0.1)

    async def play(_: Watch, ear: Ear) -> None:
        journal = claim(spool, "r1", started=started)
        await until(lambda: ear.seen)
        journal.close()
        await until(lambda: ear.missing)

    assert reason in follow(spool, play).missing[0][1]


def test_a_result_that_nobody_finishes_is_handed_over_once(spool, monkeypatch):
    monkeypatch.setattr("apsis_services.supervisor.watching.verdicts.ADOPTION", 0.0)

    async def play(watch: Watch, ear: Ear) -> None:
        journal = claim(spool, "r1", started=True)
        journal.append(unstarted("", "t")[0])
        journal.close()
        await until(lambda: ear.abandoned)
        watch.look(Key(7, "r1"), probe=True)

    assert follow(spool, play).abandoned == ["r1"]


def test_a_claim_that_a_killed_shim_left_half_made_is_taken_away(spool):
    stale = spool / "journals" / "0000000000000007-r1.j.12.tmp"
    fresh = spool / "journals" / "0000000000000007-r2.j.13.tmp"
    for path in (stale, fresh):
        path.write_bytes(b"")
    os.utime(stale, (1, 1))

    async def play(_: Watch, ear: Ear) -> None:
        assert not stale.exists()
        assert fresh.exists()
        assert ear.seen == []

    follow(spool, play)


def test_output_that_grows_is_told_until_it_is_watched_no_longer(spool):
    folder = spool / "runs" / "0000000000000007-r1"

    async def play(watch: Watch, ear: Ear) -> None:
        key = Key(7, "r1")
        assert not watch.watch_output(key, str(folder))
        folder.mkdir()
        assert watch.watch_output(key, str(folder))
        (folder / "output").write_text("x")
        await until(lambda: ear.seen == [("r1", "output")])
        watch.unwatch_output(key)
        (folder / "output").write_text("y")
        claim(spool, "r2").close()
        await until(lambda: ("r2", "claim") in ear.seen)
        assert ear.seen.count(("r1", "output")) == 1

    follow(spool, play)


def test_output_is_polled_where_the_kernel_has_no_watch_left(spool, monkeypatch):
    async def play(watch: Watch, ear: Ear) -> None:
        def no_watch(folder: str, mask: int) -> int:
            raise OSError(errno.ENOSPC, "no space left on device")

        monkeypatch.setattr(watch._inotify, "add", no_watch)
        assert watch.watch_output(Key(7, "r1"), str(spool))
        await until(lambda: ear.seen.count(("r1", "output")) == 2)

    follow(spool, play)


def test_a_program_that_does_not_end_though_it_is_killed_is_told(spool):
    async def play(watch: Watch, ear: Ear) -> None:
        journal = claim(spool, "r1", started=True)
        await until(lambda: ("r1", "started") in ear.seen)
        journal.append({"e": "stuck", "pid": 2**22 - 1, "state": "D", "at": "t"})
        await until(lambda: ear.seen.count(("r1", "started")) == 2)
        stuck = watch.runs[Key(7, "r1")].state.stuck
        assert stuck is not None
        assert stuck["state"] == "D"
        journal.close()

    follow(spool, play)
