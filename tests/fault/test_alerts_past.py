"""Alerts and what was before: first failures over restarts, a database that was put back, runs that were not made."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from harness.commands import say
from harness.installation import Installation, until
from harness.receivers import HookServer, MailServer


@pytest.fixture(scope="module")
def hooks() -> Iterator[HookServer]:
    """A receiver of webhooks."""
    with HookServer() as server:
        yield server


@pytest.fixture(scope="module")
def mails() -> Iterator[MailServer]:
    """A mail server."""
    with MailServer() as server:
        yield server


@pytest.fixture(scope="module")
def apsis(hooks: HookServer, mails: MailServer) -> Iterator[Installation]:
    """An installation that tells `/all` of each end."""
    url = hooks.url
    jobs = {
        "load": "params: [date]\n"
        'program: {type: shell, command: "echo out of {{ date }}; test -e {{ date | quote }}"}\n'
        "action:\n"
        f"- {{type: webhook, url: '{url}/first', if: {{first_failure: true}}}}\n"
        f"- {{type: webhook, url: '{url}/again', if: {{recovered: true}}}}\n",
        "unfit": "params: [n]\n"
        'program: {type: no-op, duration: "{{ 1 / (n | int) }}"}\n'
        f"action: {{type: webhook, url: '{url}/unfit', if: {{states: error}}}}\n",
        "mail": 'program: {type: shell, command: "seq 100; exit 3"}\n'
        "action: {type: email, to: ann@example.com, attach_output: true}\n",
    }
    with Installation(jobs) as found:
        config: dict[str, Any] = {
            "web": {"port": 0},
            "alerts": {"allow": ["127.0.0.1"]},
            "smtp": {"host": "127.0.0.1", "port": mails.port},
            "action": {"type": "webhook", "url": f"{url}/all"},
        }
        (found.home / "apsis.yaml").write_text(json.dumps(config))
        found.control("restart", "alerts")
        yield found


def ends(apsis: Installation, run_id: str) -> str:
    """Return how a run has ended, once it has."""
    until(lambda: apsis.run(run_id)["state"] in ("success", "failure", "error"), 20, f"the end of {run_id}")
    return str(apsis.run(run_id)["state"])


def told(hooks: HookServer, path: str) -> list[str]:
    """Return the runs that were told of at a path."""
    return [call.json["run_id"] for call in hooks.calls if call.path == path]


def test_first_failure_and_recovered_are_right_over_restarts_and_reruns(apsis: Installation, hooks: HookServer) -> None:
    first = apsis.make("load", args={"date": "/no/1"})[0]["run_id"]
    assert ends(apsis, first) == "failure"
    until(lambda: first in told(hooks, "/all"), 20, "the first alert")
    apsis.control("restart", "alerts")
    second = apsis.make("load", args={"date": "/no/2"})[0]["run_id"]
    assert ends(apsis, second) == "failure"
    until(lambda: second in told(hooks, "/all"), 20, "the second")
    apsis.kill("alerts")
    apsis.kill("scheduler")
    third = apsis.make("load", args={"date": "/tmp"})[0]["run_id"]
    assert ends(apsis, third) == "success"
    until(lambda: third in told(hooks, "/again"), 30, "the recovery")
    again = apsis.call("POST", f"/runs/{first}/rerun", {})["run"]["run_id"]
    assert ends(apsis, again) == "failure"
    until(lambda: again in told(hooks, "/all"), 20, "the rerun")

    assert told(hooks, "/first") == [first, again]
    assert told(hooks, "/again") == [third]


def test_a_run_that_cannot_be_made_is_told_of(apsis: Installation, hooks: HookServer) -> None:
    run_id = apsis.make("unfit", args={"n": "0"})[0]["run_id"]
    assert ends(apsis, run_id) == "error"
    until(lambda: told(hooks, "/unfit") == [run_id] and run_id in told(hooks, "/all"), 20, "both alerts")
    call = next(call for call in hooks.calls if call.path == "/unfit")
    assert "ZeroDivisionError" in call.json["reason"]


def test_a_mail_has_all_that_the_run_printed(apsis: Installation, mails: MailServer) -> None:
    run_id = apsis.make("mail")[0]["run_id"]
    until(lambda: any(run_id in mail.text for mail in mails.mails), 20, "the mail")
    (mail,) = [mail for mail in mails.mails if run_id in mail.text]
    (attached,) = mail.message.iter_attachments()
    assert attached.get_content() == b"".join(b"%d\n" % number for number in range(1, 101))


def test_a_test_alert_says_what_the_receiver_said(apsis: Installation, mails: MailServer, hooks: HookServer) -> None:
    said = say(apsis.home, "apsisctl", "alerts", "test", "bob@example.com")
    assert said.code == 0, said
    assert "the mail server took it" in said.out
    assert mails.mails[-1].to == ("bob@example.com",)
    hooks.script[:] = [500]
    said = say(apsis.home, "apsisctl", "alerts", "test", "0")
    assert said.code == 1
    assert "answered 500" in said.out
    assert say(apsis.home, "apsisctl", "alerts", "test", "7").code != 0
    assert say(apsis.home, "apsisctl", "alerts", "test", "nobody").code != 0


def test_a_large_event_is_told_with_its_actions_though_the_bus_carries_it_without(
    apsis: Installation, hooks: HookServer
) -> None:
    run_id = apsis.make("load", args={"date": "x" * 30_000})[0]["run_id"]
    assert ends(apsis, run_id) == "failure"
    until(lambda: run_id in told(hooks, "/all"), 20, "the alert")
    call = next(call for call in hooks.calls if call.json["run_id"] == run_id)
    assert call.json["args"]["date"] == "x" * 30_000


def test_events_are_kept_until_they_were_read(apsis: Installation) -> None:
    def registered() -> dict[str, Any]:
        database = sqlite3.connect(f"file:{apsis.home}/db/apsis.db?mode=ro", uri=True)
        try:
            row = database.execute("SELECT value FROM meta WHERE key = 'consumers'").fetchone()
        finally:
            database.close()
        found: dict[str, Any] = json.loads(row[0]) if row else {}
        return found

    until(lambda: "alerts" in registered(), 20, "the registration")
    cursor, _ = registered()["alerts"]
    assert cursor > 0


def test_a_database_that_was_put_back_repeats_no_alert(apsis: Installation, hooks: HookServer) -> None:
    before = apsis.make("load", args={"date": "/no/3"})[0]["run_id"]
    until(lambda: before in told(hooks, "/all"), 20, "the alert before")
    backup = say(apsis.home, "apsisctl", "db", "backup", str(apsis.home / "copy.db"))
    assert backup.code == 0, backup
    after = apsis.make("load", args={"date": "/no/4"})[0]["run_id"]
    until(lambda: after in told(hooks, "/all"), 20, "the alert after")
    apsis.control("stop")
    restored = say(apsis.home, "apsisctl", "db", "restore", str(apsis.home / "copy.db"), "--yes")
    assert restored.code == 0, restored
    apsis.start()

    last = apsis.make("load", args={"date": "/no/5"})[0]["run_id"]

    until(lambda: last in told(hooks, "/all"), 30, "the last alert")
    runs = told(hooks, "/all")
    assert runs.count(before) == 1
    until(lambda: any("attempt" in note or "200" in note for note in _notes(apsis, last)), 20, "its note")


def _notes(apsis: Installation, run_id: str) -> list[str]:
    log = apsis.call("GET", f"/runs/{run_id}/log")["log"]
    return [entry["reason"] for entry in log if entry["actor"] == "alerts"]
