"""Each row of the table of actions in the job format: its keys are read, kept, bound and shown again."""

from pathlib import Path
from typing import Any

import pytest

from apsis.actions.configured import read_configured
from apsis.actions.registry import read_actions
from apsis.definitions.fields import Fields
from apsis.definitions.finding import Findings
from apsis.errors import ConfigError
from apsis.jobs.bind import expand
from apsis.jobs.job import Job, JobError
from apsis.jobs.parse import parse_job

EXAMPLES = Path(__file__).parents[3] / "docs" / "jobs" / "actions"


def job_with(action: Any, params: list[str] | None = None) -> Job:
    return parse_job("j", {"program": {"type": "no-op"}, "params": params or [], "action": action})


def faults_of(action: Any, params: list[str] | None = None) -> str:
    with pytest.raises(JobError) as caught:
        job_with(action, params)
    return "\n".join(f"{finding.path}: {finding.message}" for finding in caught.value.findings)


def bound(action: Any, params: list[str] | None = None) -> list[dict[str, Any]]:
    job = job_with(action, params)
    args = dict.fromkeys(params or [], "x")
    return [each.to_json() for each in expand(job, "r1", args, None).actions]


def again(shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    findings = Findings()
    fields = Fields({"action": shown}, (), findings, "test")
    actions = read_actions(fields)
    assert findings.errors == 0, findings.located()
    return [each.to_json() for each in actions]


def test_row_schedule_is_bound_with_its_args_and_shown() -> None:
    action = {"type": "schedule", "job_id": "other", "args": {"a": "{{ x }}!"}, "if": {"states": "success"}}
    assert bound(action, ["x"]) == [
        {"type": "schedule", "job_id": "other", "args": {"x": "x", "a": "x!"}, "if": {"states": ["success"]}}
    ]


def test_row_email_keeps_its_templates_for_the_end() -> None:
    action = {
        "type": "email", "to": "ann@example.com, Bob <bob@example.com>", "subject": "{{ x }} {{ state }}",
        "body": "{{ output }}", "attach_output": True, "if": {"first_failure": True},
    }  # fmt: skip
    (shown,) = bound(action, ["x"])
    assert shown["to"] == ["ann@example.com", "Bob <bob@example.com>"]
    assert shown["subject"] == "{{ x }} {{ state }}"
    assert shown["attach_output"] is True
    assert shown["if"] == {"first_failure": True}
    assert again([shown]) == [shown]


@pytest.mark.parametrize("to", ["ann", "ann@", "a b@example.com", "a@b\r\nBcc: c@d", [], "", ["a@b.c", 3]])
def test_row_email_refuses_what_is_no_address(to: Any) -> None:
    assert "to" in faults_of({"type": "email", "to": to})


def test_row_webhook_has_all_its_keys() -> None:
    action = {
        "type": "webhook", "url": "https://example.com/h?a=1", "method": "put", "headers": {"X-A": "${T}"},
        "body": "{{ reason }}", "format": "slack", "secret": "sign", "secrets": {"T": "token"},
    }  # fmt: skip
    (shown,) = bound(action)
    assert shown == {**action, "method": "PUT"}
    assert again([shown]) == [shown]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("url", "ftp://example.com"),
        ("url", "https://"),
        ("url", "https://example.com/\r\nHost: x"),
        ("url", "https://example.com:99999/"),
        ("method", "STEAL"),
        ("headers", {"Host": "x"}),
        ("headers", {"A B": "x"}),
        ("headers", {"A": "x\r\nB: y"}),
        ("format", "xml"),
        ("body", "{{ nothing }}"),
        ("body", "{% if %}"),
    ],
)
def test_row_webhook_refuses_what_cannot_be_sent(key: str, value: Any) -> None:
    action = {"type": "webhook", "url": "https://example.com/", key: value}
    assert f"action.{key}" in faults_of(action)


def test_row_command_is_a_program_by_argv_or_by_the_shell() -> None:
    action = [
        {"type": "command", "argv": ["a", "{{ state }}"], "timeout": "1 min"},
        {"type": "command", "command": "b"},
    ]
    shown = bound(action)
    assert shown == [{"type": "command", "argv": ["a", "{{ state }}"]}, {"type": "command", "command": "b"}]
    assert again(shown) == shown


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"argv": ["a"], "command": "b"},
        {"argv": "a b"},
        {"argv": []},
        {"command": "b", "timeout": 0},
        {"command": "b", "timeout": "2 days"},
        {"command": "b", "colour": "red"},
    ],
)
def test_row_command_refuses_what_cannot_be_run(keys: dict[str, Any]) -> None:
    assert "action" in faults_of({"type": "command", **keys})


def test_row_custom_class_is_found_by_its_path_and_its_keys_are_checked(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "tellers.py").write_text(
        "import apsis\n"
        "class Tell(apsis.Action):\n"
        "    def __init__(self, room: str) -> None: ...\n"
        "    def act(self, event): ...\n"
        "class Wait(apsis.AsyncAction):\n"
        "    async def act(self, event): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    shown = bound([{"type": "tellers.Tell", "room": "{{ state }}"}, {"type": "tellers.Wait", "if": {"late": True}}])
    assert shown == [{"type": "tellers.Tell", "room": "{{ state }}"}, {"type": "tellers.Wait", "if": {"late": True}}]
    assert "'colour'" in faults_of({"type": "tellers.Tell", "room": "x", "colour": "red"})
    assert "no 'Nobody'" in faults_of({"type": "tellers.Nobody"})


def test_a_name_that_no_template_of_an_action_can_have_is_found_when_the_job_is_read() -> None:
    faults = faults_of([{"type": "email", "to": "a@b.c", "subject": "{{ stat }}"}])
    assert faults == "action[0].subject: subject: template: 'stat' is not known here (did you mean 'state'?)"
    job_with(
        {
            "type": "email",
            "to": "a@b.c",
            "body": "{% for each in labels %}{{ each }}{% endfor %}{{ Date('2026-01-01') }}",
        }
    )


def test_an_action_of_an_unknown_type_suggests_the_nearest_known_one() -> None:
    assert "email" in faults_of({"type": "emial", "to": "a@b.c"})


def test_the_examples_have_each_type_of_action() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} >= {"schedule", "email", "webhook", "command"}


def test_actions_of_the_config_are_read_as_those_of_a_job_and_every_fault_is_told() -> None:
    assert read_configured(None) == ()
    (action,) = read_configured({"type": "email", "to": "a@b.c"})
    assert action.to_json() == {"type": "email", "to": ["a@b.c"]}
    with pytest.raises(ConfigError, match=r"action\[0\]\.to.*action\[1\]\.url"):
        read_configured([{"type": "email", "to": "nobody"}, {"type": "webhook", "url": "x"}])
