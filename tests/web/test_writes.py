"""Writes: done once for each key, refused with the right status, and committed when answered."""

import time

from web_stage import Stage, until

from apsis.runs.states import State


def test_the_same_key_runs_once(site: Stage) -> None:
    headers = {"Idempotency-Key": "my-key"}
    first = site.call("POST", "/runs", {"job_id": "etl/load", "args": {"date": "x"}}, headers=headers)
    again = site.call("POST", "/runs", {"job_id": "etl/load", "args": {"date": "x"}}, headers=headers)
    assert first.status == again.status == 201
    assert first.json == again.json
    assert len(site.scheduler.runs) == 1
    other = site.call("POST", "/runs", {"job_id": "etl/load", "args": {"date": "y"}}, headers=headers)
    assert other.status == 409
    assert site.call("POST", "/runs", {"job_id": "x"}, headers={"Idempotency-Key": "a b"}).status == 400
    assert site.scheduler.requests[0].request_id == "my-key"
    assert site.scheduler.requests[0].actor == "user:admin"


def test_the_answer_of_a_write_names_the_seq_at_which_it_is_seen(site: Stage) -> None:
    answer = site.call("POST", "/runs", {"job_id": "etl/load", "count": 3}).json
    assert len(answer["runs"]) == 3
    until(lambda: site.get("/runs?limit=0").json["seq"] >= answer["seq"])
    assert site.get("/runs").json["total"] == 3


def test_refusals_have_their_status(site: Stage) -> None:
    site.scheduler.job("nape")
    site.caught_up()
    assert site.call("POST", "/runs", {"job_id": "nope"}).error["hint"] == "did you mean nape?"
    assert site.call("POST", "/runs", {"job_id": "nope"}).status == 404
    unfit = site.call("POST", "/runs", {"job": {"params": []}})
    assert unfit.status == 422
    assert unfit.error["findings"][0]["path"] == "program"
    run = site.scheduler.create()
    assert site.call("POST", f"/runs/{run.run_id}/skip").json["run"]["state"] == "skipped"
    assert site.call("POST", f"/runs/{run.run_id}/skip").status == 409
    assert site.call("POST", "/runs/r99/skip").status == 404
    assert site.call("POST", "/runs/r1/explode").status == 404
    for body, loc in (
        ({}, "job_id"), ({"job_id": "x", "job": {}}, "job_id"), ({"job_id": "x", "count": 0}, "count"),
        ({"job_id": "x", "schedule_time": "soon"}, "schedule_time"), ({"job_id": "x", "count": "1"}, "count"),
    ):  # fmt: skip
        answer = site.call("POST", "/runs", body)
        assert (answer.status, answer.error["loc"]) == (400, loc)
    assert site.call("POST", "/runs/r1/signal", {"signal": "NOPE"}).error["loc"] == "signal"
    assert site.call("POST", "/runs/r1/mark", {"state": "running"}).error["loc"] == "state"
    many = site.call("POST", "/runs/bulk", {"action": "abandon", "ids": ["r1", "r2"]})
    assert (many.status, "one at a time" in many.error["message"]) == (400, True)


def test_many_runs_are_acted_on_with_an_answer_for_each(site: Stage) -> None:
    runs = [site.scheduler.create(f"job{index}") for index in range(4)]
    site.scheduler.change(runs[0].run_id, State.SKIPPED)
    site.caught_up()
    assert site.call("POST", "/runs/bulk", {"action": "skip", "q": "state:sched", "expect": 4}).status == 409
    answer = site.call("POST", "/runs/bulk", {"action": "skip", "ids": [run.run_id for run in runs[:2]]}).json
    assert [result["ok"] for result in answer["results"]] == [False, True]
    assert answer["results"][0]["error"]["code"] == "conflict"
    until(lambda: site.get("/runs?limit=0").json["seq"] >= answer["seq"])
    answer = site.call("POST", "/runs/bulk", {"action": "skip", "q": "state:sched", "expect": 2}).json
    assert all(result["ok"] for result in answer["results"])


def test_while_the_scheduler_is_away_reads_go_on_and_writes_say_so(site: Stage) -> None:
    site.scheduler.create()
    site.caught_up()
    site.scheduler.leave()
    begun = time.monotonic()
    answer = site.call("POST", "/runs", {"job_id": "etl/load"})
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "the scheduler is away" in answer.error["message"]
    assert time.monotonic() - begun < 5
    assert site.get("/runs").json["total"] == 1
    site.scheduler.join()
    until(lambda: site.call("POST", "/runs", {"job_id": "etl/load"}).status == 201)


def test_web_starts_before_everything_else_and_recovers_by_itself(stage: Stage) -> None:
    stage.web.start()
    for path in ("/runs", "/jobs", "/runs/r1", "/events"):
        answer = stage.get(path)
        assert answer.status == 503, path
        assert int(answer.headers["retry-after"]) > 0
    assert stage.get("/health").json["status"] == "fail"
    run = stage.scheduler.create()
    until(lambda: stage.get("/runs").status == 200)
    stage.hub.start()
    stage.scheduler.join()
    stage.caught_up()
    assert stage.get("/runs").json["runs"][0]["run_id"] == run.run_id
    stage.scheduler.create()
    stage.caught_up()
    assert stage.get("/runs").json["total"] == 2


def test_a_killed_hub_is_found_again(site: Stage) -> None:
    site.scheduler.create()
    site.caught_up()
    site.hub.end(9)
    site.scheduler.create()
    site.hub.start()
    site.scheduler.create()
    site.caught_up()
    assert site.get("/runs").json["total"] == 3
    assert site.call("POST", "/runs", {"job_id": "etl/load"}).status == 201


def test_health_says_what_is_wrong(site: Stage) -> None:
    until(lambda: _status(site, "scheduler") == "ok")
    health = site.get("/health").json
    checks = {check["id"]: check for check in health["checks"]}
    assert {"hub", "scheduler", "database", "store", "manager", "disk", "jobs"} <= set(checks)
    assert checks["hub"]["status"] == checks["scheduler"]["status"] == checks["database"]["status"] == "ok"
    assert checks["store"]["status"] == "fail"
    assert health["status"] == "fail"
    site.store.start()
    until(lambda: _status(site, "store") == "ok")
    assert all({"id", "status", "message", "since"} == set(check) for check in health["checks"])


def _status(site: Stage, name: str) -> str:
    checks = site.get("/health").json["checks"]
    return next(check["status"] for check in checks if check["id"] == name)
