"""REST of runs, over a real web server: what is committed is what is shown."""

import random
from datetime import UTC, datetime, timedelta

from web_stage import Stage, until

from apsis.runs.states import State


def test_a_new_run_is_listed_and_shown(site: Stage) -> None:
    site.scheduler.job("etl/load", params=["date"])
    run = site.scheduler.create("etl/load", date="2026-06-30")
    site.caught_up()
    listed = site.get("/runs").json
    assert [one["run_id"] for one in listed["runs"]] == [run.run_id]
    assert (listed["total"], listed["exact"], listed["before"], listed["after"]) == (1, True, None, None)
    shown = site.get(f"/runs/{run.run_id}").json
    assert shown == listed["runs"][0]
    assert shown["args"] == {"date": "2026-06-30"}
    assert "schedule_time" not in shown["timestamps"]


def test_the_action_log_has_each_step_while_it_runs_and_afterwards(site: Stage) -> None:
    run = site.scheduler.create()
    for state in (State.WAITING, State.STARTING, State.RUNNING):
        site.scheduler.change(run.run_id, state)
    site.caught_up()
    events = [entry["event"] for entry in site.get(f"/runs/{run.run_id}/log").json["log"]]
    assert events == ["scheduled", "waiting", "starting", "running"]
    site.scheduler.change(run.run_id, State.SUCCESS)
    site.caught_up()
    log = site.get(f"/runs/{run.run_id}/log").json["log"]
    assert [entry["event"] for entry in log] == [*events, "success"]
    assert [entry["seq"] for entry in log] == [1, 2, 3, 4, 5]


def test_windows_by_cursor_reach_every_run_once(stage: Stage) -> None:
    """Also across the edge between the cache and the database."""
    stage.home.config.write_text("web: {port: 0}\nruns: {lookback: 86400}\n")
    stage.scheduler.past(700, days=3)
    stage.scheduler.past(150, days=0.5)
    stage.start()
    for index in range(40):
        stage.scheduler.create("new/job", datetime.now(UTC) + timedelta(minutes=index - 20))
    stage.caught_up()
    assert stage.get("/stats").json["cached_runs"] == 190
    for query, expected in (
        ("", 890),
        ("job:old/", 850),
        ("state:fail", 284),
        ("job:old/ n=6", None),
        ("!job:old/*", 40),
    ):
        seen: list[str] = []
        page = stage.get(f"/runs?limit=97&sort=-time&q={query.replace(' ', '%20')}").json
        total = page["total"]
        after = page["after"]
        while after is not None:
            later = stage.get(f"/runs?limit=97&after={after}&q={query.replace(' ', '%20')}").json
            seen += [run["run_id"] for run in later["runs"]]
            after = later["after"]
        seen += [run["run_id"] for run in page["runs"]]
        while page["before"] is not None:
            page = stage.get(f"/runs?limit=97&sort=-time&before={page['before']}&q={query.replace(' ', '%20')}").json
            seen += [run["run_id"] for run in page["runs"]]
        assert len(seen) == len(set(seen))
        if expected is not None:
            assert (len(seen), total) == (expected, expected), query
        else:
            wanted = {
                run.run_id for run in stage.scheduler.runs.values() if run.job_id == "old/job" and "6" in run.args["n"]
            }
            assert set(seen) == wanted


def test_rows_stand_in_order_of_time(site: Stage) -> None:
    chance = random.Random(7)
    now = datetime.now(UTC)
    for _ in range(50):
        site.scheduler.create(due=now + timedelta(seconds=chance.randrange(-500, 500)))
    site.caught_up()
    rows = site.get("/runs?limit=1000").json["runs"]
    keys = [(row["schedule_time"], int(row["run_id"][1:])) for row in rows]
    assert keys == sorted(keys)
    newest_first = site.get("/runs?limit=1000&order=desc").json["runs"]
    assert newest_first == rows[::-1]
    assert [set(row) for row in site.get("/runs?limit=1&fields=run_id,state").json["runs"]] == [{"run_id", "state"}]


def test_a_filter_that_means_nothing_says_where(site: Stage) -> None:
    error = site.get("/runs?q=job:etl/%20state:faliure")
    assert error.status == 400
    assert error.error["code"] == "bad_filter"
    assert error.error["hint"] == "did you mean failure?"
    assert error.error["at"] == [15, 22]


def test_what_is_not_there_is_not_found(site: Stage) -> None:
    for path in ("/runs/r99", "/runs/x", "/runs/r99/log", "/runs/r007", "/jobs/nope", "/nothing", "/runs/r1/nothing"):
        answer = site.get(path)
        assert answer.status == 404, path
        assert answer.error["code"] == "not_found"
    assert site.get("//api/v2/runs").status == 404
    assert site.call("DELETE", "/runs").status == 405


def test_a_bad_query_says_which_parameter(site: Stage) -> None:
    for query, loc in (
        ("limit=x", "limit"), ("limit=1001", "limit"), ("before=yesterday", "before"), ("sort=color", "sort"),
        ("foo=1", "foo"), ("limit=1&limit=2", "limit"), ("before=1.1&after=2.2", "before"), ("q=%ff", "q"),
    ):  # fmt: skip
        answer = site.get(f"/runs?{query}")
        assert answer.status == 400, query
        assert answer.error["loc"] == loc


def test_jobs_with_slashes_and_other_signs_are_one_segment(site: Stage) -> None:
    for job_id in ("a/runs", "a/pause", "slow thread", "100%", "q?x=1&y#z", "größe/ü"):
        site.scheduler.job(job_id)
        run = site.scheduler.create(job_id)
        site.caught_up()
        from urllib.parse import quote

        path = f"/jobs/{quote(job_id, safe='')}"
        assert site.get(path).json["job_id"] == job_id
        assert [one["run_id"] for one in site.get(f"{path}/runs").json["runs"]] == [run.run_id]


def test_jobs_are_listed_with_errors_and_their_next_run(site: Stage) -> None:
    due = datetime(2030, 1, 1, tzinfo=UTC)
    site.scheduler.job("etl/load", params=["date"], labels=["prod"])
    site.scheduler.job("report")
    run = site.scheduler.create("etl/load", due)
    site.scheduler.complain([{"file": "bad.yaml", "line": 7, "column": 3, "message": "unknown type"}])
    site.caught_up()
    jobs = until(lambda: (found := site.get("/jobs").json)["errors"] and found)
    assert [job["job_id"] for job in jobs["jobs"]] == ["etl/load", "report"]
    assert jobs["jobs"][0]["next"] == run.schedule_time == "2030-01-01T00:00:00.000000Z"
    assert jobs["errors"][0]["line"] == 7
    assert [job["job_id"] for job in site.get("/jobs?q=label:prod").json["jobs"]] == ["etl/load"]
    assert site.get("/jobs?q=state:running").error["code"] == "bad_filter"
    site.scheduler.remove_job("report")
    site.caught_up()
    assert [job["job_id"] for job in site.get("/jobs").json["jobs"]] == ["etl/load"]


def test_a_withdrawn_run_is_gone(site: Stage) -> None:
    run = site.scheduler.create()
    site.scheduler.withdraw(run.run_id)
    site.caught_up()
    assert site.get("/runs").json["runs"] == []
    assert site.get(f"/runs/{run.run_id}").status == 404


def test_events_that_the_bus_lost_are_seen_all_the_same(site: Stage) -> None:
    site.scheduler.loss = 0.5
    chance = random.Random(3)
    for _ in range(10):
        site.scheduler.some_changes(30, chance)
    site.caught_up()
    rows = {row["run_id"]: row["state"] for row in site.get("/runs?limit=1000").json["runs"]}
    assert rows == {run.run_id: run.state for run in site.scheduler.runs.values()}


def test_events_as_ndjson(site: Stage) -> None:
    import json

    run = site.scheduler.create("etl/load")
    site.scheduler.create("report")
    site.scheduler.change(run.run_id, State.SKIPPED)
    lines = [json.loads(line) for line in site.get("/events?since=0").data.splitlines()]
    assert [line["id"] for line in lines] == [1, 2, 3]
    lines = [json.loads(line) for line in site.get("/events?since=1&q=job:etl/").data.splitlines()]
    assert [(line["id"], line["event"]) for line in lines] == [(3, "skipped")]
    with site.stream("/events?follow=1&since=2") as response:
        assert json.loads(response.readline())["id"] == 3
        site.scheduler.create("later")
        assert json.loads(response.readline())["job_id"] == "later"
