"""Alerts in trouble: receivers that are away, refuse or hang, a storm of failures, a full disk, and dead letters."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.commands import say
from harness.disk import WithDisk
from harness.installation import Installation, until
from harness.mounting import mounts
from harness.receivers import HookServer, MailServer, free_port

FAIL = "program: {type: no-op, success: false}\n"


def configure(apsis: Installation, **config: Any) -> None:
    """Write the config, and have it read."""
    (apsis.home / "apsis.yaml").write_text(json.dumps(config))
    apsis.control("restart", "alerts")


def notes(apsis: Installation, run_id: str) -> list[str]:
    """Return what the service for alerts has written into a run's log."""
    log = apsis.call("GET", f"/runs/{run_id}/log")["log"]
    return [entry["reason"] for entry in log if entry["actor"] == "alerts"]


def check(apsis: Installation) -> dict[str, str]:
    """Return what health says of alerts."""
    found: dict[str, str] = next(one for one in apsis.call("GET", "/health")["checks"] if one["id"] == "alerts")
    return found


@pytest.fixture(scope="module")
def hooks() -> Iterator[HookServer]:
    """A receiver of webhooks."""
    with HookServer() as server:
        yield server


@pytest.fixture(scope="module")
def apsis(hooks: HookServer) -> Iterator[Installation]:
    """An installation whose jobs fail, and tell somebody."""
    url = hooks.url
    jobs = {
        "hook": f"{FAIL}action: {{type: webhook, url: '{url}/a', if: {{states: failure}}}}\n",
        "other": f"{FAIL}action: {{type: webhook, url: '{url}/b'}}\n",
        "slack": f"{FAIL}action: {{type: webhook, url: '{url}/slack', format: slack}}\n",
        "mail": f"{FAIL}action: {{type: email, to: ann@example.com}}\n",
    }
    with Installation(jobs) as found:
        yield found


def test_a_mail_server_that_is_away_for_a_while_gets_each_mail_once(apsis: Installation) -> None:
    port = free_port()
    configure(apsis, smtp={"host": "127.0.0.1", "port": port}, alerts={"allow": ["127.0.0.1"]})
    runs = [run["run_id"] for run in apsis.make("mail", count=3)]
    until(lambda: any(notes(apsis, run_id) for run_id in runs), 20, "a failed attempt")
    assert any("cannot be reached" in note for run_id in runs for note in notes(apsis, run_id))

    with MailServer(port) as server:
        until(lambda: len(server.mails) == 3, 30, "the mails")
        until(lambda: all("took it" in (notes(apsis, run_id) or [""])[-1] for run_id in runs), 20, "the notes")
        assert sorted(mail.message["Subject"].split("(")[1] for mail in server.mails) == [
            f"{run_id})" for run_id in sorted(runs)
        ]
        assert len({mail.id for mail in server.mails}) == 3


def test_answers_of_a_webhook_lead_to_another_attempt_or_to_the_end(apsis: Installation, hooks: HookServer) -> None:
    configure(apsis, alerts={"allow": ["127.0.0.1"]})
    hooks.script[:] = [(429, {"Retry-After": "1"}), 404]
    before = len(hooks.calls)

    run_id = apsis.make("hook")[0]["run_id"]

    until(lambda: len(notes(apsis, run_id)) == 3, 40, "three attempts")
    assert [re.findall(r"answered (\d+)", note) for note in notes(apsis, run_id)] == [["429"], ["404"], ["200"]]
    calls = hooks.calls[before:]
    assert [call.json["run_id"] for call in calls] == [run_id]
    assert calls[0].json["state"] == "failure"


def test_a_receiver_that_hangs_is_given_up_after_its_time_and_holds_up_nobody_else(
    apsis: Installation, hooks: HookServer
) -> None:
    configure(apsis, alerts={"allow": ["127.0.0.1"], "timeout": 1})
    hooks.always = lambda path: 200
    hooks.script[:] = ["hang"]
    before = len(hooks.calls)
    slow = apsis.make("hook")[0]["run_id"]
    until(lambda: not hooks.script, 10, "the hanging request")

    quick = apsis.make("other")[0]["run_id"]

    until(lambda: any(call.json["run_id"] == quick for call in hooks.calls[before:]), 10, "the other one")
    until(lambda: any(call.json["run_id"] == slow for call in hooks.calls[before:]), 20, "the second attempt")
    assert "timed out" in notes(apsis, slow)[0]


def test_a_storm_of_a_thousand_failures_is_a_few_messages_and_one_summary(
    apsis: Installation, hooks: HookServer
) -> None:
    configure(apsis, alerts={"allow": ["127.0.0.1"], "max_per_minute": 5})
    before = len(hooks.calls)
    runs = [run["run_id"] for run in apsis.make("slack", count=1000)]
    until(lambda: len(hooks.calls) - before == 5, 30, "the first ones")
    until(lambda: check(apsis)["message"].startswith("995 wait"), 30, "the others to be gathered")

    # the summary is due a minute later; a new service sums up at once what an older one has gathered
    apsis.control("restart", "alerts")

    until(lambda: len(hooks.calls) - before == 6, 40, "the summary")
    text = hooks.calls[-1].json["text"]
    assert "995 runs have ended: 995 in failure" in text
    alone = " ".join(call.json["text"] for call in hooks.calls[before : before + 5]).split()
    summed = next(run_id for run_id in reversed(runs) if f"({run_id})*" not in alone)
    until(lambda: bool(notes(apsis, summed)), 60, "its note")
    assert notes(apsis, summed)[0].endswith("in a summary")
    assert check(apsis)["status"] == "ok"
    assert len(hooks.calls) - before == 6


def test_what_is_given_up_is_a_dead_letter_in_health_and_can_be_tried_again(
    apsis: Installation, hooks: HookServer
) -> None:
    configure(apsis, alerts={"allow": ["127.0.0.1"], "give_up": 1})
    hooks.always = lambda path: 503
    before = len(hooks.calls)
    run_id = apsis.make("hook")[0]["run_id"]

    until(lambda: check(apsis)["status"] == "warn" and "given up" in check(apsis)["message"], 30, "health to say so")

    said = say(apsis.home, "apsisctl", "alerts", "list")
    assert said.code == 1
    assert run_id in said.out
    assert "503" in said.out
    assert notes(apsis, run_id)[-1].endswith("given up")
    hooks.always = lambda path: 200
    assert say(apsis.home, "apsisctl", "alerts", "retry").out == "1 tried again\n"
    until(lambda: len(hooks.calls) > before, 20, "the delivery")
    until(lambda: check(apsis)["status"] == "ok", 10, "health")
    assert say(apsis.home, "apsisctl", "alerts", "list").code == 0
    assert say(apsis.home, "apsisctl", "alerts", "retry", "no-such").code != 0


def test_a_private_address_is_refused_at_once_unless_it_is_allowed(apsis: Installation, hooks: HookServer) -> None:
    configure(apsis, alerts={})
    before = len(hooks.answered)

    run_id = apsis.make("hook")[0]["run_id"]

    until(lambda: bool(notes(apsis, run_id)), 20, "the note")
    (note,) = notes(apsis, run_id)
    assert "not a public address" in note
    assert "alerts: {allow: [127.0.0.1]}" in note
    assert note.endswith("given up")
    assert len(hooks.answered) == before


def test_a_redirection_is_not_followed(apsis: Installation, hooks: HookServer) -> None:
    configure(apsis, alerts={"allow": ["127.0.0.1"]})
    hooks.script[:] = [(302, {"Location": "http://169.254.169.254/latest"})]

    run_id = apsis.make("hook")[0]["run_id"]

    until(lambda: len(notes(apsis, run_id)) == 2, 20, "two attempts")
    assert "302" in notes(apsis, run_id)[0]
    assert "give that address" in notes(apsis, run_id)[0]


def slowly(_path: str) -> int:
    """Answer after half a second."""
    time.sleep(0.5)
    return 200


@mounts
def test_with_a_full_disk_no_alert_is_lost_and_none_is_sent_twice(tmp_path: Path) -> None:
    with HookServer() as hooks:
        job = f"{FAIL}action: {{type: webhook, url: '{hooks.url}/a'}}\n"
        with WithDisk("db", {"hook": job}, "24m") as apsis:
            configure(apsis, alerts={"allow": ["127.0.0.1"]}, disk={"min_free_percent": 0})
            apsis.control("restart", "scheduler")
            first = [run["run_id"] for run in apsis.make("hook", count=3)]
            until(lambda: len(hooks.calls) == 3, 20, "the first")
            hooks.always = slowly
            runs = [run["run_id"] for run in apsis.make("hook", count=10)]
            until(lambda: len(hooks.calls) >= 4, 20, "the deliveries to have begun")
            apsis.disk.fill()
            until(lambda: "alerts.db" in check(apsis)["message"] or check(apsis)["status"] == "fail", 20, "health")

            apsis.disk.clear()

            until(lambda: len(hooks.calls) >= 13, 40, "the rest")
            until(lambda: all(notes(apsis, run_id) for run_id in [*first, *runs]), 40, "the notes")
            assert sorted(call.json["run_id"] for call in hooks.calls) == sorted([*first, *runs])
