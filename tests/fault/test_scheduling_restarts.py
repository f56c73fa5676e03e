"""A pause, and `--since`, over kills and restarts of a whole installation; and a retry that is made once."""

import json
import subprocess
import time
from typing import Any

import pytest

from harness.installation import BIN, HarnessError, Installation, until

SECONDS = "program: {type: no-op}\nschedule: {type: interval, interval: 1, name: each second}\n"
FAILS = "program: {type: shell, command: exit 3}\nretry: {count: 2, delay: 1}\n"


def not_run(installation: Installation) -> list[dict[str, Any]]:
    """Return the records of due times that do not run."""
    lines = installation.request("GET", "/events?since=0").splitlines()
    events = [json.loads(line) for line in lines if line.strip()]
    return [event["detail"] for event in events if event.get("kind") == "not_run"]


def newest(installation: Installation) -> str:
    """Return the due time of the last run that has ended."""
    return max((run["schedule_time"] for run in installation.runs("job:seconds state:success")), default="")


@pytest.fixture
def seconds() -> Any:
    with Installation({"seconds": SECONDS, "fails": FAILS}) as found:
        until(lambda: newest(found) != "", 20, "the first run")
        yield found


def test_a_pause_outlives_a_kill_and_a_start_since_now_catches_nothing_up(seconds: Installation) -> None:
    seconds.command("apsis", "pause", "seconds", "--reason", "the feed is broken")
    before = newest(seconds)
    seconds.kill("scheduler")
    time.sleep(2.5)  # due times pass
    job = seconds.call("GET", "/jobs/seconds")
    assert (job["paused"]["by"], job["paused"]["reason"]) == ("user:admin", "the feed is broken")
    assert newest(seconds) == before
    again = subprocess.run(
        [BIN / "apsis", "pause", "seconds"], env=seconds.environment, capture_output=True, text=True, timeout=60
    )
    assert again.returncode != 0
    assert "is paused by user:admin since" in again.stderr
    seconds.command("apsis", "resume", "seconds")
    until(lambda: newest(seconds) > before, 20, "runs after the pause")
    (record,) = not_run(seconds)
    assert record["count"] >= 2
    assert "paused by user:admin" in record["reason"]
    assert "the feed is broken" in record["reason"]
    due = {run["schedule_time"] for run in seconds.runs("job:seconds state:success")}
    assert not [time for time in due if record["first"] <= time <= record["last"]]

    with pytest.raises(HarnessError, match="--since says what a start catches up"):
        seconds.control("start", "--since", "now")
    seconds.control("stop")
    last = time.time()
    time.sleep(2.5)  # due times pass
    seconds.control("start", "--since", "now")
    seconds.start()
    assert not (seconds.home / "run" / "since").exists()
    until(lambda: newest(seconds) > f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(last + 4))}", 20, "new runs")
    skipped = [run for run in seconds.runs("job:seconds state:skipped") if "--since" in run["reason"]]
    assert len(skipped) >= 2, "they had been made ahead, and say why they do not run"


def test_a_retry_is_made_once_over_a_kill_and_shows_its_chain(seconds: Installation) -> None:
    run = seconds.make("fails")[0]
    until(lambda: bool(seconds.run(run["run_id"])["reruns"]), 20, "the first retry")
    seconds.kill("scheduler")

    def chain() -> list[dict[str, Any]]:
        return sorted(seconds.runs("job:fails"), key=lambda each: int(each["run_id"][1:]))

    until(lambda: [each["state"] for each in chain()] == ["failure"] * 3, 30, "three attempts")
    time.sleep(1.5)  # a fourth would have come by now
    first, second, third = chain()
    assert [each["attempt"] for each in (first, second, third)] == [0, 1, 2]
    assert (second["retry_of"], third["retry_of"]) == (first["run_id"], second["run_id"])
    assert (first["reruns"], second["reruns"]) == ([second["run_id"]], [third["run_id"]])
