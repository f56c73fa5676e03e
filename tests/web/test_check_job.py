"""POST /jobs/check: what is wrong with a definition that nobody has loaded."""

from web_stage import Stage


def said(answer: dict) -> list[tuple[int, str, str]]:
    return [(each["line"], each["severity"], each["message"]) for each in answer["findings"]]


def test_a_definition_is_checked_with_all_its_findings_and_not_loaded(site: Stage) -> None:
    text = "params: x\nprogram: echo {{ x }}\nschedule: {type: daily, tz: UTC, daytime: '9:00', calendar: none}\n"
    answer = site.call("POST", "/jobs/check", {"job_id": "new", "yaml": text})
    assert answer.status == 200
    assert answer.json["ok"] is True
    assert [(line, severity) for line, severity, _ in said(answer.json)] == [(2, "warning"), (3, "warning")]
    bad = site.call("POST", "/jobs/check", {"yaml": "prgram: x\n"}).json
    assert bad["ok"] is False
    assert len(bad["findings"]) == 2
    assert {"file", "line", "column", "severity", "code", "message"} <= bad["findings"][0].keys()
    broken = site.call("POST", "/jobs/check", {"yaml": "program: [x\n"}).json
    assert broken["findings"][0]["code"] == "syntax"
    assert site.get("/jobs").json["jobs"] == []


def test_the_jobs_that_it_names_are_looked_for_among_those_that_are_loaded(site: Stage) -> None:
    site.scheduler.job("etl/load")
    site.caught_up()
    job = {"program": "true", "params": ["date"], "successors": ["etl/lod", {"job_id": "etl/load", "args": {"y": "1"}}]}
    findings = said(site.call("POST", "/jobs/check", {"job": job}).json)
    assert "job_id: there is no job 'etl/lod' (did you mean 'etl/load'?)" in [text for _, _, text in findings]
    assert any("job 'etl/load' has no param 'y'" in text for _, _, text in findings)


def test_what_is_no_question_is_refused(site: Stage) -> None:
    for body, loc in (
        ({}, "job"),
        ({"job": {}, "yaml": ""}, "job"),
        ({"job": {}, "job_id": "../x"}, "job_id"),
        ({"job": []}, "job"),
    ):
        answer = site.call("POST", "/jobs/check", body)
        assert (answer.status, answer.error["loc"]) == (400, loc)
    assert site.call("POST", "/jobs/check", {"yaml": ""}).json["ok"] is False


def test_a_class_that_ends_its_process_or_prints_hurts_nobody(site: Stage) -> None:
    job = {"program": {"type": "this.Nothing"}}
    answer = site.call("POST", "/jobs/check", {"job": job})
    assert answer.status == 200
    assert answer.json["ok"] is False
    assert site.call("POST", "/jobs/check", {"job": {"program": {"type": "antigravity.Nothing"}}}).json["ok"] is False
    assert site.get("/alive").status == 200
