"""The twelve questions of docs/why.md, asked of a real installation by the command that stands there."""

import re
import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.commands import say
from harness.installation import Installation, until

CONFIG = "\nresources: {db: 2}\n"
JOBS = {
    "etl/load": """
params: [date]
program: {type: no-op, duration: 0.2}
schedule: {name: nightly, type: daily, tz: UTC, daytime: "03:00", calendar: Mon-Thu}
""",
    "etl/check": """
params: [date]
program: {type: no-op}
condition: {type: dependency, job_id: etl/load}
""",
    "etl/report": """
params: [date]
program: {type: no-op}
condition: {type: dependency, job_id: etl/check}
""",
    "long": "program: 'exec sleep 60'\n",
    "bad": "program: 'echo no >&2; exit 3'\n",
    "alone": "program: 'sleep 1.5'\ncondition: {type: max_running, count: 1}\n",
    "tick": """
program: {type: no-op}
schedule: {name: tick, type: interval, interval: 10 min, catch_up: none}
""",
    "copy": "program: 'exec sleep 60'\nresources: {db: 2}\n",
    "never": "program: {type: no-op}\ncondition: {type: const, value: false}\n",
}
PAGE = Path(__file__).parents[3] / "docs" / "why.md"


def test_why_is_a_run_waiting(apsis: Installation, ask: Any, below: Any) -> None:
    report = apsis.make("etl/report", args={"date": "2026-06-30"})[0]["run_id"]
    check = apsis.make("etl/check", args={"date": "2026-06-30"})[0]["run_id"]
    until(lambda: apsis.run(report)["state"] == "waiting", 20, "it to wait")
    answer = ask.why(report)
    assert answer["subject"] == report
    assert "etl/check(date=2026-06-30) is success" in answer["answer"]
    kinds, texts = below(answer["because"])
    assert kinds == ["condition", "run", "condition", "no_run"]
    assert f"{check} of etl/check is waiting" in texts
    assert "there is no run of etl/load with date=2026-06-30" in texts
    assert "apsis run etl/load date=2026-06-30" in ask.text("why", report)
    needs = apsis.call("GET", f"/runs/{check}/dependencies")
    assert [each["run_id"] for each in needs["blocks"]] == [report]
    assert [each["kind"] for each in needs["needs"]] == ["condition"]


def test_why_did_a_job_not_run_on_friday(apsis: Installation, ask: Any) -> None:
    today = datetime.now().astimezone().date()
    friday = today - timedelta(days=(today.weekday() - 4) % 7)
    answer = ask.why("etl/load", "--on", "friday")
    assert answer["subject"] == f"etl/load on Friday {friday}"
    assert answer["answer"].startswith(f"calendar 'Mon-Thu' leaves out Friday {friday}; its next date is ")


def test_what_runs_tonight(apsis: Installation, ask: Any) -> None:
    done = apsis.make("etl/load", args={"date": "2026-01-01"})[0]["run_id"]
    until(lambda: apsis.run(done)["state"] == "success", 20, "a success")
    runs = ask.next("job:etl/", "--until", "+8d")
    assert runs
    assert [run["schedule_time"] for run in runs] == sorted(run["schedule_time"] for run in runs)
    for run in runs:
        due = datetime.fromisoformat(run["schedule_time"])
        assert run["args"] == {"date": due.date().isoformat()}
        assert (due.hour, due.weekday() < 4, run["schedule"]) == (3, True, "nightly")
        assert run["duration"] == pytest.approx(0.2, abs=0.05)
        assert datetime.fromisoformat(run["expected_end"]) - due == timedelta(seconds=run["duration"])
    # what is made ahead has its id, what lies beyond the horizon is computed, and nothing is in it twice
    made = {run["schedule_time"]: run["run_id"] for run in apsis.runs("job:etl/load state:scheduled")}
    assert {run["schedule_time"]: run["run_id"] for run in runs if run["run_id"]} == made
    assert len(runs) in (4, 5)


def test_what_changes_if_i_load_this_directory(apsis: Installation, ask: Any, tmp_path: Path) -> None:
    for job_id in ("etl/load", "tick"):
        file = tmp_path / f"{job_id}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(JOBS[job_id])
    same = ask.next("--job-dir", str(tmp_path), "--diff", "--until", "+5d")
    assert same == {"added": [], "removed": [], "moved": []}
    (tmp_path / "etl/load.yaml").write_text(JOBS["etl/load"].replace("03:00", "04:30"))
    (tmp_path / "new.yaml").write_text('program: {type: no-op}\nschedule: {type: daily, tz: UTC, daytime: "05:00"}\n')
    (tmp_path / "tick.yaml").unlink()
    found = ask.next("--job-dir", str(tmp_path), "--diff", "--until", "+5d")
    assert {run["job_id"] for run in found["added"]} == {"new"}
    assert {run["job_id"] for run in found["removed"]} == {"tick"}
    assert found["moved"]
    for run in found["moved"]:
        assert (run["job_id"], run["before"][11:16], run["after"][11:16]) == ("etl/load", "03:00", "04:30")
    assert "~" in ask.text("next", "--job-dir", str(tmp_path), "--diff", "--until", "+5d")


def test_who_stopped_a_run(apsis: Installation, ask: Any, below: Any) -> None:
    run_id = apsis.make("long")[0]["run_id"]
    until(lambda: apsis.run(run_id)["state"] == "running", 20, "it to run")
    ask.text("stop", run_id)
    until(lambda: apsis.run(run_id)["state"] == "success", 20, "it to end")
    answer = ask.why(run_id)
    kinds, texts = below(answer["because"])
    assert "person" in kinds
    assert re.search(r"stopped by \S+ \(by \S+ at ", texts)
    assert "signal 15 (SIGTERM)" in texts


def test_why_did_a_run_fail(apsis: Installation, ask: Any, below: Any) -> None:
    run_id = apsis.make("bad")[0]["run_id"]
    until(lambda: apsis.run(run_id)["state"] == "failure", 20, "it to fail")
    answer = ask.why(run_id)
    assert answer["answer"].startswith("it failed at ")
    assert answer["answer"].endswith(": exit 3")
    assert below(answer["because"]) == (["exit"], "its program ended with exit status 3\n")
    assert f"apsis output {run_id}" in ask.text("why", run_id)


def test_why_was_a_run_late(apsis: Installation, ask: Any, below: Any) -> None:
    first, second = (run["run_id"] for run in apsis.make("alone", 2))
    until(lambda: apsis.run(second)["state"] == "success", 30, "both to end")
    kinds, texts = below(ask.why(second)["because"])
    assert kinds[:3] == ["exit", "late", "waited"]
    assert "fewer than 1 of alone running" in texts
    assert "late" not in below(ask.why(first)["because"])[0]


def test_when_does_a_job_run_next_and_why_not_on_that_day(apsis: Installation, ask: Any) -> None:
    answer = ask.why("etl/load")
    following = ask.next("job:etl/", "--until", "+8d")[0]["schedule_time"]
    assert answer["answer"] == f"it is due next at {following}"
    start = datetime.now(UTC)
    end = start + timedelta(days=14)
    window = f"from={start:%Y-%m-%dT%H:%M:%SZ}&to={end:%Y-%m-%dT%H:%M:%SZ}"
    (schedule,) = apsis.call("GET", f"/jobs/etl%2Fload/schedule?{window}")["schedules"]
    assert schedule["times"][0] == following
    out = {date.fromisoformat(each["date"]) for each in schedule["left_out"]}
    assert out == {day for n in range(15) if (day := start.date() + timedelta(days=n)).weekday() in (4, 5, 6)}
    assert {each["because"][0]["kind"] for each in schedule["left_out"]} == {"calendar"}


def test_what_holds_a_resource(apsis: Installation, ask: Any, below: Any) -> None:
    holder = apsis.make("copy")[0]["run_id"]
    until(lambda: apsis.run(holder)["state"] == "running", 20, "it to hold the resource")
    waiter = apsis.make("copy")[0]["run_id"]
    until(lambda: apsis.run(waiter)["state"] == "waiting", 20, "the other to wait")
    answer = ask.why("--resource", "db")
    assert answer["answer"] == "2 of 2 are held, 0 are free"
    kinds, texts = below(answer["because"])
    assert kinds == ["holder", "waits"]
    assert f"{holder} of copy holds 2, running since" in texts
    kinds, texts = below(ask.why(waiter)["because"])
    assert kinds[:2] == ["resource", "run"]
    assert f"{holder} of copy is running" in texts
    assert "there is no resource tape" in ask.why("--resource", "tape")["answer"]
    ask.text("skip", waiter)
    ask.text("stop", holder)


def test_can_a_job_ever_run(apsis: Installation, ask: Any, below: Any) -> None:
    answer = ask.why("never")
    assert answer["answer"] == "it can never run by itself"
    assert "never holds" in below(answer["because"])[1]
    waiting = apsis.make("never")[0]["run_id"]
    until(lambda: apsis.run(waiting)["state"] in ("waiting", "error"), 20, "it to wait")
    assert f"apsis start {waiting}" in ask.text("why", waiting) or apsis.run(waiting)["state"] == "error"
    if apsis.run(waiting)["state"] == "waiting":
        ask.text("skip", waiting)


def test_why_is_nothing_starting_at_all(apsis: Installation, ask: Any, below: Any) -> None:
    apsis.call("POST", "/control/pause", {"reason": "the air conditioning"})
    try:
        answer = ask.why()
        assert answer["answer"].startswith("everything is paused by ")
        assert answer["answer"].endswith(": the air conditioning")
        assert "apsis resume --all" in ask.text("why")
        assert ask.why("etl/load")["answer"] == answer["answer"]
        assert ask.next() == []
    finally:
        apsis.call("POST", "/control/resume", {})
    assert not ask.why()["answer"].startswith("everything is paused")


def test_which_runs_were_missed_while_apsis_was_down(apsis: Installation, ask: Any, below: Any) -> None:
    apsis.control("stop", "--kill-runs")
    # as if it had been stopped for three hours
    database = apsis.home / "db" / "apsis.db"
    then = int((datetime.now(UTC) - timedelta(hours=3)).timestamp() * 1e6)
    with sqlite3.connect(database) as sql:
        sql.execute("UPDATE cursor SET at = ? WHERE key = 'tick'", (then,))
        sql.execute("DELETE FROM run WHERE job_id = 'tick' AND finished = 0")
    sql.close()
    away = say(apsis.home, "apsis", "why")
    assert (away.code, away.out) == (8, "")
    assert "apsisctl start" in away.err
    apsis.start()
    until(lambda: ask.why("--missed")["because"], 20, "the record of what was missed")
    answer = ask.why("--missed", "--since=-4h")
    kinds, texts = below(answer["because"])
    assert set(kinds) == {"not_run"}
    assert re.search(r"tick: \d+ due times from \S+ to \S+ did not run: .*catch_up: none", texts)
    missed = ask.why("tick", "--on=-1h")
    assert "catch_up: none" in missed["answer"] or "no due time" in missed["answer"]


def test_each_question_of_the_page_is_asked_here() -> None:
    asked = re.findall(r"^## (\d+)\. .+\n<!-- (test_\w+) -->$", PAGE.read_text(), re.MULTILINE)
    assert [int(number) for number, _ in asked] == list(range(1, 13))
    assert {test for _, test in asked} == {name for name in globals() if re.match("test_(?!each)", name)}
