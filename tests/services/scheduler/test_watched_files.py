"""The job directory is watched: whatever is done to its files takes effect, and nothing else is hurt by it."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scheduler_stage import Stage, Web
from watched_stage import NO_OP, Watched, daily, is_root, wait

from apsis.messages.requests import Done


@pytest.fixture(scope="module")
def running() -> Iterator[Stage]:
    """A scheduler that runs, with six jobs of nobody's, and whose watcher watches; for all tests of this file."""
    folder = Path(tempfile.mkdtemp(prefix="apsis-watched-"))
    stage = Stage(folder)
    for name in "abcdef":
        stage.job(f"base/{name}", daily())
    stage.start()
    yield stage
    stage.close()
    shutil.rmtree(folder)


@pytest.fixture
def watched(running: Stage, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A folder of its own in the running home, with a job."""
    found = Watched(running, request.node.name.split("[")[0][5:40])
    found.write("a.yaml", daily())
    wait(lambda: "a" in found.jobs(), "the first job")
    found.begin_here()
    yield found
    shutil.rmtree(found.folder)


def test_a_watched_edit_takes_effect_without_being_asked_for(watched: Watched) -> None:
    before = watched.jobs()["a"]["version"]
    watched.write("a.yaml", daily(5))
    watched.write("etl/new one.yml", NO_OP)
    watched.write("b.yaml", NO_OP)
    wait(lambda: sorted(watched.jobs()) == ["a", "b", "etl/new one"], "the new files")
    assert watched.jobs()["a"]["version"] != before
    watched.write("etl/second.yaml", NO_OP)
    (watched.folder / "b.yaml").rename(watched.folder / "c.yaml")
    wait(lambda: sorted(watched.jobs()) == ["a", "c", "etl/new one", "etl/second"], "a file in a new folder")
    shutil.rmtree(watched.folder / "etl")
    wait(lambda: sorted(watched.jobs()) == ["a", "c"], "the removed folder")
    assert not [event for event in watched.events("reloaded") if event.get("actor", "scheduler") != "scheduler"]


def test_runs_are_re_made_by_difference_and_one_event_lists_the_withdrawn(watched: Watched) -> None:
    (before,) = watched.scheduled("a").items()
    watched.write("a.yaml", daily(more="metadata: {description: the same times}\n"))
    wait(lambda: watched.jobs()["a"]["description"], "the edit")
    assert dict([before]) == watched.scheduled("a"), "what is still due keeps its id"
    watched.write("a.yaml", daily(30))
    wait(lambda: before[0] not in watched.scheduled("a"), "the other time")
    ((after, due),) = watched.scheduled("a").items()
    assert after != before[0]
    assert ":30:00" in due
    (event,) = watched.events("withdrawn")
    assert (event["job_id"], event["withdrawn"]) == (watched.id("a"), [before[0]])
    assert event["job"]["job_id"] == watched.id("a")
    (watched.folder / "a.yaml").unlink()
    wait(lambda: "a" not in watched.jobs(), "its removal")
    assert watched.events("removed")[-1]["withdrawn"] == [after]
    assert watched.scheduled("a") == {}


def test_a_bad_edit_keeps_the_last_good_version_and_says_so(watched: Watched) -> None:
    good, runs = watched.jobs()["a"], watched.scheduled("a")
    watched.write("a.yaml", "program: [\n")
    wait(watched.errors, "the complaint")
    (error,) = watched.errors()
    assert (error["file"], error["jobs"]) == (f"{watched.name}/a.yaml", [watched.id("a")])
    assert error["line"] >= 1
    # over a restart too
    watched.stage.scheduler.end()
    watched.stage.scheduler.start()
    assert watched.jobs()["a"] == good
    assert watched.scheduled("a") == runs
    assert watched.errors() == [error]
    watched.write("a.yaml", daily())
    wait(lambda: not watched.errors(), "the mended file")
    assert watched.jobs()["a"] == good
    assert watched.scheduled("a") == runs


def test_bad_defaults_leave_the_jobs_below_as_they_were(watched: Watched) -> None:
    watched.write("_defaults.yaml", "prioritty: 4\n")
    version = watched.jobs()["a"]["version"]
    wait(watched.errors, "the complaint")
    (error,) = watched.errors()
    assert (error["file"], error["jobs"]) == (f"{watched.name}/_defaults.yaml", [watched.id("a")])
    assert watched.jobs()["a"]["version"] == version, "without its defaults it would be another job"
    watched.write("_defaults.yaml", "priority: 4\n")
    wait(lambda: watched.jobs()["a"]["version"] != version, "the job that the defaults concern")
    assert watched.errors() == []
    assert {event["job_id"] for event in watched.events("changed")} == {watched.id("a")}


def test_a_changed_calendar_reloads_the_jobs_that_it_concerns_and_no_other(watched: Watched) -> None:
    calendar = watched.stage.home.jobs / "calendars/off.cal"
    calendar.parent.mkdir()
    calendar.write_text("START 2026-01-01\nSTOP 2099-01-01\n2026-05-15\n")
    watched.write("x.yaml", daily().replace("tz: UTC", "tz: UTC, calendar: all - off"))
    wait(lambda: "x" in watched.jobs(), "the job")
    version = watched.jobs()["x"]["version"]
    calendar.write_text("START 2026-01-01\nSTOP 2099-01-01\n2026-05-16\n")
    wait(lambda: watched.jobs()["x"]["version"] != version, "the job of the calendar")
    assert {event["job_id"] for event in watched.events("changed")} == {watched.id("x")}


def test_a_directory_that_vanished_removes_nothing_and_is_taken_up_when_it_is_back(watched: Watched) -> None:
    before, runs, root = watched.jobs(), watched.scheduled("a"), watched.stage.home.jobs
    away = root.with_name("away")
    root.rename(away)
    wait(watched.held, "the held reload")
    assert "No such file" in watched.held()
    assert watched.jobs() == before
    assert watched.scheduled("a") == runs
    away.rename(root)
    wait(lambda: not watched.held(), "the directory")
    watched.write("late.yaml", NO_OP)
    wait(lambda: "late" in watched.jobs(), "a job in the directory that is back")
    assert watched.jobs().keys() == before.keys() | {"late"}
    assert len(watched.events("reload_held")) == 1
    assert watched.events("withdrawn") == watched.events("removed") == []


def test_a_watcher_that_is_killed_is_started_again_and_nothing_is_missed(watched: Watched) -> None:
    (pid,) = watched.watchers()
    os.kill(pid, 9)
    watched.write("meanwhile.yaml", NO_OP)
    wait(lambda: "meanwhile" in watched.jobs(), "what was written without a watcher")
    (again,) = watched.watchers()
    assert again != pid


def test_the_watcher_ends_with_its_scheduler_also_when_that_is_killed(watched: Watched) -> None:
    (pid,) = watched.watchers()
    watched.stage.scheduler.end(9)
    wait(lambda: not Path(f"/proc/{pid}").exists(), "the end of the watcher")
    watched.stage.scheduler.start()


@pytest.mark.nightly
def test_a_directory_that_is_suddenly_empty_is_held_until_its_files_are_back(watched: Watched) -> None:
    root, kept = watched.stage.home.jobs, watched.stage.home.root / "kept"
    shutil.copytree(root, kept)
    for path in list(root.iterdir()):
        shutil.rmtree(path)
    wait(watched.held, "the held reload")
    assert "it would remove" in watched.held()
    assert "a" in watched.jobs()
    shutil.copytree(kept, root, dirs_exist_ok=True)
    shutil.rmtree(kept)
    wait(lambda: not watched.held(), "the jobs to be back")
    assert "a" in watched.jobs()
    assert watched.events("removed") == []


@pytest.mark.nightly
def test_something_else_in_the_place_of_the_directory_removes_nothing(watched: Watched) -> None:
    root = watched.stage.home.jobs
    root.rename(root.with_name("away"))
    root.write_text("no directory")
    wait(watched.held, "the held reload")
    assert "a" in watched.jobs()
    root.unlink()
    root.symlink_to(root.with_name("away"))
    wait(lambda: not watched.held(), "the directory behind a link")
    watched.write("late.yaml", NO_OP)
    wait(lambda: "late" in watched.jobs(), "a job behind the link")
    root.unlink()
    root.with_name("away").rename(root)


@pytest.mark.skipif(is_root(), reason="nothing is unreadable to root")
def test_an_unreadable_folder_keeps_its_jobs(watched: Watched) -> None:
    watched.write("etl/x.yaml", NO_OP)
    wait(lambda: "etl/x" in watched.jobs(), "the job")
    (watched.folder / "etl").chmod(0)
    watched.write("y.yaml", NO_OP)
    wait(lambda: "y" in watched.jobs(), "the other job")
    try:
        assert "etl/x" in watched.jobs()
        assert [error["file"] for error in watched.errors()] == [f"{watched.name}/etl"]
        watched.stage.home.jobs.chmod(0)
        wait(watched.held, "the held reload")
    finally:
        watched.stage.home.jobs.chmod(0o700)
        (watched.folder / "etl").chmod(0o700)


@pytest.mark.nightly
def test_a_link_is_followed_within_the_directory_and_nowhere_else(watched: Watched) -> None:
    outside = watched.stage.home.root / "outside"
    outside.mkdir()
    (outside / "x.yaml").write_text(NO_OP)
    (watched.folder / "folder").symlink_to(outside)
    (watched.folder / "out.yaml").symlink_to(outside / "x.yaml")
    (watched.folder / "in.yaml").symlink_to(watched.folder / "a.yaml")
    wait(lambda: "in" in watched.jobs(), "the link within")
    assert not {"out", "folder/x"} & watched.jobs().keys()
    assert [error["code"] for error in watched.errors()] == ["link", "link"]
    version = watched.jobs()["in"]["version"]
    watched.write("a.yaml", daily(17))
    wait(lambda: watched.jobs()["in"]["version"] != version, "what it leads to")


@pytest.mark.nightly
def test_a_file_that_is_written_slowly_is_read_when_it_is_whole(watched: Watched) -> None:
    """It would be good YAML after each line, and is never left alone for a second while it is written."""
    lines = ["program: {type: no-op}", "params: [x]", "metadata: {description: whole}", "priority: 7"]
    with (watched.folder / "slow.yaml").open("w") as file:
        for line in lines:
            for character in f"{line}\n":
                file.write(character)
                file.flush()
                time.sleep(0.03)  # the pace of the writer; nothing is waited for
    wait(lambda: "slow" in watched.jobs(), "the job")
    assert watched.jobs()["slow"]["description"] == "whole"
    told = [event["event"] for event in watched.events() if event.get("job_id") == watched.id("slow")]
    assert told == ["added"]


@pytest.mark.nightly
def test_thousands_of_files_at_once_are_taken_over_in_few_readings(watched: Watched) -> None:
    for number in range(2000):
        path = watched.folder / f"many/{number % 20}/job{number}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(daily(number % 60))
    wait(lambda: len(watched.jobs()) == 2001, "all of them", 60)
    wait(lambda: watched.scheduled("many/19/job1999"), "their runs")
    assert len([event for event in watched.events("reloaded") if event["detail"]["added"] > 1]) <= 8
    assert all(watched.scheduled(f"many/{number % 20}/job{number}") for number in range(0, 2000, 100))
    # their removal is held, and not meant as a mistake
    shutil.rmtree(watched.folder / "many")

    async def force() -> None:
        web = await Web(watched.stage.home).join()
        assert isinstance(await web.reload(force=True), Done)
        await web.leave()

    asyncio.run(force())
    assert sorted(watched.jobs()) == ["a"]
