"""Pausing and resuming over REST: what reaches the scheduler, and what is refused before."""

import pytest
from web_stage import Stage

from apsis.messages.requests import Done, Failed, PauseJobs, Request, ResumeJobs

HELD = {"job_id": "etl/load", "by": "user:admin", "at": "2026-06-30T12:00:00.000000Z", "reason": "broken"}


@pytest.fixture
def obeying(site: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A scheduler that pauses and resumes."""

    def obey(request: Request) -> Done | Failed:
        match request.do:
            case PauseJobs(job_id="nope"):
                return Failed(code="not_found", message="there is no job 'nope'", loc="job_id")
            case PauseJobs(job_id=job_id):
                return Done(seq=7, result={"job_id": job_id, "paused": HELD})
            case ResumeJobs(job_id=job_id):
                return Done(seq=8, result={"job_id": job_id, "paused": None})
        raise AssertionError(request)

    monkeypatch.setattr(site.scheduler, "_obey", obey)
    return site


@pytest.mark.parametrize("job_id", ["etl/load", "a/pause", "a/runs", "pause"])
def test_a_job_is_paused_and_resumed_whatever_it_is_called(obeying: Stage, job_id: str) -> None:
    path = f"/jobs/{job_id.replace('/', '%2F')}"
    answer = obeying.call("POST", f"{path}/pause", {"reason": "broken"})
    assert (answer.status, answer.json) == (200, {"job_id": job_id, "paused": HELD, "seq": 7})
    assert obeying.call("POST", f"{path}/resume").json == {"job_id": job_id, "paused": None, "seq": 8}
    first, second = obeying.scheduler.requests
    assert first.do == PauseJobs(job_id=job_id, reason="broken")
    assert second.do == ResumeJobs(job_id=job_id)
    assert first.actor == "user:admin"


def test_everything_is_paused_and_resumed(obeying: Stage) -> None:
    assert obeying.call("POST", "/control/pause", {"reason": "moving"}).json["job_id"] is None
    assert obeying.call("POST", "/control/resume", {}).status == 200
    assert [request.do for request in obeying.scheduler.requests] == [PauseJobs(reason="moving"), ResumeJobs()]


def test_what_is_no_order_to_pause_is_refused(obeying: Stage) -> None:
    assert obeying.call("POST", "/jobs/nope/pause").status == 404
    assert obeying.call("POST", "/jobs/a/pause", {"why": "x"}).status == 400
    assert obeying.call("POST", "/jobs/a/pause", {"reason": 3}).error["loc"] == "reason"
    assert obeying.call("POST", "/jobs/a/pause?reason=x").status == 400
    assert obeying.call("GET", "/jobs/a/pause").status == 405


def test_the_same_key_pauses_once(obeying: Stage) -> None:
    for _ in range(2):
        answer = obeying.call("POST", "/jobs/a/pause", {}, headers={"Idempotency-Key": "k"})
        assert answer.status == 200
    assert len(obeying.scheduler.requests) == 1
