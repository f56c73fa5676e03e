"""The demo jobs: all load without a finding, show what there is, and do what their descriptions say."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from pathlib import Path
from threading import Thread

import pytest

import apsis
from apsis.actions.registry import TYPES as ACTION_TYPES
from apsis.conditions.registry import TYPES as CONDITION_TYPES
from apsis.jobs import bind_args, complete_args, expand, load_jobs
from apsis.messages.body import encode
from apsis.programs.noop import NoOp
from apsis.programs.registry import TYPES as PROGRAM_TYPES
from apsis.schedules.registry import TYPES as SCHEDULE_TYPES

DEMO = Path(apsis.__file__).parent / "demo"
LOADED = load_jobs(DEMO / "jobs", today=date(2026, 6, 30))
NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
#: jobs that end otherwise than by themselves, with 0
OTHERWISE = (
    "tools/flaky",
    "processes/stubborn",
    "processes/too slow",
    "processes/family",
    "processes/shift worker",
    "apsis/report",
    "tools/progress",
)


@pytest.fixture
def home(tmp_path):
    """A home with the demo's files, as `apsisctl init --demo` makes it; at the end none of its processes is left."""
    root = tmp_path / "home"
    shutil.copytree(DEMO, root)
    (root / "apsis.yaml").write_text("{}\n")
    (root / "token").write_text("secret\n")
    yield root
    for pid, _ in descendants_of(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def first_args(job):
    """Return the args of the first run of each schedule; of a job without schedules, some that fit."""
    found = [bind_args(job, schedule, next(schedule.occurrences(NOW))) for schedule in job.schedules]
    samples = {"date": "2026-06-30", "region": "eu", "job": "a job", "run": "r1"}
    return found or [complete_args(job, {name: samples[name] for name in job.params if name in samples})]


def start(job_id, home, args=None):
    """Start the program of a job's run as a supervisor would."""
    job = LOADED.jobs[job_id]
    process = expand(job, "r1", args or first_args(job)[0], NOW).program.to_process()
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "APSIS_HOME": str(home), **process.env}
    return subprocess.Popen(
        process.argv,
        env=env,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(job_id, home, args=None):
    """Return the exit status and the output of a job's program."""
    process = start(job_id, home, args)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


#: other spellings, what cares for an installation itself, and what needs a receiver: `docs/jobs` has examples of them
ELSEWHERE = {name for name in PROGRAM_TYPES if "." in name or name.startswith("procstar")}
ELSEWHERE |= {"stats", "archive", "vacuum", "retention", "python", "http", "command", "email", "webhook"}
ELSEWHERE |= {"const", "file", "skip_duplicate"}


def test_all_load_without_a_finding():
    assert [str(each) for each in LOADED.errors] == []
    assert len(LOADED.jobs) >= 14


@pytest.mark.parametrize("job_id", LOADED.jobs)
def test_each_has_a_description_and_labels_and_its_runs_can_be_bound(job_id):
    job = LOADED.jobs[job_id]
    assert len(job.description) > 30
    assert job.labels
    for args in first_args(job):
        known = {each: job.params for each, job in LOADED.jobs.items()}
        expand(job, "r1", args, NOW, params_of=known.get)


def test_together_they_show_each_type_and_feature_that_there_is():
    jobs = LOADED.jobs.values()
    schedules = [schedule for job in jobs for schedule in job.schedules]
    assert {each.type for each in schedules} == set(SCHEDULE_TYPES)
    assert {job.program.type for job in jobs} == set(PROGRAM_TYPES) - ELSEWHERE
    assert {each.type for job in jobs for each in job.conditions} == set(CONDITION_TYPES) - ELSEWHERE
    assert {each.type for job in jobs for each in job.actions} == set(ACTION_TYPES) - ELSEWHERE
    assert any(job.successors for job in jobs)
    assert any(schedule.terms.stop for schedule in schedules)
    assert any("acme-closed" in str(getattr(schedule, "calendar", "")) for schedule in schedules)
    assert any(not job.schedules for job in jobs)


def test_within_a_minute_more_than_25_runs_of_more_than_10_jobs_are_due():
    """From any start: what is due in the first 45 s, so that its runs are finished within 60."""
    for offset in range(0, 240, 7):
        begin = datetime.fromtimestamp(1782820800 + offset, UTC)
        due = [
            (job.job_id, each)
            for job in LOADED.jobs.values()
            if not job.job_id.startswith("processes/")
            for schedule in job.schedules
            for each in islice(schedule.occurrences(begin), 60)
            if (each.time - begin).total_seconds() <= 45
        ]
        assert len(due) >= 25
        assert len({job_id for job_id, _ in due}) >= 10


@pytest.mark.parametrize(
    "job_id", [each for each in LOADED.jobs if each not in (*OTHERWISE, "sales/transform", "sales/report")]
)
def test_its_program_runs_and_writes_only_below_demo_data(job_id, home):
    job = LOADED.jobs[job_id]
    before = contents(home)
    if isinstance(expand(job, "r1", first_args(job)[0], NOW).program, NoOp):
        return
    began = time.monotonic()
    for args in first_args(job)[:1]:
        status, output = run(job_id, home, args)
        assert (status, bool(output)) == (0, True), output
    assert time.monotonic() - began < 30
    changed = {path for path, content in contents(home).items() if before.get(path) != content}
    assert {path.parts[0] for path in changed} <= {"demo-data"}


def contents(home):
    return {path.relative_to(home): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_the_sales_chain_makes_a_report_of_all_regions(home):
    for region in ("eu", "us", "asia"):
        args = {"date": "2026-06-30", "region": region}
        assert run("sales/load", home, args) == (0, f"loaded 8 rows of {region} for 2026-06-30, a Tue\n")
        assert run("sales/transform", home, args)[0] == 0
    status, output = run("sales/report", home, {"date": "2026-06-30"})
    assert status == 0
    assert {"anchor", "buoy", "compass", "rope", "total"} <= set(output.split())
    assert (home / "demo-data/sales/2026-06-30/report.txt").read_text() == output


def test_a_step_of_the_sales_chain_without_the_one_before_fails_and_says_so(home):
    status, output = run("sales/transform", home, {"date": "2026-06-30", "region": "eu"})
    assert status == 1
    assert "the step before has not run" in output


def test_the_log_is_rotated_and_at_most_three_old_ones_are_kept(home):
    log = home / "demo-data" / "log" / "heartbeat.log"
    log.parent.mkdir(parents=True)
    for n in range(5):
        log.write_text(f"{n}" * 3000)
        assert "rotated" in run("system/rotate log", home)[1]
    assert not log.exists()
    assert sorted(each.name for each in log.parent.iterdir()) == [f"heartbeat.log.{n}.gz" for n in (1, 2, 3)]
    log.write_text("short")
    assert "rotated above" in run("system/rotate log", home)[1]


def test_the_backup_keeps_five_and_has_neither_token_nor_database(home):
    import tarfile

    for _ in range(7):
        assert run("backup/home", home)[0] == 0
    kept = sorted((home / "demo-data/backups").iterdir())
    assert len(kept) == 5
    with tarfile.open(kept[-1]) as archive:
        names = archive.getnames()
    assert "apsis.yaml" in names
    assert "jobs/backup/home.yaml" in names
    assert "token" not in names


def test_the_flaky_job_sometimes_fails_and_mostly_succeeds(home):
    processes = [start("tools/flaky", home) for _ in range(24)]
    ends = []
    for process in processes:
        process.communicate(timeout=60)
        ends.append(process.returncode)
    assert set(ends) <= {0, 7}
    assert ends.count(0) > ends.count(7)


def test_the_progress_bar_has_colours_and_is_drawn_over_itself(home):
    process = start("tools/progress", home)
    assert "Polishing the bell" in process.stdout.readline()
    assert "\x1b[33m[" in process.stdout.readline() + process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    script = [sys.executable, str(home / "scripts/progress.py"), "--seconds", "0.3"]
    done = subprocess.run(script, capture_output=True, check=True, timeout=30).stdout
    assert done.count(b"\r") == 3
    assert b"\x1b[32m" in done
    assert "It shines." in done.decode()


def test_the_family_leaves_a_detached_child(home):
    process = start("processes/family", home)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert output.count(f"child of {process.pid}") == 3
    assert [line for _, line in descendants_of(home)] == [b"sleep\x00300\x00"]


def descendants_of(home):
    """Return the processes (pid, command line) that have this test's home in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if f"APSIS_HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((int(folder.name), (folder / "cmdline").read_bytes()))
            except OSError:
                continue
    return found


def test_the_stubborn_job_does_not_end_by_sigterm(home):
    process = start("processes/stubborn", home)
    assert process.stdout.readline() == "I stay.\n"
    os.killpg(process.pid, signal.SIGTERM)
    assert any(line.startswith("SIGTERM?") for line in process.stdout)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    bound = expand(LOADED.jobs["processes/stubborn"], "r1", {}, NOW).program
    assert (bound.timeout.duration, bound.stop.grace) == (3, 2)


def test_the_job_that_is_too_slow_is_still_there_when_its_time_is_out(home):
    bound = expand(LOADED.jobs["processes/too slow"], "r1", {}, NOW).program
    process = start("processes/too slow", home)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    assert bound.timeout.duration < float(bound.argv[1])
    process.send_signal(bound.timeout.signal)
    process.communicate(timeout=30)
    assert process.returncode == -bound.timeout.signal


def test_the_shift_worker_ends_well_when_it_is_stopped(home):
    process = start("processes/shift worker", home)
    assert "still working" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "the shift is over" in output


ANSWERS = {
    "/api/v1/version": {"version": "0.1.0"},
    "/api/v1/health": {
        "status": "warn",
        "checks": [{"id": "disk", "status": "warn", "message": "the disk is nearly full"}],
    },
    "/api/v1/runs": {
        "total": 3,
        "runs": [
            {"run_id": "r1", "job_id": "a", "state": "success"},
            {"run_id": "r2", "job_id": "b", "state": "failure", "reason": "exit 3"},
        ],
    },
}


class Answering(BaseHTTPRequestHandler):
    """Answers as Apsis does, to whoever has the token."""

    def do_GET(self):
        known = self.headers.get("Authorization") == "Bearer secret"
        body = encode(ANSWERS.get(self.path, {})) if known else b"{}"
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Stay quiet."""


def test_the_report_on_apsis_shows_health_and_runs(home):
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        (home / "run").mkdir()
        address = f"http://127.0.0.1:{server.server_port}"
        (home / "run" / "web.lock").write_text(encode({"ready": True, "address": address}).decode() + "\n")
        status, output = run("apsis/report", home)
        (home / "token").write_text("wrong\n")
        refused, words = run("apsis/report", home)
        server.shutdown()
    assert status == 0, output
    assert "health warn" in output
    assert "the disk is nearly full" in output
    assert "r2 b: exit 3" in output
    assert refused == 1
    assert "cannot ask Apsis" in words


def test_the_programs_need_nothing_but_python_and_a_shell():
    import ast

    for script in (DEMO / "scripts").glob("*.py"):
        for node in ast.walk(ast.parse(script.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module]
            assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names
