"""`apsis` and `apsisctl` against a whole installation: what scripts rely on, and what people read."""

import json
import signal
import subprocess
import time

import pytest
from installation_stage import Installation, until

JOBS = {
    "etl/load": """
metadata: {description: Loads things.}
params: [date, region]
program: {type: shell, command: "echo loading {{ date }} {{ region }}"}
""",
    "etl/fails": 'program: {type: shell, command: "echo bad; exit 3"}\n',
    "slow": 'program: {type: shell, command: "for i in $(seq 200); do echo line $i; sleep 0.05; done"}\n',
    "split": 'program: {type: shell, command: "echo out; echo err >&2"}\noutput: {streams: split}\n',
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """One installation for all tests of this file."""
    stack = Installation(tmp_path_factory.mktemp("stack") / "home")
    stack.good("apsisctl", "init")
    for name, text in JOBS.items():
        stack.write_job(name, text)
    with __import__("socket").create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # a fixed port: what follows a run through a restart of the web looks for it at the same place
    stack.good("apsisctl", "start", "--port", str(port))
    yield stack
    stack.stop_everything()


def test_run_makes_a_run_and_wait_says_by_its_status_how_it_ended(stack):
    run_id = stack.good("apsis", "run", "etl/load", "date=2026-06-30", "region=eu").strip()
    assert stack.apsis("wait", run_id).returncode == 0
    assert stack.good("apsis", "output", run_id) == "loading 2026-06-30 eu\n"
    assert stack.apsis("run", "etl/fails", "--wait").returncode == 1
    assert stack.apsis("run", "etl/fails", "--wait", "--exit-code").returncode == 3
    shown = json.loads(stack.good("apsis", "run", "etl/load", "date=1", "region=x", "-o", "json"))
    assert shown["args"] == {"date": "1", "region": "x"}


def test_follow_prints_the_bytes_alone_on_stdout_and_exits_as_the_run_does(stack):
    result = stack.apsis("run", "etl/fails", "--follow")
    assert (result.stdout, result.returncode) == ("bad\n", 1)
    result = stack.apsis("run", "split", "--follow")
    assert result.stdout == "out\n"
    assert "err\n" in result.stderr
    binary = "printf '\\377\\000\\033[31m'; exit 0"
    result = subprocess.run(
        stack.command("apsis", "exec", "--follow", "--shell", "--", binary), env=stack.environ, capture_output=True,
        timeout=60,
    )  # fmt: skip
    assert result.stdout == b"\xff\x00\x1b[31m"


def test_following_goes_on_through_restarts_of_web_store_and_hub_without_a_byte_lost(stack):
    follow = subprocess.Popen(
        stack.command("apsis", "run", "slow", "--follow"), env=stack.environ, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert follow.stdout.readline() == "line 1\n"
    for service in ("web", "store", "hub"):
        stack.good("apsisctl", "restart", service)
    rest, said = follow.communicate(timeout=90)
    assert rest == "".join(f"line {n}\n" for n in range(2, 201)), said
    assert follow.returncode == 0


def test_ctrl_c_stops_the_watching_and_not_the_run_and_says_how_to_stop_it(stack):
    follow = subprocess.Popen(
        stack.command("apsis", "run", "slow", "--follow"), env=stack.environ, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    follow.stdout.readline()
    follow.send_signal(signal.SIGINT)
    _, said = follow.communicate(timeout=20)
    assert follow.returncode == 130
    run_id = said.split()[0]
    assert f"apsis stop {run_id}" in said
    assert stack.run_json(run_id)["state"] == "running"
    assert stack.apsis("stop", run_id).returncode == 0
    assert stack.apsis("wait", run_id).returncode in (0, 1)
    assert until(lambda: stack.run_json(run_id)["exit"])


def test_a_timeout_ends_the_waiting_with_124_and_not_the_run(stack):
    result = stack.apsis("run", "slow", "--wait", "--timeout", "0.5s")
    assert result.returncode == 124
    run_id = result.stderr.split()[0]
    assert "apsis stop" in result.stderr
    assert stack.apsis("kill", run_id).returncode == 0
    stack.apsis("wait", run_id)
    assert stack.run_json(run_id)["exit"]["signal"] == 9


def test_lists_have_the_forms_that_scripts_rely_on(stack):
    run_id = stack.good("apsis", "run", "etl/load", "date=form", "region=eu").strip()
    stack.apsis("wait", run_id)
    query = ("runs", "date==form")
    rows = json.loads(stack.good("apsis", *query, "-o", "json"))
    assert [row["run_id"] for row in rows] == [run_id]
    assert rows[0].keys() >= {"run_id", "job_id", "args", "state", "schedule_time", "timestamps", "outputs", "rev"}
    assert json.loads(stack.good("apsis", *query, "-o", "ndjson")) == rows[0]
    assert stack.good("apsis", *query, "-o", "ids") == f"{run_id}\n"
    head, line = stack.good("apsis", *query).splitlines()
    assert head.split("\t")[:3] == ["STATE", "RUN", "JOB"]
    assert line.split("\t")[:4] == ["success", run_id, "etl/load", "date=form region=eu"]
    assert stack.good("apsis", *query, "--columns", "id,state") == f"RUN\tSTATE\n{run_id}\tsuccess\n"
    assert "\x1b" not in stack.good("apsis", *query, "-o", "table")
    assert [job["job_id"] for job in json.loads(stack.good("apsis", "jobs", "job:etl/", "-o", "json"))] == [
        "etl/fails", "etl/load"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["run", "etl/lod"], 5, ["no job 'etl/lod'", "Did you mean: etl/load", "apsis jobs etl/"]),
        (
            ["run", "etl/load", "date=2026-06-30"], 2,
            ["needs param 'region' (got: date)", "Example: apsis run etl/load date=2026-06-30 region="],
        ),
        (["run", "etl/load", "dat=1", "region=eu"], 2, ["no param 'dat'", "Did you mean: date"]),
        (["run", "etl/load", "oops"], 2, ["'oops' is no arg", "NAME=VAL"]),
        (["run", "r1"], 2, ["r1 is a run", "apsis show r1", "apsis rerun r1"]),
        (["show", "r99999999"], 5, ["no run 'r99999999'"]),
        (["show", "etl/loa"], 5, ["Did you mean: etl/load"]),
        (["output", "r99999999"], 5, ["no run"]),
        (["stop", "r99999999"], 5, ["no run"]),
        (["runs", "state:faliure"], 2, ["column 7", "failure", "\n  state:faliure\n        ^^^^^^^"]),
        (["runs", "--columns", "stat"], 2, ["no column 'stat'", "state"]),
        (["rns"], 2, ["no command 'rns'", "Did you mean: run"]),
        (["runs", "--limt", "3"], 2, ["--limit"]),
        (["run", "slow", "--at", "25:00"], 2, ["25:00"]),
        (["skip", "--all-matching", "job:etl/"], 2, ["--yes"]),
        (["help", "filter"], 5, ["Did you mean: filters"]),
        (["--server", "http://127.0.0.1:1", "runs"], 8, ["cannot reach http://127.0.0.1:1 (connection refused)"]),
        (["--token-file", "/dev/null", "runs"], 7, ["--token-file"]),
    ],
    ids=lambda value: "_".join(value)[:30] if isinstance(value, list) else None,
)  # fmt: skip
def test_each_mistake_gets_a_sentence_that_says_what_to_do(stack, words, status, said):
    stack.apsis("exec", "--wait", "--", "true")
    result = stack.apsis(*words)
    assert result.returncode == status, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    for part in said:
        assert part in result.stderr
    assert "Traceback" not in result.stderr


def test_an_action_that_the_state_forbids_is_refused_with_6(stack):
    run_id = stack.good("apsis", "run", "etl/fails", "-o", "ids").strip()
    stack.apsis("wait", run_id)
    result = stack.apsis("skip", run_id)
    assert result.returncode == 6
    assert run_id in result.stderr
    rerun = json.loads(stack.good("apsis", "rerun", run_id, "-o", "json"))
    assert rerun["rerun_of"] == run_id


def test_a_run_at_a_time_is_scheduled_said_back_and_can_be_skipped_or_started(stack):
    result = stack.apsis("run", "etl/load", "date=at", "region=eu", "--at", "+1h")
    assert "--at 20" in result.stderr
    run_id = result.stdout.strip()
    assert stack.run_json(run_id)["state"] == "scheduled"
    assert stack.apsis("start", run_id).returncode == 0
    assert stack.apsis("wait", run_id).returncode == 0
    other = stack.apsis("run", "etl/load", "date=at", "region=eu", "--at", "+1h").stdout.strip()
    assert stack.apsis("skip", other).returncode == 0
    assert stack.apsis("wait", other).returncode == 4


def test_output_can_be_had_from_the_end_from_the_start_and_by_bytes(stack):
    run_id = stack.good("apsis", "exec", "-o", "ids", "--shell", "--", "seq 1000").strip()
    stack.apsis("wait", run_id)
    until(lambda: stack.good("apsis", "output", run_id).endswith("\n1000\n"))
    assert stack.good("apsis", "output", run_id, "-n", "2") == "999\n1000\n"
    assert stack.good("apsis", "output", run_id, "--head", "2") == "1\n2\n"
    assert stack.good("apsis", "output", run_id, "--range", "2-3") == "2\n"
    assert stack.good("apsis", "output", run_id, "-f", "-n", "1") == "1000\n"
    assert stack.apsis("output", run_id, "nix").returncode == 5


def test_the_log_says_who_moved_a_run_and_why(stack):
    run_id = stack.good("apsis", "run", "etl/fails").strip()
    stack.apsis("wait", run_id)
    entries = json.loads(stack.good("apsis", "log", run_id, "-o", "json"))
    assert entries[-1]["event"] == "failure"
    assert "exit 3" in stack.good("apsis", "log", run_id)
    assert "failure" in stack.good("apsis", "show", run_id, "--log")


def test_watch_in_a_pipe_has_a_snapshot_a_sync_and_then_each_change(stack):
    watch = subprocess.Popen(
        stack.command("apsis", "watch", "job:etl/fails", "-o", "ndjson"), env=stack.environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    events = []
    while not events or events[-1]["event"] != "sync":
        events.append(json.loads(watch.stdout.readline()))
    assert {event["event"] for event in events[:-1]} <= {"snapshot"}
    run_id = stack.good("apsis", "run", "etl/fails").strip()
    seen = []
    while not seen or seen[-1]["run"]["state"] != "failure":
        seen.append(json.loads(watch.stdout.readline()))
    assert seen[0]["event"] == "added"
    assert {event["run"]["run_id"] for event in seen} == {run_id}
    watch.send_signal(signal.SIGINT)
    _, said = watch.communicate(timeout=20)
    assert "Traceback" not in said


def test_a_reader_that_has_enough_gets_no_traceback(stack):
    result = subprocess.run(
        ["bash", "-c", f"{' '.join(map(_quoted, stack.command('apsis', 'runs')))} | head -1"],
        env=stack.environ, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert result.stdout.startswith("STATE")
    assert result.stderr == ""


def test_a_job_file_that_is_wrong_is_reported_by_reload_and_the_others_stay(stack):
    path = stack.home.jobs / "broken.yaml"
    path.write_text("program: {type: shell, comand: 'true'}\n")
    result = stack.ctl("reload")
    assert result.returncode == 1
    assert "broken.yaml:1" in result.stderr
    assert "etl/load" in stack.good("apsis", "jobs", "-o", "ids")
    path.unlink()
    stack.write_job("fresh", "program: {type: no-op}\n")
    assert "added  fresh" in stack.good("apsisctl", "reload")


def test_logs_come_in_order_of_time_and_are_followed(stack):
    lines = stack.good("apsisctl", "logs", "-n", "20").splitlines()
    stamps = [line[:24] for line in lines if line[:2] == "20"]
    assert stamps == sorted(stamps)
    assert stack.ctl("logs", "wbe").returncode == 5
    follow = subprocess.Popen(
        stack.command("apsisctl", "logs", "web", "-f", "-n", "0"), env=stack.environ, stdout=subprocess.PIPE, text=True
    )
    time.sleep(0.5)
    stack.good("apsisctl", "restart", "web")
    line = follow.stdout.readline()
    follow.send_signal(signal.SIGINT)
    follow.communicate(timeout=10)
    assert "web" in line


def _quoted(word):
    import shlex

    return shlex.quote(word)
