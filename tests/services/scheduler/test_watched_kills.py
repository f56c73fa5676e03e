"""Loader and scheduler are killed at each step of a reload: nothing is lost by it, and nothing comes twice."""

import asyncio
import os
from pathlib import Path

import pytest
from scheduler_stage import Stage, Web
from watched_stage import NO_OP, Watched, daily, wait

from apsis.failpoints import VARIABLE
from apsis_bus.peer import BusRefused, BusTimeout

LOADER = ["loader.began", "loader.read", "loader.told", "loader.remembered"]
SCHEDULER = ["scheduler.jobs-read", "scheduler.decided", "scheduler.committed"]


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which points are armed; what was reached lies in `reached`."""
    (tmp_path / "points" / "reached").mkdir(parents=True)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "points"))
    return tmp_path / "points"


async def ask(stage: Stage) -> None:
    """Have the directory read now; whoever is to answer may be killed meanwhile."""
    web = await Web(stage.home).join()
    try:
        async with asyncio.timeout(1.5):
            await web.reload()
    except (BusTimeout, BusRefused, TimeoutError):
        pass
    finally:
        await web.leave()


def test_a_reload_that_is_killed_at_any_step_loses_nothing_and_repeats_nothing(stage: Stage, points: Path) -> None:
    watched = Watched(stage)
    watched.write("kept.yaml", daily(59))
    watched.write("edited.yaml", daily(0))
    stage.start()
    kept = watched.scheduled("kept")
    versions = [watched.jobs()["edited"]["version"]]
    for minute, point in enumerate([*LOADER, *SCHEDULER], 1):
        watched.write("edited.yaml", daily(minute))
        watched.write(f"new{minute}.yaml", NO_OP)
        (points / f"new{minute}").write_text("")
        (points / f"new{minute}").rename(points / point)
        (points / point).write_text("kill")
        asyncio.run(ask(stage))
        wait(lambda point=point: any(points.glob(f"reached/{point}.*")), f"{point} to be reached")
        assert stage.scheduler.process is not None
        if point.startswith("scheduler"):
            stage.scheduler.process.wait(10)
            stage.scheduler.start()
        wait(lambda minute=minute: f"new{minute}" in watched.jobs(), f"the new job, killed at {point}")
        runs = watched.scheduled("edited")
        assert [due[14:16] for due in runs.values()] == [f"{minute:02d}"], f"killed at {point}"
        versions.append(watched.jobs()["edited"]["version"])
        assert versions[-1] != versions[-2]
    assert watched.scheduled("kept") == kept
    changed = [event for event in watched.events("changed") if event["job_id"] == "edited"]
    assert len(changed) == len(versions) - 1, "each version is taken over once"
    added = [event["job_id"] for event in watched.events("added")]
    assert len(added) == len(set(added))
    withdrawn = [run_id for event in watched.events("withdrawn") for run_id in event["withdrawn"]]
    assert len(withdrawn) == len(set(withdrawn)) == len(versions) - 1
    ids = [event["id"] for event in watched.events()]
    assert ids == list(range(1, len(ids) + 1))
    history = stage.query("SELECT hash FROM v_job_version WHERE job_id = 'edited' ORDER BY at")
    assert [version for (version,) in history] == versions


def test_a_memory_that_is_damaged_is_not_used_and_is_made_anew(stage: Stage) -> None:
    watched = Watched(stage)
    watched.write("a.yaml", NO_OP)
    stage.start()
    memory = stage.home.database.with_name("apsis.db.job-files")
    wait(memory.exists, "the memory of the loader")
    whole = memory.read_bytes()
    damaged = (b"", b"nonsense", whole[:-5], whole.replace(b"a.yaml", b"b.yaml"), os.urandom(1000))
    for number, damage in enumerate(damaged):
        memory.write_bytes(damage)
        watched.write("a.yaml", f"{NO_OP}metadata: {{description: no {number}}}\n")
        asyncio.run(ask(stage))
        wait(lambda number=number: watched.jobs()["a"]["description"] == f"no {number}", "the edit")
        wait(lambda: memory.read_bytes().startswith(b"apsis-job-files"), "a new memory")
    assert stage.scheduler.process is not None
    assert stage.scheduler.process.poll() is None
