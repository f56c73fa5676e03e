"""The real scheduler on a real hub, with a supervisor and a web service that the test plays."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from scheduler_stage import Host, Stage, Web, until

from apsis.messages.body import decode
from apsis.messages.dispatch import HostHello
from apsis.messages.events import Heartbeat, Page, Replay
from apsis.messages.requests import ActOnRun, CreateAdHoc, CreateRun, Done, Failed
from apsis.runs.run import LogEntry, Run
from apsis.times import parse_time
from apsis_bus import topics
from apsis_bus.peer import BusRefused, Peer, Published

TRUE = "program: {type: program, argv: [/bin/true]}\n"


async def replayed(web: Web, since: int, prefix: str = "v1/ev/", limit: int = 500) -> Page:
    body, _ = await web.peer.request(
        "scheduler", Replay(since=since, prefix=prefix, limit=limit), verb="REPLAY", timeout=10
    )
    page: Page = decode(Page, body)
    return page


def test_a_run_is_committed_dispatched_reported_and_published(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web, host = await Web(stage.home).join(), await Host(stage.home).join()
        (run_id,) = await web.create("a")
        await until(lambda: stage.run(run_id).state == "success")
        await until(lambda: f"v1/ev/run/a/{run_id}/success/" in web.topics)
        ((log,),) = stage.query("SELECT history FROM v_run WHERE run_id = ?", run_id)
        assert [entry.event for entry in decode(list[LogEntry], log)][-1] == "success"
        assert len(stage.query("SELECT id FROM v_event WHERE run_id = ?", run_id)) <= 4
        await until(lambda: host.forgotten == [run_id])
        await until(lambda: stage.query("SELECT count(*) FROM command") == [(0,)])
        await host.leave()
        await web.leave()

    asyncio.run(play())
    assert stage.scheduler.end() == 0


def test_what_is_published_is_what_was_committed_and_its_ids_are_dense(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web, host = await Web(stage.home).join(), await Host(stage.home).join()
        await web.create("a", count=30)
        await until(lambda: stage.states() == {"success": 30})
        rows = stage.query("SELECT id, topic, body FROM v_event ORDER BY id")
        assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
        assert stage.query("SELECT value FROM v_meta WHERE key = 'head'") == [(str(len(rows)),)]
        page = await replayed(web, 0)
        assert page.head == page.last == len(rows)
        assert [event.id for event in page.events] == [row[0] for row in rows]
        await until(lambda: web.events and web.events[-1].id == len(rows))
        first = web.events[0].id
        assert [event.id for event in web.events] == list(range(first, len(rows) + 1))
        pages = [await replayed(web, since, limit=7) for since in (0, 7, 14)]
        assert [len(page.events) for page in pages] == [7, 7, 7]
        narrow = await replayed(web, 0, "v1/ev/run/a/r7/")
        assert {event.run_id for event in narrow.events} == {"r7"}  # type: ignore[union-attr]
        assert narrow.last == narrow.head
        await host.leave()
        await web.leave()

    asyncio.run(play())


def test_killed_between_its_turns_it_starts_nothing_twice_and_loses_nothing(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web, host = await Web(stage.home).join(), await Host(stage.home).join()
        made = 0
        for _ in range(6):
            try:
                made += len(await web.create("a", count=20))
            finally:
                stage.scheduler.end(signal.SIGKILL)
                await asyncio.to_thread(stage.scheduler.start)
        await until(lambda: stage.states() == {"success": made}, 30)
        assert made == 120
        assert max(Counter(host.starts).values()) == 1
        assert len(host.starts) == made
        terms = stage.query("SELECT value FROM v_meta WHERE key = 'term'")
        assert terms == [("7",)]
        await host.leave()
        await web.leave()

    asyncio.run(play())


def test_runs_go_on_while_it_is_away_and_their_ends_are_heard_afterwards(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web, host = await Web(stage.home).join(), await Host(stage.home, finish=False).join()
        (run_id,) = await web.create("a")
        await until(lambda: stage.run(run_id).state == "running")
        stage.scheduler.end(signal.SIGKILL)
        host.end(run_id)
        await asyncio.to_thread(stage.scheduler.start)
        await until(lambda: stage.run(run_id).state == "success")
        assert host.starts == [run_id]
        await host.leave()
        await web.leave()

    asyncio.run(play())


def test_a_command_is_sent_again_until_it_is_answered(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web, host = await Web(stage.home).join(), await Host(stage.home).join()
        host.silent = True
        (run_id,) = await web.create("a")
        assert stage.run(run_id).state == "starting"
        host.silent = False
        await until(lambda: stage.run(run_id).state == "success")
        assert host.starts == [run_id]
        await host.leave()
        await web.leave()

    asyncio.run(play())


def test_a_request_that_is_sent_again_after_a_crash_runs_once(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web = await Web(stage.home).join()
        first = await web.ask(CreateRun(job_id="a"), "the-key")
        stage.scheduler.end(signal.SIGKILL)
        await asyncio.to_thread(stage.scheduler.start)
        assert await web.ask(CreateRun(job_id="a"), "the-key") == first
        other = await web.ask(CreateRun(job_id="a", count=3), "the-key")
        assert isinstance(other, Failed)
        assert other.code == "conflict"
        assert stage.query("SELECT count(*) FROM v_run") == [(1,)]
        await web.leave()

    asyncio.run(play())


def test_a_scheduled_run_starts_on_time_and_never_early(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web, host = await Web(stage.home).join(), await Host(stage.home).join()
        due = datetime.now(UTC) + timedelta(seconds=1.5)
        ids = await web.create("a", count=20, at=due)
        assert stage.states() == {"scheduled": 20}
        await until(lambda: stage.states() == {"success": 20})
        for run_id in ids:
            run = stage.run(run_id)
            assert due <= host.started_at[run_id]
            assert parse_time(run.timestamps["starting"]) >= due
            assert run.schedule_time is not None
            assert "schedule_time" not in run.timestamps
        await host.leave()
        await web.leave()

    asyncio.run(play())


def test_future_runs_keep_their_ids_over_a_restart_and_a_changed_file_keeps_what_is_still_due(stage: Stage) -> None:
    stage.job("a", "program: {type: no-op}\nschedule: {type: interval, interval: 1h}\n")
    stage.job("b", "program: {type: no-op}\n")

    async def play() -> None:
        stage.start()
        web = await Web(stage.home).join()
        query = "SELECT run_id, schedule_time FROM v_run WHERE state = 'scheduled' ORDER BY num"
        before = stage.query(query)
        assert len(before) == 24
        stage.scheduler.end()
        stage.job("b", "program: {type: no-op, duration: 1}\n")
        stage.job("c", "program: {type: no-op}\n")
        await asyncio.to_thread(stage.scheduler.start)
        assert stage.query(query) == before
        assert {row[0] for row in stage.query("SELECT job_id FROM v_job")} == {"a", "b", "c"}
        ((doc,),) = stage.query("SELECT doc FROM v_job WHERE job_id = 'a'")
        assert decode(dict, doc)["next"] == stage.run(before[0][0]).schedule_time  # type: ignore[type-arg]
        await web.leave()

    asyncio.run(play())


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
        assert (done.result["added"], done.result["removed"]) == (["new"], ["folder/other"])
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


def test_an_ad_hoc_job_runs_and_is_remembered_with_its_run(stage: Stage) -> None:
    async def play() -> None:
        stage.start()
        web, host = await Web(stage.home).join(), await Host(stage.home).join()
        job = {"program": {"type": "shell", "command": "echo {{ x }}"}, "params": ["x"]}
        done = await web.ask(CreateAdHoc(job=job, args={"x": "1"}))
        assert isinstance(done, Done), done
        run_id = done.result["runs"][0]["run_id"]
        await until(lambda: stage.run(run_id).state == "success")
        assert stage.run(run_id).program["command"] == "echo 1"
        stage.scheduler.end(signal.SIGKILL)
        await asyncio.to_thread(stage.scheduler.start)
        again = await web.act(run_id, "rerun")
        assert isinstance(again, Done), again
        assert again.result["run"]["rerun_of"] == run_id
        bad = await web.ask(CreateAdHoc(job={"program": {"type": "nonsense"}}))
        assert isinstance(bad, Failed)
        assert bad.findings
        await host.leave()
        await web.leave()

    asyncio.run(play())


def test_the_heartbeat_names_the_head_and_comes_when_it_joins(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.hub.start()
        beats: list[Heartbeat] = []
        web = Web(stage.home)
        web.peer.subscribe(topics.HEARTBEAT, lambda heard: _keep(beats, heard))
        await web.join()
        await asyncio.to_thread(stage.scheduler.start)
        await until(lambda: beats and beats[-1].head == stage.query("SELECT max(id) FROM v_event")[0][0])
        assert beats[-1].problems == []
        assert str(beats[-1].journal) == stage.query("SELECT value FROM v_meta WHERE key = 'journal'")[0][0]
        await web.leave()

    asyncio.run(play())


def _keep(beats: list[Heartbeat], heard: Published) -> None:
    beats.append(decode(Heartbeat, heard.body))


def test_nobody_speaks_for_another_host_and_outsiders_ask_for_nothing(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web = await Web(stage.home).join()
        stranger = Peer(stage.home, "supervisor/elsewhere")
        await stranger.connect(10)
        stranger.send("scheduler", HostHello(host="local", epoch="x", boot="y", seq=0, floor=0, version="", cores=1))
        (run_id,) = await web.create("a")
        assert stage.run(run_id).state == "waiting"
        assert stage.query("SELECT count(*) FROM host") == [(0,)]
        await stranger.close()
        await web.leave()

    asyncio.run(play())


def test_while_the_database_is_locked_nothing_is_lost_and_health_says_so(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        beats: list[Heartbeat] = []
        web = Web(stage.home)
        web.peer.subscribe(topics.HEARTBEAT, lambda heard: _keep(beats, heard))
        await web.join()
        host = await Host(stage.home).join()
        (before,) = await web.create("a")
        await until(lambda: stage.run(before).state == "success")
        lock = sqlite3.connect(stage.home.database, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        asked = asyncio.create_task(web.ask(CreateRun(job_id="a"), "patient", timeout=30))
        await until(lambda: any("locked" in problem for beat in beats for problem in beat.problems), 20)
        refused = await web.ask(ActOnRun(run_id=before, action="rerun"))
        assert isinstance(refused, Failed)
        assert refused.code == "unavailable"
        lock.execute("ROLLBACK")
        lock.close()
        done = await asked
        assert isinstance(done, Done)
        run_id = done.result["runs"][0]["run_id"]
        await until(lambda: stage.run(run_id).state == "success", 20)
        await host.leave()
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


def test_a_run_too_large_for_the_bus_is_published_without_its_args_and_replayed_whole(stage: Stage) -> None:
    stage.job("a", f"params: [text]\n{TRUE}")

    async def play() -> None:
        stage.start()
        web = await Web(stage.home).join()
        (run_id,) = await web.create("a", text="x" * 30_000)
        await until(lambda: any(getattr(event, "run_id", "") == run_id for event in web.events))
        heard = next(event for event in web.events if getattr(event, "run_id", "") == run_id)
        assert heard.elided  # type: ignore[union-attr]
        page = await replayed(web, heard.id - 1)
        run: Run = page.events[0].run  # type: ignore[union-attr, assignment]
        assert len(run.args["text"]) == 30_000
        await web.leave()

    asyncio.run(play())


def test_below_the_floor_replay_says_so(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def play() -> None:
        stage.start()
        web = await Web(stage.home).join()
        await web.create("a", count=5)
        stage.scheduler.end()
        sql = sqlite3.connect(stage.home.database)
        sql.execute("DELETE FROM event WHERE id <= 3")
        sql.commit()
        sql.close()
        await asyncio.to_thread(stage.scheduler.start)
        with pytest.raises(BusRefused) as refused:
            await replayed(web, 1)
        assert refused.value.code == "floor"
        assert (await replayed(web, 3)).events[0].id == 4
        await web.leave()

    asyncio.run(play())


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
