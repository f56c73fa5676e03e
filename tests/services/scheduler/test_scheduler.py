"""The real scheduler on a real hub, with a supervisor and a web service that the test plays."""

import asyncio
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta

from scheduler_stage import Host, Stage, Web, until

from apsis.messages.body import decode
from apsis.messages.dispatch import HostHello
from apsis.messages.requests import CreateAdHoc, CreateRun, Done, Failed
from apsis.runs.run import LogEntry
from apsis.times import parse_time
from apsis_bus.peer import Peer

TRUE = "program: {type: program, argv: [/bin/true]}\n"


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
        await until(lambda: stage.run(run_id).state == "starting")
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
