"""`apsis check` and `apsis test` as they are called."""

import json
import os
import pty
import subprocess
import sys

import pytest

from apsis.cli.edge import run
from apsis.cli.main import group

GOOD = "params: date\nprogram: [echo, '{{ date }}']\n"
WARNED = "params: date\nprogram: echo {{ date }}\n"


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Return what writes job files into `jobs/` below the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APSIS_HOME", str(tmp_path / "home"))

    def write(**files):
        (tmp_path / "jobs").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "jobs" / f"{name}.yaml").write_text(text)
        return tmp_path / "jobs"

    return write


def apsis(*words):
    return run(group, "apsis", words)


def test_check_says_nothing_of_a_good_directory_and_exits_with_0(jobs, capsys):
    jobs(a=GOOD)
    assert apsis("check", "jobs") == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "1 job, 0 errors, 0 warnings\n"


def test_check_exits_with_1_on_an_error_and_with_strict_on_a_warning(jobs, capsys):
    jobs(a=WARNED)
    assert apsis("check", "jobs") == 0
    assert apsis("check", "jobs", "--strict") == 1
    jobs(b="program: 5\n")
    assert apsis("check", "jobs") == 1
    assert "jobs/b.yaml:1:10: error: program: expected" in capsys.readouterr().out


def test_check_writes_json_that_scripts_can_rely_on(jobs, capsys):
    jobs(a=WARNED, b="prgram: x\n")
    assert apsis("check", "jobs", "--format", "json") == 1
    found = json.loads(capsys.readouterr().out)
    assert {"file", "line", "column", "severity", "code", "message"} <= found[0].keys()
    assert found[0]["file"] == "a.yaml"
    assert [(each["file"], each["line"], each["column"], each["severity"], each["code"]) for each in found] == [
        ("a.yaml", 2, 10, "warning", "unquoted"),
        ("b.yaml", 1, 1, "error", "missing"),
        ("b.yaml", 1, 1, "error", "unknown_key"),
    ]


def test_check_writes_annotations_for_github_in_which_nothing_can_break_out(jobs, capsys):
    jobs(a="params: x\nprogram: 'true'\nsuccessors: \"b%,\\n::error::x\"\n")
    assert apsis("check", "jobs", "--format", "github") == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("::error file=jobs/a.yaml,line=3,col=13,title=apsis ")
    assert "\n" not in lines[0]


def test_a_directory_that_is_not_there_is_said_so(jobs, capsys):
    jobs(a=GOOD)
    assert apsis("check", "nowhere") == 5
    assert "there is no job directory nowhere" in capsys.readouterr().err
    assert apsis("check", "jobs/a.yaml") == 2
    assert "name the job directory" in capsys.readouterr().err
    assert apsis("check", "jobs", "--horizon", "soon") == 2


def test_without_a_directory_the_homes_own_is_checked_with_its_config(jobs, tmp_path, capsys):
    assert apsis("check") == 1
    assert "is not an Apsis home" in capsys.readouterr().err
    home = tmp_path / "home"
    (home / "jobs").mkdir(parents=True)
    (home / "apsis.yaml").write_text("resources: {db: 2}\n")
    (home / "jobs" / "a.yaml").write_text("program: 'true'\nresources: {db: 3}\n")
    assert apsis("check") == 1
    assert "a run takes 3 of 'db', and there are 2" in capsys.readouterr().out
    # named by its path it is the same directory
    assert apsis("check", str(home / "jobs")) == 1
    assert "a run takes 3 of 'db', and there are 2" in capsys.readouterr().out


def test_many_jobs_are_checked_by_all_processors_with_the_same_findings(jobs, monkeypatch):
    from datetime import UTC, datetime

    from apsis.checking import directory
    from apsis.checking.one_job import Frame

    root = jobs(**{f"j{number}": (WARNED if number % 7 == 0 else GOOD) for number in range(450)})
    frame = Frame(now=datetime(2026, 6, 1, tzinfo=UTC))
    steps = []
    shared = directory.check_directory(root, frame, lambda done, total: steps.append((done, total)))
    monkeypatch.setattr(directory, "_MANY", 1000)
    alone = directory.check_directory(root, frame)
    assert len(shared.findings) == 65
    assert shared == alone
    assert steps[-1] == (450, 450)
    assert steps == sorted(steps)


def test_on_a_terminal_a_long_check_shows_how_far_it_is(tmp_path):
    """The words go to stderr, a terminal, and are gone when the check is done; stdout has the findings alone."""
    script = (
        "import sys, time\nfrom apsis.cli.commands import check\n"
        "clock = iter(float(n) for n in range(100))\n"
        "check.time.monotonic = lambda: next(clock)\n"
        "show = check._progress()\n"
        "show(100, 10000); show(5000, 10000); show(10000, 10000)\n"
    )
    leader, follower = pty.openpty()
    process = subprocess.run([sys.executable, "-c", script], stderr=follower, stdout=subprocess.PIPE, timeout=60)
    os.close(follower)
    shown = os.read(leader, 4096).decode()
    os.close(leader)
    assert process.returncode == 0, shown
    assert "checking 5,000 of 10,000 jobs" in shown
    assert shown.endswith("\r\x1b[K")
    assert process.stdout == b""


LOAD = """\
params: {date: null, region: {default: eu}}
schedule: {type: daily, tz: UTC, daytime: '09:00', args: {region: us}}
condition: {type: dependency, job_id: fetch}
successors: report
program:
  type: shell
  command: load {{ date | quote }} {{ region | quote }}
  env: {MODE: fast}
  secrets: {TOKEN: api-token}
  timeout: {duration: 1h}
"""


def test_test_shows_what_one_run_would_be(jobs, capsys):
    jobs(load=LOAD, fetch=GOOD, report=GOOD)
    assert apsis("test", "load", "date=2026-06-30", "--job-dir", "jobs", "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["args"] == {"date": "2026-06-30", "region": "eu"}
    assert found["program"]["command"] == "load 2026-06-30 eu"
    assert {"MODE", "TOKEN", "APSIS_RUN_ID", "APSIS_ARG_DATE", "APSIS_ARG_REGION"} <= set(found["environment"])
    assert [each["text"] for each in found["conditions"]] == ["fetch(date=2026-06-30) is success"]
    assert found["actions"][0]["job_id"] == "report"
    assert found["actions"][0]["args"] == {"date": "2026-06-30"}
    assert len(found["schedules"][0]["next"]) == 3
    assert "fast" not in json.dumps(found["environment"])


def test_test_prints_it_for_people(jobs, capsys):
    jobs(load=LOAD, fetch=GOOD, report=GOOD)
    assert (
        apsis("test", "load", "date=2026-06-30", "region=us", "--at", "2026-06-30T00:00:00Z", "--job-dir", "jobs") == 0
    )
    shown = capsys.readouterr().out
    assert "command      load 2026-06-30 us" in shown
    assert "next: 2026-06-30T09:00:00.000000Z, 2026-07-01T09:00:00.000000Z" in shown
    assert "next with these args: 2026-06-30T09:00:00.000000Z" in shown
    assert "fetch(date=2026-06-30) is success" in shown


def test_test_says_clearly_what_does_not_fit(jobs, capsys):
    jobs(load=LOAD, fetch=GOOD, report=GOOD, broken="program: 5\n", gone=GOOD + "successors: nobody\n")
    for words, status, said in (
        (["lod"], 5, "Did you mean: load"),
        (["load"], 2, "job 'load' needs param 'date'"),
        (["load", "dat=1"], 2, "Did you mean: date"),
        (["load", "date"], 2, "Args are written NAME=VAL"),
        (["broken"], 1, "broken.yaml:1:10: error: program: expected"),
        (["gone", "date=1"], 1, "there is no job 'nobody'"),
    ):
        assert apsis("test", *words, "--job-dir", "jobs") == status
        assert said in capsys.readouterr().err
