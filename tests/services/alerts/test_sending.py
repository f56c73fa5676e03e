"""One attempt of each kind, by a real worker: mails, webhooks, commands, classes of users."""

import hashlib
import hmac
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apsis.config import Smtp, SmtpAuth
from apsis_services.alerts.orders import Order, Outcome, Verdict
from harness.receivers import HookServer, MailServer, free_port

Deliver = Callable[..., list[Outcome]]
OrderFor = Callable[..., Order]


@pytest.fixture
def mails() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def hooks() -> Iterator[HookServer]:
    with HookServer() as server:
        yield server


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_row_email_is_sent_with_its_id_its_templates_and_what_the_run_printed(
    mails: MailServer, order_for: OrderFor, deliver: Deliver
) -> None:
    action = {
        "type": "email", "to": ["Ann Lee <ann@example.com>", "bob@example.com"], "from": "apsis@example.com",
        "subject": "{{ job_id }} {{ date }}\r\nBcc: eve@example.com", "body": "{{ state }}: {{ output }}\n{{ url }}",
        "attach_output": True,
    }  # fmt: skip
    smtp = Smtp(host="127.0.0.1", port=mails.port)
    output = b"line \xff one\n.\nline two\n"
    (outcome,) = deliver(order_for(action, smtp=smtp, output=output, remark="This is the end of it."))
    assert outcome.verdict is Verdict.DELIVERED, outcome
    (mail,) = mails.mails
    assert mail.to == ("ann@example.com", "bob@example.com")
    assert mail.message["Subject"] == "etl/load 2026-01-01 Bcc: eve@example.com"
    assert mail.message["Bcc"] is None
    assert mail.id == "<7-1-0@example.com>"
    assert mail.message["X-Apsis-Event-Id"] == "7-1-0"
    assert "http://page/runs/r1" in mail.text
    assert "This is the end of it." in mail.text
    (attached,) = mail.message.iter_attachments()
    assert attached.get_content() == output


def test_row_email_without_texts_of_its_own_says_what_has_happened(
    mails: MailServer, order_for: OrderFor, deliver: Deliver
) -> None:
    deliver(order_for({"type": "email", "to": ["ann@example.com"]}, smtp=Smtp(host="127.0.0.1", port=mails.port)))
    (mail,) = mails.mails
    assert mail.message["Subject"] == "[apsis] failure: etl/load date=2026-01-01 (r1)"
    for words in ("etl/load", "exit 3", "http://page/runs/r1", "1.5 s"):
        assert words in mail.text


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ({"CONNECT": "421 busy"}, Verdict.UNREACHABLE),
        ({"MAIL": "451 later"}, Verdict.UNREACHABLE),
        ({"RCPT": "450 greylisted"}, Verdict.AGAIN),
        ({"RCPT": "550 nobody"}, Verdict.REFUSED),
        ({"DATA": "452 full"}, Verdict.UNREACHABLE),
        ({"DATA": "554 spam"}, Verdict.REFUSED),
    ],
)
def test_what_a_mail_server_answers_decides_whether_it_is_tried_again(
    mails: MailServer, order_for: OrderFor, deliver: Deliver, answers: dict[str, str], verdict: Verdict
) -> None:
    mails.answers = answers
    order = order_for({"type": "email", "to": ["ann@example.com"]}, smtp=Smtp(host="127.0.0.1", port=mails.port))
    (outcome,) = deliver(order)
    assert outcome.verdict is verdict
    assert next(iter(answers.values())) in outcome.text
    assert mails.mails == []


def test_of_several_addresses_only_those_get_it_again_that_were_put_off(
    mails: MailServer, order_for: OrderFor, deliver: Deliver
) -> None:
    mails.refuses = {"bob@example.com": "450 later", "eve@example.com": "550 nobody"}
    action = {"type": "email", "to": ["ann@example.com", "bob@example.com", "eve@example.com"]}
    (outcome,) = deliver(order_for(action, smtp=Smtp(host="127.0.0.1", port=mails.port)))
    assert outcome.verdict is Verdict.AGAIN
    assert outcome.left is not None
    assert outcome.left.action["to"] == ["bob@example.com"]
    assert mails.mails[0].to == ("ann@example.com",)


def test_a_mail_server_that_hangs_or_is_not_there_is_given_up_in_time(
    mails: MailServer, order_for: OrderFor, deliver: Deliver
) -> None:
    mails.answers = {"DATA": "hang"}
    action = {"type": "email", "to": ["ann@example.com"]}
    began = time.monotonic()
    hanging, away = deliver(
        order_for(action, smtp=Smtp(host="127.0.0.1", port=mails.port, timeout=1)),
        order_for(action, smtp=Smtp(host="127.0.0.1", port=free_port())),
    )
    assert (hanging.verdict, away.verdict) == (Verdict.UNREACHABLE, Verdict.UNREACHABLE)
    assert "cannot be reached" in away.text
    assert time.monotonic() - began < 15


def test_a_server_without_tls_or_without_login_is_not_given_what_is_for_one_with_it(
    mails: MailServer, order_for: OrderFor, deliver: Deliver
) -> None:
    action = {"type": "email", "to": ["ann@example.com"]}
    auth = SmtpAuth(username="ann", secret="password")
    first, second, third = deliver(
        order_for(action, smtp=Smtp(host="127.0.0.1", port=mails.port, tls="starttls")),
        order_for(action, smtp=Smtp(host="127.0.0.1", port=mails.port, auth=auth)),
        order_for(action, smtp=Smtp(host="127.0.0.1", port=mails.port, auth=SmtpAuth(username="a", secret="missing"))),
    )
    assert {first.verdict, second.verdict} == {Verdict.UNREACHABLE}
    assert third.verdict is Verdict.AGAIN
    assert "no secret 'missing'" in third.text
    assert mails.mails == []


def test_row_webhook_sends_the_event_signed_with_its_id(
    hooks: HookServer, order_for: OrderFor, deliver: Deliver
) -> None:
    action = {
        "type": "webhook", "url": f"{hooks.url}/in?a=${{TOKEN}}", "secret": "sign", "secrets": {"TOKEN": "token"},
        "headers": {"Authorization": "Bearer ${TOKEN}", "X-Other": "${HOME}"}, "method": "PUT",
    }  # fmt: skip
    (outcome,) = deliver(order_for(action))
    assert outcome.verdict is Verdict.DELIVERED, outcome
    assert "tok-123" not in outcome.text
    (call,) = hooks.calls
    assert (call.method, call.path) == ("PUT", "/in?a=tok-123")
    assert call.headers["authorization"] == "Bearer tok-123"
    assert call.headers["x-other"] == "${HOME}"
    assert call.headers["idempotency-key"] == call.headers["x-apsis-event-id"] == "7-1-0"
    expected = hmac.new(b"key", call.body, hashlib.sha256).hexdigest()
    assert call.headers["x-apsis-signature"] == f"sha256={expected}"
    assert call.json["id"] == "7-1-0"
    assert call.json["args"] == {"date": "2026-01-01"}
    assert call.json["exit_code"] == 3


def test_row_webhook_speaks_to_slack_and_to_teams(hooks: HookServer, order_for: OrderFor, deliver: Deliver) -> None:
    args = {"date": "<!channel> & <x>"}
    outcomes = deliver(
        order_for({"type": "webhook", "url": f"{hooks.url}/slack", "format": "slack"}, args=args),
        order_for({"type": "webhook", "url": f"{hooks.url}/teams", "format": "teams"}),
        order_for({"type": "webhook", "url": f"{hooks.url}/own", "body": '{"text": "{{ state }}"}'}),
    )
    assert all(outcome.verdict is Verdict.DELIVERED for outcome in outcomes), outcomes
    calls = {call.path: call for call in hooks.calls}
    assert "&lt;!channel&gt; &amp;" in calls["/slack"].json["text"]
    card = calls["/teams"].json["attachments"][0]["content"]
    assert card["type"] == "AdaptiveCard"
    assert card["actions"][0]["url"] == "http://page/runs/r1"
    assert calls["/own"].json == {"text": "failure"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"])
def test_an_address_that_is_not_public_is_refused(order_for: OrderFor, deliver: Deliver, host: str) -> None:
    (outcome,) = deliver(order_for({"type": "webhook", "url": f"http://{host}:9/x"}, allow=[]))
    assert outcome.verdict is Verdict.REFUSED
    assert "not a public address" in outcome.text


def test_row_command_gets_the_event_and_its_exit_status_counts(
    order_for: OrderFor, deliver: Deliver, tmp_path: Path
) -> None:
    good, bad, missing, shell = deliver(
        order_for({"type": "command", "argv": ["/bin/cat"], "env": {"A": "b"}}),
        order_for({"type": "command", "command": "echo $APSIS_EVENT_ID $A; exit 4", "env": {"A": "b"}}),
        order_for({"type": "command", "argv": ["/no/such"]}),
        order_for(
            {"type": "command", "command": "echo {{ date | quote }} $TOKEN > out", "secrets": {"TOKEN": "token"}}
        ),
    )
    assert good.verdict is Verdict.DELIVERED
    assert '"state": "failure"' in good.text
    assert bad.verdict is Verdict.AGAIN
    assert "exit 4" in bad.text
    assert "7-1-0 b" in bad.text
    assert missing.verdict is Verdict.AGAIN
    assert "cannot be started" in missing.text
    assert shell.verdict is Verdict.DELIVERED
    assert (tmp_path / "out").read_text() == "2026-01-01 tok-123\n"


def test_a_command_that_takes_too_long_is_ended_with_its_whole_tree(
    order_for: OrderFor, deliver: Deliver, tmp_path: Path
) -> None:
    command = "setsid sleep 77 & echo $! > hidden; (sleep 77 & echo $! > child; wait) & trap '' TERM; sleep 77"
    began = time.monotonic()
    (outcome,) = deliver(order_for({"type": "command", "command": command, "timeout": 1}))
    assert outcome.verdict is Verdict.AGAIN
    assert "took more than 1 s" in outcome.text
    assert time.monotonic() - began < 10
    assert not [name for name in ("hidden", "child") if lives(int((tmp_path / name).read_text()))]


def test_a_command_that_floods_its_output_or_ignores_its_input_ends_well(order_for: OrderFor, deliver: Deliver) -> None:
    flood, deaf = deliver(
        order_for({"type": "command", "command": "head -c 30000000 /dev/zero | tr '\\0' x; echo end"}),
        order_for({"type": "command", "argv": ["/bin/true"]}, args={"date": "x" * 60_000}),
    )
    assert flood.verdict is Verdict.DELIVERED
    assert flood.text.endswith("xend")
    assert len(flood.text) < 1000
    assert deaf.verdict is Verdict.DELIVERED


TELLERS = """
import asyncio, os, time
import apsis

class Tell(apsis.Action):
    def __init__(self, path, word="-"):
        self.path, self.word = path, word
    def act(self, event):
        open(self.path, "w").write(f"{event['id']} {self.word}")

class Wait(apsis.AsyncAction):
    async def act(self, event):
        await asyncio.sleep(0.01)

class Raise(apsis.Action):
    def act(self, event):
        raise ValueError("on purpose")

class Hang(apsis.Action):
    timeout = 0.5
    def act(self, event):
        time.sleep(77)

class Crash(apsis.Action):
    def act(self, event):
        os.abort()
"""


def test_row_custom_class_acts_in_a_process_of_its_own_whatever_it_does(
    order_for: OrderFor, deliver: Deliver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tellers.py").write_text(TELLERS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))

    def order(name: str, **keys: Any) -> Order:
        return order_for({"type": f"tellers.{name}", **keys}, path=f"tellers.{name}")

    told, waited, raised, crashed, missing, hung = deliver(
        order("Tell", path=str(tmp_path / "told"), word="{{ state }}"),
        order("Wait"),
        order("Raise"),
        order("Crash"),
        order("Nobody"),
        order("Hang"),
    )
    assert (told.verdict, waited.verdict) == (Verdict.DELIVERED, Verdict.DELIVERED), (told, waited)
    assert (tmp_path / "told").read_text() == "7-1-0 failure"
    assert "ValueError: on purpose" in raised.text
    assert "signal 6" in crashed.text
    assert "no 'Nobody'" in missing.text
    assert "took too long" in hung.text
    assert {raised.verdict, crashed.verdict, missing.verdict, hung.verdict} == {Verdict.AGAIN}


def test_a_template_that_fails_for_this_run_is_told_and_not_sent(
    hooks: HookServer, order_for: OrderFor, deliver: Deliver
) -> None:
    (outcome,) = deliver(order_for({"type": "webhook", "url": hooks.url, "body": "{{ signal + 1 }}"}))
    assert outcome.verdict is Verdict.AGAIN
    assert "template" in outcome.text
    assert hooks.calls == []
