"""What the scheduler refuses, survives and leaves alone: databases, directories, second selves."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from scheduler_stage import Host, Stage, Web, until

from apsis.messages.body import decode
from apsis.messages.dispatch import HostHello, ToSupervisor
from apsis.messages.events import Heartbeat
from apsis.messages.requests import CreateRun, Done, Failed
from apsis_bus import topics
from apsis_bus.peer import Peer

TRUE = "program: {type: program, argv: [/bin/true]}\n"


def test_a_reload_takes_what_is_good_keeps_what_was_and_says_what_is_wrong(stage: Stage) -> None:
    stage.job("good", TRUE)
    stage.job("folder/other", TRUE)

    async def play() -> None:
        stage.start()
        web = await Web(stage.home).join()
        stage.job("good", "program: {type: [\n")
        stage.job("new", TRUE)
        (stage.home.jobs / "folder" / "other.yaml").unlink()
        rehearsed = await web.reload(dry_run=True)
        assert isinstance(rehearsed, Done)
        assert rehearsed.result["added"] == ["new"]
        assert {row[0] for row in stage.query("SELECT job_id FROM v_job")} == {"good", "folder/other"}
        done = await web.reload()
        assert isinstance(done, Done)
        # where the machine is slow, the watcher has seen the files before we asked
        assert (done.result["added"], done.result["removed"]) in ((["new"], ["folder/other"]), ([], []))
        ((errors,),) = stage.query("SELECT value FROM v_meta WHERE key = 'job_errors'")
        assert '"file":"good.yaml"' in errors
        assert {row[0] for row in stage.query("SELECT job_id FROM v_job")} == {"good", "new"}
        assert isinstance(await web.ask(CreateRun(job_id="good")), Done), "the last good version stays"
        await web.leave()

    asyncio.run(play())


def test_a_directory_that_is_gone_takes_no_job_with_it(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web = await Web(stage.home).join()
        stage.home.jobs.rename(stage.home.root / "elsewhere")
        failed = await web.reload()
        assert isinstance(failed, Failed)
        assert failed.code == "conflict"
        assert stage.query("SELECT job_id FROM v_job") == [("a",)]
        await web.leave()

    asyncio.run(play())


def test_a_second_scheduler_refuses(stage: Stage) -> None:
    stage.start()
    command = [sys.executable, "-m", "apsis_services.scheduler", "--home", str(stage.home.root)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 75
    assert "already running" in second.stderr
    assert "Traceback" not in second.stderr
    assert stage.scheduler.end() == 0


@pytest.mark.parametrize("spoil", ["newer", "foreign", "garbage"])
def test_a_database_that_cannot_be_used_is_refused_with_one_clear_line(stage: Stage, spoil: str) -> None:
    path: Path = stage.home.database
    path.parent.mkdir()
    if spoil == "garbage":
        path.write_bytes(b"this is no database at all, but long enough to look at" * 100)
    else:
        sql = sqlite3.connect(path)
        sql.execute("CREATE TABLE theirs (x)")
        if spoil == "newer":
            sql.execute(f"PRAGMA application_id = {0x41505349}")
            sql.execute("PRAGMA user_version = 99")
        sql.close()
    before = path.read_bytes()
    command = [sys.executable, "-m", "apsis_services.scheduler", "--home", str(stage.home.root)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert refused.returncode == 3
    assert "Traceback" not in refused.stderr
    assert len(refused.stderr.strip().splitlines()) <= 2
    assert {"newer": "schema 99", "foreign": "not a database of Apsis", "garbage": "not a database"}[
        spoil
    ] in refused.stderr
    assert path.read_bytes()[100:] == before[100:], "it is left as it was"


def test_it_never_loads_yaml_of_jobs_or_the_web(stage: Stage) -> None:
    """What weighs stays out of the process that lives for ever: the loader reads the job files."""
    code = "import apsis_services.scheduler.service, sys; print(*sorted(m.split('.')[0] for m in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"yaml", "jinja2", "rich", "click", "tornado", "psutil", "holidays"} & set(found)


def test_it_ends_within_five_seconds_of_being_asked(stage: Stage) -> None:
    stage.start()
    began = datetime.now(UTC)
    assert stage.scheduler.end(signal.SIGTERM) == 0
    assert datetime.now(UTC) - began < timedelta(seconds=5)


def test_a_host_that_has_not_greeted_this_life_gets_no_ack_and_so_goes_on_greeting(stage: Stage) -> None:
    """An ack answers a HELLO: one that came before it would end the greeting, and the host stayed unknown for ever."""
    acks: list[int] = []

    async def play() -> None:
        stage.start()
        host = await Host(stage.home).join()
        await until(lambda: any("host" in row[0] for row in stage.query("SELECT topic FROM v_event")))
        await host.leave()
        stage.scheduler.end()

        peer = Peer(stage.home, "supervisor/local")
        peer.handle(lambda delivery: acks.append(decode(ToSupervisor, delivery.body).term))
        heard: list[int] = []
        peer.subscribe(topics.HEARTBEAT, lambda published: heard.append(decode(Heartbeat, published.body).term))
        await peer.connect(10)
        stage.scheduler.start()
        await until(lambda: len(heard) >= 2)  # the second beat is five seconds after the first
        assert acks == []
        peer.send(
            "scheduler",
            HostHello(host="local", epoch="e1", boot="b1", seq=0, acked=0, floor=0, version="test", cores=8),
        )
        await until(lambda: acks)
        await peer.close()

    asyncio.run(play())
