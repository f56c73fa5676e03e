"""The hub as a stranger's program sees it: raw frames from a bare DEALER, good and bad."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import zmq
from bus_stage import HubProcess, client_name

from apsis_bus.frames import VERBS, pack

ID = bytes(range(16))


class Raw:
    """A DEALER and a SUB without any of our code between them and the wire."""

    def __init__(self, hub: HubProcess) -> None:
        self.context = zmq.Context()
        self.dealer = self.context.socket(zmq.DEALER)
        self.dealer.setsockopt(zmq.ROUTING_ID, b"raw~" + secrets.token_hex(16).encode())
        self.dealer.setsockopt(zmq.LINGER, 0)
        self.dealer.connect(f"ipc://{hub.home.run}/hub.ctl")

    def say(self, *parts: bytes) -> list[bytes]:
        self.dealer.send_multipart(list(parts))
        return self.hear()

    def hear(self) -> list[bytes]:
        assert self.dealer.poll(5000), "no answer"
        return self.dealer.recv_multipart()

    def hello(self, name: str) -> list[bytes]:
        return self.say(*pack(b"HELLO", ID, "hub", json.dumps({"t": "hello", "name": name}).encode()))

    def refused(self, *parts: bytes) -> str:
        answer = self.say(*parts)
        assert answer[:2] == [b"A1", b"NO"], answer
        return str(json.loads(answer[4])["code"])

    def close(self) -> None:
        self.dealer.close()
        self.context.term()


@pytest.fixture
def raw(hub: HubProcess) -> Iterator[Raw]:
    stranger = Raw(hub)
    yield stranger
    stranger.close()


def test_hello_is_answered_with_the_heartbeat_to_keep(raw: Raw) -> None:
    answer = raw.hello("web")
    assert answer[:4] == [b"A1", b"OK", ID, b"hub"]
    assert json.loads(answer[4])["heartbeat"] == 5.0


def test_nothing_is_done_before_hello(raw: Raw) -> None:
    for verb in VERBS.keys() - {b"HELLO"}:
        assert raw.refused(*pack(verb, ID, "scheduler", b"{}")) == "hello"


def test_an_unknown_verb_is_refused(raw: Raw) -> None:
    raw.hello("web")
    for verb in (b"EVAL", b"", b"hello", b"__class__", b"\xff" * 300):
        assert raw.refused(*pack(verb, ID, "scheduler", b"{}")) == "verb"


def test_another_version_is_refused(raw: Raw) -> None:
    assert raw.refused(b"B7", b"HELLO", ID, b"hub", b"{}") == "version"


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [b"A1"],
        [b"A1", b"SEND"],
        [b"A1", b"SEND", b"short", b"web", b"{}"],
        [b"A1", b"SEND", ID, b"\xff\xfe", b"{}"],
        [b"A1", b"SEND", ID, b"web", b"{}", b"", b""],
        [b""] * 500,
    ],
)
def test_garbage_is_refused_and_the_hub_lives_on(raw: Raw, parts: list[bytes]) -> None:
    assert raw.refused(*parts) in ("frame", "version")
    assert raw.hello("web")[1] == b"OK"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"name":5}', b"\xff", b"{}"])
def test_a_hello_that_cannot_be_read_is_refused(raw: Raw, body: bytes) -> None:
    assert raw.refused(*pack(b"HELLO", ID, "hub", body)) == "body"


@pytest.mark.parametrize(
    "name", ["", "hub", "root", "Scheduler", "supervisor/", "supervisor/a/b", "client/0", "client/00/x", "web\n"]
)
def test_a_name_that_is_none_of_ours_is_denied(raw: Raw, name: str) -> None:
    assert raw.hello(name)[1] == b"NO"


def test_a_guessable_routing_id_is_denied(hub: HubProcess) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.connect(f"ipc://{hub.home.run}/hub.ctl")
        dealer.send_multipart(pack(b"HELLO", ID, "hub", b'{"t":"hello","name":"web"}'))
        assert dealer.poll(5000)
        assert json.loads(dealer.recv_multipart()[4])["code"] == "denied"


def publishing(topic: str, body: bytes = b"{}", numbers: bytes = bytes(16)) -> list[bytes]:
    return pack(b"PUBLISH", ID, topic, body, numbers)


def test_only_the_scheduler_publishes_events_and_heartbeats(raw: Raw) -> None:
    raw.hello("web")
    for topic in ("v1/ev/sys/started/", "v1/hb/", "v1/hello/web/x/"):
        assert raw.refused(*publishing(topic)) == "denied"
    raw.hello("scheduler")
    assert raw.refused(*publishing("v1/hello/web/x/")) == "denied"
    raw.dealer.send_multipart(publishing("v1/ev/sys/started/"))
    # an answer to what follows, and none to the publish
    assert raw.say(*pack(b"HB", bytes(16), "hub", b"{}"))[2] == bytes(16)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        (publishing("ev/x/"), "frame"),
        (publishing("v1/ev/x"), "frame"),
        (publishing("v1/ev/x/", numbers=b"123"), "frame"),
        (publishing("v1/ev/x/", body=bytes(16 * 1024 + 1)), "large"),
        (publishing("v1/hb/", body=b"{}"), "body"),
    ],
)
def test_what_cannot_be_published_is_refused(raw: Raw, parts: list[bytes], code: str) -> None:
    raw.hello("scheduler")
    assert raw.refused(*parts) == code


def test_a_client_may_ask_for_events_and_nothing_else(raw: Raw) -> None:
    raw.hello(client_name())
    for verb in (b"REPLAY", b"SNAP"):
        assert raw.refused(*pack(verb, ID, "scheduler", b"{}")) == "unroutable"
    assert raw.refused(*pack(b"SEND", ID, "scheduler", b"{}")) == "denied"
    assert raw.refused(*publishing("v1/live/out/r1/")) == "denied"


def test_after_bye_one_has_to_say_hello_again(raw: Raw) -> None:
    raw.hello("web")
    raw.dealer.send_multipart(pack(b"BYE", ID, "hub", b"{}"))
    assert raw.refused(*pack(b"SEND", ID, "web", b"{}")) == "hello"


def test_an_answer_to_nobody_is_not_answered(raw: Raw) -> None:
    """Or two peers would refuse each other's refusals for ever."""
    raw.hello("web")
    raw.dealer.send_multipart(pack(b"OK", ID, "store", b"{}"))
    raw.dealer.send_multipart(pack(b"NO", ID, "store", b"{}"))
    assert raw.say(*pack(b"HB", bytes(16), "hub", b"{}"))[2] == bytes(16)


def test_a_welcome_answers_the_subscription_to_it(hub: HubProcess) -> None:
    with zmq.Context() as context, context.socket(zmq.SUB) as sub:
        sub.connect(f"ipc://{hub.home.run}/hub.pub")
        sub.subscribe(b"v1/hello/client%2F0%2Fme/abc/")
        assert sub.poll(5000)
        topic, numbers, body = sub.recv_multipart()
        welcome: dict[str, Any] = json.loads(body)
        assert (topic, numbers, welcome["t"]) == (b"v1/hello/client%2F0%2Fme/abc/", bytes(16), "welcome")


def test_subscriptions_that_are_garbage_do_not_crash_the_hub(hub: HubProcess, raw: Raw) -> None:
    with zmq.Context() as context, context.socket(zmq.XSUB) as xsub:
        xsub.connect(f"ipc://{hub.home.run}/hub.pub")
        for message in (
            b"",
            b"\x01",
            b"\x01v1/hello/",
            b"\x01v1/hello/\xff",
            b"\x00nothing",
            b"\x07what",
            b"\x01" + b"x" * 9000,
        ):
            xsub.send(message)
        assert raw.hello("web")[1] == b"OK"


def test_who_watches_others_come_is_not_welcomed_but_hears_them(hub: HubProcess) -> None:
    with zmq.Context() as context, context.socket(zmq.SUB) as watcher, context.socket(zmq.SUB) as other:
        watcher.connect(f"ipc://{hub.home.run}/hub.pub")
        watcher.subscribe(b"v1/hello/store/")
        watcher.subscribe(b"v1/hello/watcher/1/")
        assert watcher.poll(5000)
        assert watcher.recv_multipart()[0] == b"v1/hello/watcher/1/"
        other.connect(f"ipc://{hub.home.run}/hub.pub")
        other.subscribe(b"v1/hello/store/77/")
        assert watcher.poll(5000)
        assert watcher.recv_multipart()[0] == b"v1/hello/store/77/"
