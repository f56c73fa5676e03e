"""The rows of the table of top-level keys, each by its example in `docs/jobs/keys`."""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from apsis.jobs import complete_args, expand, parse_job
from apsis.jobs.bind import BindError
from apsis.jobs.job import Job, JobError
from apsis.jobs.load import load_jobs
from apsis.jobs.policies import Keep

DOCS = Path(__file__).resolve().parents[3] / "docs" / "jobs"


@pytest.fixture(scope="module")
def jobs() -> dict[str, Job]:
    loaded = load_jobs(DOCS)
    wrong = [str(each) for each in loaded.errors if each.file.startswith("keys/")]
    assert wrong == []
    return loaded.jobs


def test_row_program(jobs: dict[str, Job]) -> None:
    assert list(expand(jobs["keys/program"], "r1", {}, None).program.argv) == ["/usr/bin/du", "-sh", "/srv"]
    text = expand(parse_job("a", {"program": "du -sh"}), "r1", {}, None).program
    assert list(text.argv) == ["/bin/bash", "-c", "du -sh"]
    for missing in ({}, {"program": None}):
        with pytest.raises(JobError, match="needs the key 'program'"):
            parse_job("a", missing)


@pytest.mark.parametrize(
    ("form", "names"),
    [
        (["a", "b"], ["a", "b"]),
        ("a", ["a"]),
        ([], []),
        (None, []),
        ({"a": None, "b": None}, ["a", "b"]),
        ({"a": "a word about it", "b": {"default": 5}}, ["a", "b"]),
    ],
)
def test_row_params(form, names) -> None:
    assert list(parse_job("a", {"program": "true", "params": form}).params) == names


def test_row_params_may_say_which_values_there_are(jobs: dict[str, Job]) -> None:
    job = jobs["keys/params"]
    assert complete_args(job, {"date": "x"}) == {"date": "x", "region": "eu", "batch": "100"}
    for wrong in ({"region": "asia"}, {"batch": "12345"}, {"batch": "1\n"}, {"colour": "red"}):
        with pytest.raises(BindError):
            complete_args(job, {"date": "x", **wrong})
    assert list(jobs["keys/params-set"].params) == ["date", "region"]
    assert list(jobs["keys/params-one"].params) == ["date"]


def test_row_schedule(jobs: dict[str, Job]) -> None:
    (schedule,) = jobs["keys/schedule"].schedules
    start = datetime(2026, 6, 30, tzinfo=UTC)
    assert [each.time.minute for each in islice(schedule.occurrences(start), 3)] == [10, 20, 30]
    one = {"type": "interval", "interval": 60}
    for form, count in ((None, 0), (one, 1), ([one], 1), ([one, {**one, "phase": 5}], 2), ([], 0)):
        assert len(parse_job("a", {"program": "true", "schedule": form}).schedules) == count


def test_row_condition(jobs: dict[str, Job]) -> None:
    assert [each.type for each in jobs["keys/condition"].conditions] == ["dependency", "max_running"]
    for form, count in ((None, 0), ([], 0), ({"type": "max_running"}, 1), ([{"type": "max_running"}], 1)):
        assert len(parse_job("a", {"program": "true", "condition": form}).conditions) == count


def test_row_action(jobs: dict[str, Job]) -> None:
    (action,) = expand(jobs["keys/action"], "r1", {"date": "x"}, None).actions
    assert (action.job_id, action.args, action.if_states) == ("keys/params-one", {"date": "x"}, ("failure", "error"))
    one = {"type": "schedule", "job_id": "b"}
    for form, count in ((None, 0), ([], 0), (one, 1), ([one, one], 2)):
        assert len(parse_job("a", {"program": "true", "action": form}).actions) == count


def test_row_successors(jobs: dict[str, Job]) -> None:
    params = {name: job.params for name, job in jobs.items()}
    bound = expand(jobs["keys/successors"], "r1", {"date": "x"}, None, params_of=params.get)
    assert [(each.job_id, each.args, each.if_states) for each in bound.actions] == [
        ("keys/params-one", {"date": "x"}, ("success",)),
        ("keys/params", {"date": "x", "region": "us", "batch": "100"}, ("success",)),
    ]
    for form in ("b", ["b"], {"job_id": "b"}, [{"job_id": "b"}]):
        assert [each.job_id for each in parse_job("a", {"program": "true", "successors": form}).successors] == ["b"]


def test_row_metadata(jobs: dict[str, Job]) -> None:
    job = jobs["keys/metadata"]
    assert job.description.startswith("Loads the prices of **one day**.")
    assert job.labels == ["etl", "prices"]
    assert job.metadata["owner"] == "data team"
    assert job.metadata["cost_center"] == 1234
    assert parse_job("a", {"program": "true", "metadata": {"labels": "etl"}}).labels == ["etl"]


def test_row_ad_hoc_and_job_id(jobs: dict[str, Job]) -> None:
    job = jobs["keys/ad_hoc-job_id"]
    assert (job.job_id, job.ad_hoc) == ("keys/ad_hoc-job_id", False)
    with pytest.raises(JobError, match="the file says 'b', its path says 'a'"):
        parse_job("a", {"program": "true", "job_id": "b"})


def test_row_resources(jobs: dict[str, Job]) -> None:
    assert jobs["keys/resources"].resources == {"db": 2, "license": 1}


def test_row_priority(jobs: dict[str, Job]) -> None:
    assert jobs["keys/priority"].priority == 10
    assert parse_job("a", {"program": "true"}).priority == 0


def test_row_timeout_holds_where_the_program_has_none(jobs: dict[str, Job]) -> None:
    timeout = expand(jobs["keys/timeout"], "r1", {}, None).program.timeout
    assert (timeout.duration, timeout.signal) == (5400, 2)
    own = {"program": {"type": "shell", "command": "x", "timeout": {"duration": 5}}, "timeout": {"duration": 60}}
    assert expand(parse_job("a", own), "r1", {}, None).program.timeout.duration == 5


def test_row_output(jobs: dict[str, Job]) -> None:
    output = jobs["keys/output"].output
    assert (output.streams, output.max_bytes) == ("split", 10_485_760)
    assert output.keep == Keep(days=30, count=100, bytes=1_000_000_000)
    assert expand(jobs["keys/output"], "r1", {}, None).program.streams == "split"


def test_row_spellings(jobs: dict[str, Job]) -> None:
    job = jobs["keys/spellings"]
    assert (len(job.schedules), len(job.conditions), len(job.actions)) == (1, 1, 1)
    assert {"schedule", "condition", "action"} <= job.definition.keys()
    with pytest.raises(JobError, match="'schedule' and 'schedules' are the same key"):
        parse_job("a", {"program": "true", "schedule": None, "schedules": None})


def test_row_defaults_of_nested_folders(jobs: dict[str, Job]) -> None:
    job = jobs["keys/defaults/nested/job"]
    options = job.program.options
    assert options.env == {"LANG": "C.UTF-8", "MODE": "careful"}
    assert (options.user, options.timeout.duration) == ("etl", "1h")
    assert (job.retry, job.labels, job.metadata["owner"]) == (None, ["nightly"], "data team")


def test_row_yml(jobs: dict[str, Job]) -> None:
    assert jobs["keys/yml"].file == "keys/yml.yml"


@pytest.mark.parametrize(
    ("key", "near"),
    [("progam", "program"), ("shedule", "schedule"), ("Params", "params"), ("ressources", "resources")],
)
def test_row_any_other_key_is_an_error_that_suggests_the_nearest(key, near) -> None:
    with pytest.raises(JobError, match=rf"unknown key '{key}' in the job \(did you mean '{near}'\?\)"):
        parse_job("a", {"program": "true", key: None})


def test_row_if_names_the_ends_after_which_an_action_is_done(jobs: dict[str, Job]) -> None:
    first, recovered, late, exit_code = (each.when for each in jobs["actions/if"].actions)
    assert first.holds("failure", previous="success")
    assert not first.holds("failure", previous="error")
    assert recovered.holds("success", previous="failure")
    assert not recovered.holds("success", previous="success")
    assert late.holds("success", late=True)
    assert not late.holds("success")
    assert exit_code.holds("failure", exit_code=75)
    assert not exit_code.holds("failure", exit_code=1)
