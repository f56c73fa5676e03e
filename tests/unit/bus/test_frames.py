"""Frames, topics, names: what goes in comes out, and what is wrong is said."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apsis.messages.events import JobEvent, RunEvent, SysEvent
from apsis_bus import topics
from apsis_bus.auth import ZAP_DOMAIN, Credentials, Gate, role_of
from apsis_bus.frames import BadFrame, Role, pack, pack_numbers, read_refusal, refusal, unpack, unpack_numbers

NOW = "2026-06-30T14:32:07.120000Z"


@given(
    st.binary(), st.binary(min_size=16, max_size=16), st.text(st.characters(exclude_categories=["Cs"])), st.binary(),
    st.none() | st.binary(),
)  # fmt: skip
def test_a_message_survives_its_frames(
    verb: bytes, msgid: bytes, peer: str, body: bytes, payload: bytes | None
) -> None:
    envelope = unpack(pack(verb, msgid, peer, body, payload))
    assert (envelope.verb, envelope.msgid, envelope.peer, envelope.body, envelope.payload) == (
        verb, msgid, peer, body, payload,
    )  # fmt: skip


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_any_frames_are_a_message_or_a_bad_frame(parts: list[bytes]) -> None:
    code, msgid = "", bytes(16)
    try:
        unpack(parts)
    except BadFrame as bad:
        code, msgid = bad.code, bad.msgid
    assert code in ("", "version", "frame")
    assert len(msgid) == 16


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_numbers_are_eight_bytes_each_big_endian(event_id: int, journal: int) -> None:
    frame = pack_numbers(event_id, journal)
    assert frame == event_id.to_bytes(8, "big") + journal.to_bytes(8, "big")
    assert unpack_numbers(frame) == (event_id, journal)


def test_a_refusal_that_cannot_be_read_is_a_refusal() -> None:
    assert read_refusal(b"\xff").code == "frame"
    no = read_refusal(refusal("floor", "gone", to="web", detail={"floor": 7}))
    assert (no.code, no.message, no.to, bytes(no.detail)) == ("floor", "gone", "web", b'{"floor":7}')


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_the_parts_of_a_topic_come_back(parts: list[str]) -> None:
    text = topics.topic(*parts)
    assert text.isascii()
    assert text.startswith("v1/")
    assert text.count("/") == len(parts) + 1
    assert topics.parts(text) == parts


def test_a_topic_is_no_prefix_of_a_longer_name() -> None:
    assert topics.job_event("etl/load") == "v1/ev/job/etl%2Fload/"
    assert not topics.job_event("etl/load2").startswith(topics.job_event("etl/load"))
    with pytest.raises(ValueError, match="empty"):
        topics.run_event("", "r1", "running")


def test_each_event_has_its_topic() -> None:
    common = {"id": 1, "at": NOW, "actor": "scheduler"}
    run = RunEvent(run_id="r1", job_id="a/b", event="running", **common)
    assert topics.of_event(run) == "v1/ev/run/a%2Fb/r1/running/"
    assert topics.of_event(JobEvent(job_id="a/b", event="added", **common)) == "v1/ev/job/a%2Fb/"
    assert topics.of_event(SysEvent(kind="not_run", **common)) == "v1/ev/sys/not_run/"


@pytest.mark.parametrize(
    ("name", "uid", "role"),
    [
        ("scheduler", 1000, Role.SCHEDULER),
        ("scheduler", 0, Role.SCHEDULER),
        ("scheduler", 1001, None),
        ("supervisor/local", 1000, Role.SERVICE),
        ("supervisor/local", 1001, None),
        ("supervisor/", 1000, None),
        ("supervisor/../x", 1000, None),
        ("hub", 1000, None),
        ("client/1001/abc", 1001, Role.CLIENT),
        ("client/1001/abc", 1002, None),
        ("client/1002/abc", 1000, Role.CLIENT),
        ("client/1001/", 1001, None),
        ("store\n", 1000, None),
    ],
)
def test_a_name_belongs_to_a_user(name: str, uid: int, role: Role | None) -> None:
    assert role_of(name, uid, owner=1000) is role


def ask(address: str, *, domain: bytes = ZAP_DOMAIN, mechanism: bytes = b"NULL") -> list[bytes]:
    return [b"1.0", b"7", domain, address.encode(), b"", mechanism]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (ask("localhost:54321:5:99"), b"200"),
        (ask("localhost:0:0:99"), b"200"),
        (ask("localhost:9:54322:99"), b"200"),
        (ask("localhost:54399:54399:99"), b"400"),
        (ask("127.0.0.1"), b"400"),
        (ask("localhost:54321:5:99", domain=b"other"), b"400"),
        (ask("localhost:54321:5:99", mechanism=b"PLAIN"), b"400"),
        (ask(""), b"400"),
        ([b"1.0", b"7"], b"500"),
        ([b"2.0", b"7", b"", b"", b"", b""], b"500"),
    ],
)
def test_the_gate_admits_owner_root_and_group(request_: list[bytes], status: bytes) -> None:
    answer, who = Gate(owner=54321, group=54322).answer(request_)
    assert answer[1:3] == [b"7", status]
    assert (who is not None) == (status == b"200")
    assert len(answer) == 6


@pytest.mark.parametrize("text", ["", "localhost", "a:b:c:d", "1:2", "localhost:1:2:-3"])
def test_an_address_without_credentials_has_none(text: str) -> None:
    assert Credentials.parse(text) is None


@pytest.mark.parametrize("module", ["apsis_bus", "apsis_bus.lock", "apsis_bus.service", "apsis_bus.topics"])
def test_the_module_costs_no_zeromq(module: str) -> None:
    program = (
        f"import sys, {module}; print([name for name in sys.modules if name.split('.')[0] in ('zmq', 'rich', 'click')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "[]\n"
