"""A database that is locked, disks without room: starting pauses, the reason has a name and a remedy, it recovers."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from scheduler_stage import Host, Stage, Web, until

from apsis.messages.body import decode
from apsis.messages.dispatch import HostRoom
from apsis.messages.events import Heartbeat
from apsis.messages.requests import CreateRun, Done
from apsis_bus import topics
from apsis_bus.peer import BusTimeout, Published
from apsis_services.scheduler import checkpoint
from apsis_services.scheduler.checkpoint import Checkpointer
from apsis_services.scheduler.examination import examine
from apsis_services.scheduler.holders import locks_on, named, readers, writers
from apsis_services.scheduler.tables import Tables

TRUE = "program: {type: program, argv: [/bin/true]}\n"
#: no disk of this world has so much room
NO_ROOM = "disk: {min_free_percent: 100, min_free_bytes: 4000000000000000000}\n"
#: someone with a shell of SQLite who says BEGIN and goes to lunch
HOLD = """
import sqlite3, sys
sql = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    sql.execute(statement).fetchall()
print("held", flush=True)
sys.stdin.read()
"""


class Holder:
    """Another process in a transaction."""

    def __init__(self, path: Path, *statements: str) -> None:
        command = [sys.executable, "-c", HOLD, str(path), *statements]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"held\n"

    def __enter__(self) -> "Holder":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


class Beats:
    """What the scheduler's heartbeats say."""

    def __init__(self, web: Web) -> None:
        self.last: Heartbeat | None = None
        web.peer.subscribe(topics.HEARTBEAT, self._hear)

    def _hear(self, published: Published) -> None:
        self.last = decode(Heartbeat, published.body)

    def says(self, *parts: str) -> bool:
        return self.last is not None and any(all(part in one for part in parts) for one in self.last.problems)

    def fine(self) -> bool:
        return self.last is not None and not self.last.problems


def test_who_holds_the_database_is_named_and_recovery_needs_nobody(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web = Web(stage.home)
        beats = Beats(web)
        await web.join()
        host = await Host(stage.home).join()
        with Holder(stage.home.database, "BEGIN EXCLUSIVE") as holder:
            asked = asyncio.create_task(web.ask(CreateRun(job_id="a"), "patient", timeout=30))
            await until(lambda: beats.says("locked", f"process {holder.process.pid} (", "end that transaction"))
            assert host.starts == []
        done = await asked
        await until(beats.fine)
        if not isinstance(done, Done):
            # it was told after some seconds that it is kept, and is done now
            done = await web.ask(CreateRun(job_id="a"), "patient")
        assert isinstance(done, Done)
        await until(lambda: stage.states() == {"success": 1})
        assert host.starts == ["r1"]
        await host.leave()
        await web.leave()

    asyncio.run(play())
    assert examine(stage.home.database).wrong == []


def test_a_start_on_a_locked_database_names_the_holder_and_changes_nothing(stage: Stage) -> None:
    stage.start()
    stage.scheduler.end()
    before = examine(stage.home.database)
    command = [sys.executable, "-m", "apsis_services.scheduler", "--home", str(stage.home.root)]
    with Holder(stage.home.database, "BEGIN EXCLUSIVE") as holder:
        refused = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert refused.returncode == 3
        assert "locked" in refused.stderr
        assert f"process {holder.process.pid}" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert examine(stage.home.database) == before
    stage.scheduler.start()


def test_a_reader_that_stays_holds_up_no_commit_and_is_named_when_the_log_has_grown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "PERIOD", 0.02)
    monkeypatch.setattr(checkpoint, "CUT", 1 << 20)
    monkeypatch.setattr(checkpoint, "HELD", 2 << 20)
    path = tmp_path / "db" / "apsis.db"
    tables = Tables(path)
    checkpointer = Checkpointer(path)
    checkpointer.start()
    wal = Path(f"{path}-wal")
    waited = []

    def write() -> None:
        began = time.monotonic()
        tables._sql.execute("REPLACE INTO meta VALUES ('x', ?)", ("x" * 200_000,))
        waited.append(time.monotonic() - began)

    def until_now(condition: Any) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline
            write()
            time.sleep(0.01)

    try:
        with Holder(path, "BEGIN", "SELECT count(*) FROM meta") as holder:
            until_now(lambda: wal.stat().st_size > 3 << 20 and checkpointer.warnings())
            (warning,) = checkpointer.warnings()
            assert f"process {holder.process.pid} (" in warning
            assert "end that transaction" in warning
            # a TRUNCATE would have had each commit wait 200 ms for this reader
            assert sorted(waited)[len(waited) // 2] < 0.15
        until_now(lambda: wal.stat().st_size < 1 << 20 and not checkpointer.warnings())
    finally:
        checkpointer.stop()
        tables.close()


def test_holders_are_told_apart_by_what_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "db" / "apsis.db"
    tables = Tables(path)
    try:
        assert writers(path) == readers(path) == []
        with Holder(path, "BEGIN IMMEDIATE") as holder:
            assert writers(path) == [holder.process.pid]
            assert named(writers(path)).startswith(f"process {holder.process.pid} (")
        with Holder(path, "BEGIN", "SELECT count(*) FROM meta") as holder:
            assert (writers(path), readers(path)) == ([], [holder.process.pid])
        assert writers(tmp_path / "none.db") == []
    finally:
        tables.close()


def test_the_table_of_locks_is_read_as_the_kernel_writes_it() -> None:
    table = (
        "1: POSIX  ADVISORY  WRITE 4711 fd:01:1838 120 120\n"
        "1: -> POSIX  ADVISORY  WRITE 4712 fd:01:1838 120 120\n"
        "2: FLOCK  ADVISORY  WRITE 4713 fd:01:1838 0 EOF\n"
        "3: POSIX  ADVISORY  READ 4714 fd:01:1838 128 128\n"
        "4: POSIX  ADVISORY  READ 4715 fd:01:1839 120 120\n"
        "5: POSIX  ADVISORY  WRITE 4716 fd:01:1838 0 EOF\n"
    )
    assert locks_on(table, 0xFD01, 1838, range(120, 121)) == [4711, 4716]


def test_without_room_for_the_database_runs_wait_with_the_reason_and_go_on_with_room(stage: Stage) -> None:
    stage.job("a", TRUE)
    stage.home.config.write_text(NO_ROOM)

    async def play() -> None:
        stage.start()
        web = Web(stage.home)
        beats = Beats(web)
        await web.join()
        host = await Host(stage.home).join()
        (run_id,) = await web.create("a")
        await until(lambda: stage.run(run_id).state == "waiting")
        assert f"make room in {stage.home.database.parent}" in stage.run(run_id).reason
        await until(lambda: beats.says("nothing is started", "make room in"))
        assert host.starts == []
        stage.scheduler.end(signal.SIGKILL)
        stage.home.config.write_text("{}\n")
        await asyncio.to_thread(stage.scheduler.start)
        await until(lambda: stage.run(run_id).state == "success")
        await until(beats.fine)
        assert host.starts == [run_id]
        await host.leave()
        await web.leave()

    asyncio.run(play())


def test_a_host_without_room_has_its_runs_wait_and_only_it_may_say_so(stage: Stage) -> None:
    stage.job("a", TRUE)
    lack = "less than 2.0 GiB is free on the disk of the spool of host local; make room in /spool"

    async def play() -> None:
        stage.start()
        web = Web(stage.home)
        beats = Beats(web)
        await web.join()
        host = await Host(stage.home).join()
        with pytest.raises(BusTimeout):
            await web.peer.request("scheduler", HostRoom(host="local", lack="a lie"), timeout=0.5)
        body, _ = await host.peer.request("scheduler", HostRoom(host="local", lack=lack), timeout=10)
        assert decode(HostRoom, body).lack == lack
        (run_id,) = await web.create("a")
        await until(lambda: stage.run(run_id).state == "waiting")
        assert lack in stage.run(run_id).reason
        await until(lambda: beats.says("nothing is started on host local", lack))
        await host.peer.request("scheduler", HostRoom(host="local"), timeout=10)
        await until(lambda: stage.run(run_id).state == "success")
        await until(beats.fine)
        kinds = [topic for (topic,) in stage.query("SELECT topic FROM v_event") if topic.startswith("v1/ev/sys/room")]
        assert len(kinds) == 2
        await host.leave()
        await web.leave()

    asyncio.run(play())
