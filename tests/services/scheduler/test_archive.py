"""Runs that ended long ago move into a file of their own: none is lost, whoever is killed."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from scheduler_stage import Host, Stage, Web, until

from apsis.messages.body import decode
from apsis.messages.events import SysEvent
from apsis.messages.requests import ActOnRun, ArchiveRuns, Done, Failed, FreePages
from apsis.runs.run import LogEntry, Run

NO_OP = "program: {type: no-op}\n"
LONG = "program: {type: no-op, duration: 1 h}\n"
TRUE = "program: {type: program, argv: [/bin/true]}\n"


def archived(path: Path, query: str = "SELECT run_id FROM v_run ORDER BY num") -> list[Any]:
    """Read an archive, as whoever keeps it does."""
    sql = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return [row[0] if len(row) == 1 else row for row in sql.execute(query)]
    finally:
        sql.close()


def ids(stage: Stage) -> list[str]:
    return [run_id for (run_id,) in stage.query("SELECT run_id FROM v_run ORDER BY num")]


def play(stage: Stage, scene: Callable[[Web], Coroutine[None, None, None]]) -> None:
    async def all_of_it() -> None:
        stage.start()
        web = await Web(stage.home).join()
        try:
            await scene(web)
        finally:
            await web.leave()

    asyncio.run(all_of_it())


async def ended(stage: Stage, web: Web, count: int) -> list[str]:
    made = await web.create("a", count=count)
    await until(lambda: stage.states().get("success", 0) >= count)
    return made


async def archive(web: Web, path: object, *, age: float = 0, count: int = 200) -> Done | Failed:
    return await web.ask(ArchiveRuns(path=str(path), age=age, count=count))


def test_old_runs_move_whole_and_everybody_is_told(stage: Stage) -> None:
    stage.job("a", NO_OP)
    stage.job("long", LONG)

    async def scene(web: Web) -> None:
        made = await ended(stage, web, 5)
        (lives,) = await web.create("long")
        before = {run_id: stage.run(run_id) for run_id in made}
        done = await archive(web, "db/old.db", count=3)
        assert isinstance(done, Done), done
        file = stage.home.root / "db/old.db"
        assert done.result == {"archived": 3, "more": True, "path": str(file)}
        assert ids(stage) == [*made[3:], lives]
        assert archived(file) == made[:3]
        docs = [decode(Run, doc) for doc in archived(file, "SELECT doc FROM v_run ORDER BY num")]
        assert docs == [before[run_id] for run_id in made[:3]]
        history = decode(list[LogEntry], archived(file, "SELECT history FROM v_run LIMIT 1")[0])
        assert [entry.event for entry in history] == ["running", "success"] or history[-1].event == "success"
        assert archived(file, "SELECT job_id FROM job_version") == ["a"]
        await until(lambda: any(isinstance(event, SysEvent) and event.kind == "archived" for event in web.events))
        (event,) = [each for each in web.events if isinstance(each, SysEvent) and each.kind == "archived"]
        assert event.detail == {"runs": made[:3], "path": str(file)}
        rest = await archive(web, "db/old.db")
        assert isinstance(rest, Done)
        assert (rest.result["archived"], rest.result["more"]) == (2, False)
        assert ids(stage) == [lives]
        again = await archive(web, "db/old.db")
        assert isinstance(again, Done)
        assert again.result["archived"] == 0
        # numbers are given once, whatever has left
        (new,) = await web.create("a")
        assert new not in made
        assert archived(file, "PRAGMA integrity_check") == ["ok"]

    play(stage, scene)


def test_only_what_ended_long_enough_ago_moves(stage: Stage) -> None:
    stage.job("a", NO_OP)

    async def scene(web: Web) -> None:
        made = await ended(stage, web, 3)
        done = await archive(web, stage.home.root / "old.db", age=3600)
        assert isinstance(done, Done)
        assert done.result["archived"] == 0
        assert ids(stage) == made
        assert not (stage.home.root / "old.db").exists()

    play(stage, scene)


def test_a_request_that_comes_again_is_answered_and_moves_nothing_more(stage: Stage) -> None:
    stage.job("a", NO_OP)

    async def scene(web: Web) -> None:
        made = await ended(stage, web, 4)
        deed = ArchiveRuns(path="old.db", age=0, count=2)
        first, second = await web.ask(deed, "same"), await web.ask(deed, "same")
        assert first == second
        assert ids(stage) == made[2:]

    play(stage, scene)


@pytest.mark.parametrize("point", ["scheduler.archive-copied", "scheduler.decided", "scheduler.committed"])
def test_killed_anywhere_no_run_is_lost(stage: Stage, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    points = stage.home.root / "points"
    points.mkdir()
    monkeypatch.setenv("APSIS_FAILPOINTS", str(points))
    stage.job("a", NO_OP)
    file = stage.home.root / "old.db"

    async def scene(web: Web) -> None:
        made = await ended(stage, web, 6)
        (points / point).write_text("kill")
        asking = asyncio.create_task(web.ask(ArchiveRuns(path="old.db", age=0, count=4), "the first", 60))
        assert stage.scheduler.process is not None
        await asyncio.to_thread(stage.scheduler.process.wait, 30)
        kept, copied = ids(stage), archived(file)
        assert sorted({*kept, *copied}, key=made.index) == made
        await asyncio.to_thread(stage.scheduler.start)
        asking.cancel()
        done = await archive(web, "old.db", count=200)
        assert isinstance(done, Done), done
        assert ids(stage) == []
        assert archived(file) == made

    play(stage, scene)


def test_a_run_that_is_marked_after_it_was_copied_stays_and_is_copied_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = stage.home.root / "points"
    (points / "reached").mkdir(parents=True)
    monkeypatch.setenv("APSIS_FAILPOINTS", str(points))
    stage.job("a", NO_OP)

    async def scene(web: Web) -> None:
        (run_id,) = await ended(stage, web, 1)
        (points / "scheduler.archive-copied").write_text("kill")
        asking = asyncio.create_task(web.ask(ArchiveRuns(path="old.db", age=0), "the first", 60))
        assert stage.scheduler.process is not None
        await asyncio.to_thread(stage.scheduler.process.wait, 30)
        asking.cancel()
        await asyncio.to_thread(stage.scheduler.start)
        marked = await web.ask(ActOnRun(run_id=run_id, action="mark", state="failure"))
        assert isinstance(marked, Done), marked
        done = await archive(web, "old.db")
        assert isinstance(done, Done)
        assert done.result["archived"] == 1
        assert archived(stage.home.root / "old.db", "SELECT state FROM v_run") == ["failure"]

    play(stage, scene)


def test_a_run_that_its_host_has_not_been_told_to_forget_stays(stage: Stage) -> None:
    stage.job("a", TRUE)

    async def scene(web: Web) -> None:
        host = await Host(stage.home).join()
        (run_id,) = await web.create("a")
        await until(lambda: stage.run(run_id).state == "success")
        moved = 0
        while not moved:
            done = await archive(web, "old.db")
            assert isinstance(done, Done)
            moved = done.result["archived"]
            assert not moved or host.forgotten == [run_id] or stage.query("SELECT count(*) FROM command") == [(0,)]
            await asyncio.sleep(0.05)
        await until(lambda: host.forgotten == [run_id])
        await host.leave()

    play(stage, scene)


def test_a_file_that_is_no_archive_is_left_as_it_is(stage: Stage) -> None:
    stage.job("a", NO_OP)
    root = stage.home.root
    (root / "link.db").symlink_to(root / "db/apsis.db")
    other = sqlite3.connect(root / "other.db")
    other.execute("CREATE TABLE precious (x)")
    other.close()
    stage.home.config.write_text("# " + "x" * 2000 + "\n{}\n")
    before = (root / "other.db").read_bytes(), (root / "apsis.yaml").read_bytes()

    async def scene(web: Web) -> None:
        made = await ended(stage, web, 1)
        for path, code, said in (
            ("db/apsis.db", "conflict", "is the database itself"),
            ("db/apsis.db-wal", "conflict", "is the database itself"),
            ("link.db", "conflict", "is the database itself"),
            ("nowhere/old.db", "bad_request", "there is no folder"),
            ("jobs", "conflict", "is no plain file"),
            ("apsis.yaml", "conflict", "is no archive of Apsis, and is left as it is"),
            ("other.db", "conflict", "is no archive of Apsis, and is left as it is"),
        ):
            failed = await archive(web, path)
            assert isinstance(failed, Failed), failed
            assert failed.code == code
            assert said in failed.message
            assert ids(stage) == made

    play(stage, scene)
    assert before == ((root / "other.db").read_bytes(), (root / "apsis.yaml").read_bytes())


def test_free_pages_are_given_back_while_the_scheduler_goes_on(stage: Stage) -> None:
    stage.job("a", NO_OP + "params: [x]\n")

    async def scene(web: Web) -> None:
        for number in range(20):
            await web.create("a", count=10, x=f"{number} " + "y" * 4000)
        await until(lambda: stage.states().get("success", 0) >= 200)
        done = await archive(web, "old.db")
        assert isinstance(done, Done)
        assert done.result["archived"] == 200
        (free,) = stage.query("PRAGMA freelist_count")[0]
        assert free > 100
        given = await web.ask(FreePages(pages=100))
        assert isinstance(given, Done), given
        assert given.result["freed"] == 100
        assert given.result["left"] >= free - 110
        rest = await web.ask(FreePages(pages=100_000))
        assert isinstance(rest, Done)
        assert rest.result["left"] == 0
        assert (await web.create("a", x="1"))[0] == "r201"

    play(stage, scene)
