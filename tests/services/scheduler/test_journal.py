"""The event journal as outsiders meet it: published, replayed, named by the heartbeat."""

import asyncio
import sqlite3

import pytest
from scheduler_stage import Host, Stage, Web, until

from apsis.messages.body import decode
from apsis.messages.events import Heartbeat, Page, Replay
from apsis.messages.requests import ActOnRun, CreateRun, Done, Failed
from apsis.runs.run import Run
from apsis_bus import topics
from apsis_bus.peer import BusRefused, Published

TRUE = "program: {type: program, argv: [/bin/true]}\n"


async def replayed(web: Web, since: int, prefix: str = "v1/ev/", limit: int = 500) -> Page:
    body, _ = await web.peer.request(
        "scheduler", Replay(since=since, prefix=prefix, limit=limit), verb="REPLAY", timeout=10
    )
    page: Page = decode(Page, body)
    return page


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
