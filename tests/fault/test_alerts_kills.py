"""`kill -9` of the service for alerts between any two steps: who knows an event id again has each alert once."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.installation import Installation, until
from harness.points import Points
from harness.receivers import HookServer, MailServer

POINTS = ("alerts.read", "alerts.decided", "alerts.sending", "alerts.sent", "alerts.settled", "alerts.reported")
#: before these nothing was sent: it arrives once, whoever receives it
BEFORE = ("alerts.read", "alerts.decided", "alerts.sending", "alerts.settled", "alerts.reported")
JOBS = {
    kind: f"program: {{type: no-op, success: false}}\naction: {action}\n"
    for kind, action in {
        "email": "{type: email, to: ann@example.com}",
        "webhook": "{type: webhook, url: 'HOOK/a'}",
        "command": "{type: command, argv: [python3, LEDGER]}",
    }.items()
}
#: writes its event id, and that of the event that it was given, into a file
WRITER = """
import json, os, sys
event = json.load(sys.stdin)
with open(os.path.dirname(os.path.abspath(__file__)) + "/ids", "a") as file:
    file.write(os.environ["APSIS_EVENT_ID"] + " " + event["id"] + " " + event["run_id"] + "\\n")
"""


class Scene:
    """An installation with three receivers, of which each knows what it has got."""

    def __init__(self, folder: Path) -> None:
        self.points = Points(folder / "points")
        self.mail, self.hooks = MailServer(), HookServer()
        (folder / "writer.py").write_text(WRITER)
        self.ids = folder / "ids"
        jobs = {
            name: text.replace("HOOK", self.hooks.url).replace("LEDGER", str(folder / "writer.py"))
            for name, text in JOBS.items()
        }
        self.apsis = Installation(jobs, environment=self.points.environment)

    def received(self, kind: str) -> "Counter[str]":
        """Return how often each event id has come to a receiver."""
        if kind == "email":
            return Counter(mail.message["X-Apsis-Event-Id"] for mail in self.mail.mails)
        if kind == "webhook":
            return Counter(call.id for call in self.hooks.calls)
        lines = self.ids.read_text().splitlines() if self.ids.exists() else []
        for line in lines:
            assert line.split()[0] == line.split()[1]
        return Counter(line.split()[0] for line in lines)

    def restarted(self, pid: int) -> bool:
        """Say whether the service is another process than that one."""
        return self.apsis.processes().get("alerts", pid) != pid

    def notes(self, run_id: str) -> list[str]:
        """Return what the service has written into a run's log."""
        log: list[dict[str, Any]] = self.apsis.call("GET", f"/runs/{run_id}/log")["log"]
        return [entry["reason"] for entry in log if entry["actor"] == "alerts"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One installation for all these tests."""
    scene = Scene(tmp_path_factory.mktemp("alerts"))
    config = {"smtp": {"host": "127.0.0.1", "port": scene.mail.port}, "alerts": {"allow": ["127.0.0.1"]}}
    with scene.mail, scene.hooks, scene.apsis as apsis:
        (apsis.home / "apsis.yaml").write_text(json.dumps(config))
        apsis.control("restart", "alerts")
        yield scene


@pytest.fixture(autouse=True)
def _not_held_back(scene: Scene) -> None:
    """The manager makes pauses for what dies again and again within a second; an order to restart ends them."""
    scene.apsis.control("restart", "alerts")


@pytest.mark.parametrize("kind", ["email", "webhook", "command"])
@pytest.mark.parametrize("point", POINTS)
def test_an_alert_survives_a_kill_at_any_point_and_its_receiver_knows_it_again(
    scene: Scene, kind: str, point: str
) -> None:
    before = scene.received(kind)
    pid = scene.apsis.service("alerts")
    scene.points.arm(point, "kill")

    run_id = scene.apsis.make(kind)[0]["run_id"]

    until(lambda: scene.points.reached(point), 20, f"{point} to be reached")
    until(partial(scene.restarted, pid), 20, "another service")
    # the notes come last: when they stand in the log, all is done
    until(lambda: bool(scene.notes(run_id)), 30, "the note in the log")
    new = scene.received(kind) - before
    assert len(new) == 1, new
    (times,) = new.values()
    assert times == 1 if point in BEFORE else 1 <= times <= 2
    assert len(scene.notes(run_id)) == 1


def test_many_runs_under_kills_have_each_alert_once_and_one_note_each(scene: Scene) -> None:
    before = scene.received("webhook")
    runs = [run["run_id"] for run in scene.apsis.make("webhook", count=60)]

    for point in ("alerts.sent", "alerts.settled", "alerts.read", "alerts.sending"):
        pid = scene.apsis.service("alerts")
        scene.points.arm(point, "kill")
        if point == "alerts.read":
            runs += [run["run_id"] for run in scene.apsis.make("webhook", count=5)]
        until(partial(scene.points.reached, point), 20, point)
        until(partial(scene.restarted, pid), 20, "another service")

    until(lambda: all(scene.notes(run_id) for run_id in runs[-3:]), 60, "the last notes")
    new = scene.received("webhook") - before
    assert len(new) == len(runs)
    assert all(len(scene.notes(run_id)) == 1 for run_id in runs)


def test_a_service_that_is_killed_leaves_no_worker_and_no_command_behind(scene: Scene, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    job = f"program: {{type: no-op}}\naction: {{type: command, command: 'echo $$ > {pid_file}; sleep 50 & sleep 50'}}\n"
    (scene.apsis.home / "jobs" / "sleeper.yaml").write_text(job)
    scene.apsis.control("reload")
    scene.apsis.make("sleeper")
    until(lambda: pid_file.exists() and pid_file.read_text().strip() != "", 20, "the command")
    first = int(pid_file.read_text())

    scene.apsis.kill("alerts")

    until(lambda: not _lives(first), 10, "the command's end")
    # the next service begins it again; it is not to be waited for
    (scene.apsis.home / "jobs" / "sleeper.yaml").unlink()
    until(lambda: int(pid_file.read_text() or first) != first, 20, "the second attempt")
    second = int(pid_file.read_text())
    scene.apsis.control("restart", "alerts")
    until(lambda: not _lives(second), 10, "the command's end")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_what_waits_is_tried_again_when_the_service_is_back(scene: Scene) -> None:
    scene.hooks.script[:] = [503]
    run_id = scene.apsis.make("webhook")[0]["run_id"]
    until(lambda: len(scene.notes(run_id)) == 1, 20, "the first attempt")
    began = time.monotonic()

    scene.apsis.kill("alerts")

    until(lambda: len(scene.notes(run_id)) == 2, 20, "the second attempt")
    assert time.monotonic() - began < 20
    first, second = scene.notes(run_id)
    assert "attempt 1 failed" in first
    assert "503" in first
    assert "again in 2 s" in first
    assert "answered 200" in second
