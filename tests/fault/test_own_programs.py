"""Programs that are no mere command, in a whole installation: functions, requests, classes, upkeep."""

import importlib.util
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.installation import Installation, until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs/examples"

JOBS = {
    "function": "program: {type: python, function: 'calendar:leapdays', kwargs: {y1: 1900, y2: 2072}}\n",
    "no function": "program: {type: python, function: 'operator:nothing'}\n",
    "request": "params: [url]\nprogram: {type: http, url: '{{ url }}', expect: {json: {alive: true}}}\n",
    "refused": "params: [url]\nprogram: {type: http, url: '{{ url }}'}\n",
    "no-op": "program: {type: no-op}\n",
    "many": "params: [n]\nprogram: {type: program, argv: [/bin/echo, '{{ n }}']}\noutput: {keep: {count: 2}}\n",
    "stats": "program: {type: stats, path: stats.json}\n",
    "archive": "program: {type: archive, age: 0, path: old.db, count: 7, chunk_size: 3}\n",
    "vacuum": "program: {type: vacuum}\n",
    "retention": "program: {type: retention}\n",
    "gone": "program: {type: apsis_example.programs.Gone}\n",
    "wrong": "program: {type: copy, source: a, traget: b}\n",
    "raising": "program: {type: raising.Class}\n",
    **{path.stem: path.read_text() for path in (EXAMPLES / "jobs").glob("*.yaml")},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed as a user does it, but into a folder of its own."""
    source, target = tmp_path_factory.mktemp("source") / "examples", tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLES, source)
    # where this environment cannot build a wheel itself, pip fetches what can, as it does for Apsis's own
    alone = ["--no-build-isolation", "--no-index"] if importlib.util.find_spec("wheel") else []
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *alone,
         "--disable-pip-version-check", "--target", str(target), str(source)],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (target / "raising.py").write_text("1 / 0\n")
    return target


@pytest.fixture(scope="module")
def home(site: Path) -> Iterator[Installation]:
    with Installation(JOBS, environment={"PYTHONPATH": str(site)}) as installation:
        with (installation.home / "apsis.yaml").open("a") as config:
            config.write("\nhttp: {allow_private: [127.0.0.1]}\nschedule: {horizon: 3000000}\n")
        installation.control("restart", "scheduler")
        yield installation


def start(home: Installation, job: str, **args: str) -> str:
    (run,) = home.make(job, args=args)
    return str(run["run_id"])


def ended(home: Installation, run_id: str) -> dict[str, Any]:
    until(lambda: home.run(run_id)["state"] in ("success", "failure", "error"), 60, f"the end of {run_id}")
    return home.run(run_id)


def ran(home: Installation, job: str, **args: str) -> dict[str, Any]:
    return ended(home, start(home, job, **args))


def printed(home: Installation, run: dict[str, Any]) -> str:
    size = run["outputs"].get("output", 0)
    until(lambda: len(home.output(run["run_id"])) >= size, 30, "the output")
    return home.output(run["run_id"]).decode()


def test_a_function_is_called_and_its_result_is_the_exit_status(home: Installation) -> None:
    run = ran(home, "function")
    assert (run["state"], run["exit"]["code"]) == ("failure", 42)
    run = ran(home, "no function")
    assert (run["state"], run["reason"]) == ("error", "exit 125: it could not be carried out; its output says why")
    assert printed(home, run) == "Error: module operator has no function 'nothing'\n"


def test_a_request_is_made_where_the_config_allows_it_and_nowhere_else(home: Installation) -> None:
    run = ran(home, "refused", url="http://10.255.255.1/")
    assert run["state"] == "error"
    assert "10.255.255.1, which is not a public address" in printed(home, run)
    run = ran(home, "request", url=f"{home.url}/api/v1/alive")
    assert run["state"] == "success", printed(home, run)
    assert printed(home, run).startswith('HTTP/1.1 200 OK\n\n{"alive":true}')


def test_the_classes_of_an_installed_package_are_used_by_their_entry_points(home: Installation, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("seven!\n")
    run = ran(home, "copy", source=str(tmp_path / "in"), target=str(tmp_path / "out"))
    assert run["state"] == "success", printed(home, run)
    assert printed(home, run) == f"7 bytes copied by {run['run_id']}\n"
    assert (tmp_path / "out").read_text() == "seven!\n"
    run = ran(home, "copy", source=str(tmp_path / "missing"), target=str(tmp_path / "out"))
    assert (run["state"], printed(home, run)) == ("failure", f"{tmp_path}/missing has not come yet\n")


def test_a_schedule_of_an_installed_package_makes_its_runs(home: Installation) -> None:
    until(lambda: home.count("job:month-end state:scheduled") > 0, 30, "its runs")
    args = home.runs("job:month-end state:scheduled")[0]["args"]
    assert args["date"].startswith(args["month"])
    assert args["date"][-2:] in ("28", "29", "30", "31")


def test_a_condition_and_an_action_of_an_installed_package_are_carried_out(home: Installation, tmp_path: Path) -> None:
    assert ran(home, "when-free")["state"] == "success"
    note = tmp_path / "notes"
    run = ran(home, "noted", file=str(note))
    assert run["state"] == "success"
    until(lambda: note.exists() and run["run_id"] in note.read_text(), 30, "the action")
    assert len(note.read_text().splitlines()) == 1


def test_a_class_that_cannot_be_used_is_reported_with_its_job_and_hurts_nothing_else(home: Installation) -> None:
    errors = {error["file"]: error for error in home.call("GET", "/jobs")["errors"]}

    assert set(errors) == {"gone.yaml", "wrong.yaml", "raising.yaml"}
    assert "apsis_example.programs has no 'Gone'" in errors["gone.yaml"]["message"]
    assert errors["gone.yaml"]["line"] == 1
    assert "takes no key 'traget' (did you mean 'target'?)" in errors["wrong.yaml"]["message"]
    assert "importing raising fails: ZeroDivisionError: division by zero" in errors["raising.yaml"]["message"]


def test_a_class_goes_on_although_everything_around_it_is_killed(home: Installation, tmp_path: Path) -> None:
    run_id = start(home, "detached", folder=str(tmp_path))
    begun = tmp_path / "begun"
    until(lambda: begun.exists() and home.run(run_id)["state"] == "running", 60, "its begin")
    keeper = int(home.run(run_id)["pid"])
    (follower,) = [int(pid) for pid in Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()]
    for name in ("supervisor", "scheduler", "hub"):
        home.kill(name)
    os.kill(follower, signal.SIGKILL)
    until(lambda: b"attached to" in home.output(run_id), 60, "another process")
    (tmp_path / "go").touch()

    run = ended(home, run_id)
    assert (run["state"], run["exit"]["code"]) == ("success", 0)
    assert begun.read_text() == "begun\n"


def test_stats_are_printed_and_appended_as_lines_of_json(home: Installation) -> None:
    first, second = ran(home, "stats"), ran(home, "stats")

    assert (first["state"], second["state"]) == ("success", "success"), printed(home, second)
    lines = [json.loads(line) for line in (home.home / "stats.json").read_text().splitlines()]
    assert len(lines) == 2
    assert json.loads(printed(home, second)) == lines[1]
    assert lines[1]["stats"]["jobs"] > 10
    assert lines[1]["health"]["services"]


def test_old_runs_leave_the_database_for_the_archive_and_every_list(home: Installation) -> None:
    made = [ran(home, "no-op")["run_id"] for _ in range(3)]
    before = home.count("")
    run = ran(home, "archive")

    assert run["state"] == "success", printed(home, run)
    *steps, last = printed(home, run).splitlines()
    assert steps[0] == "3 runs archived"
    assert json.loads(last)["archived"] == 7
    sql = sqlite3.connect(home.home / "old.db")
    archived = [run_id for (run_id,) in sql.execute("SELECT run_id FROM v_run ORDER BY time_key, num")]
    sql.close()
    assert len(archived) == 7
    until(lambda: home.count("") == before + 1 - 7, 20, "the lists")
    listed = {each["run_id"] for each in home.runs("")}
    assert not listed & set(archived)
    # the latest are not the first to go
    assert made[-1] in listed
    assert ran(home, "vacuum")["state"] == "success"


def test_retention_removes_what_is_no_longer_kept(home: Installation) -> None:
    runs = [ran(home, "many", n=str(number)) for number in range(4)]
    run = ran(home, "retention")

    assert run["state"] == "success", printed(home, run)
    assert set(json.loads(printed(home, run))) == {"removed"}
    until(lambda: not home.run(runs[0]["run_id"]) or _is_gone(home, runs[0]["run_id"]), 30, "its output to go")
    assert home.output(runs[3]["run_id"]) == b"3\n"


def _is_gone(home: Installation, run_id: str) -> bool:
    try:
        home.output(run_id)
    except OSError as error:
        return getattr(error, "code", 0) in (404, 410)
    return False
