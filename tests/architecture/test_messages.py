"""Messages are plain, frozen and known by one tag each, and say who talks to whom."""

import inspect

import msgspec
import pytest

from apsis.messages import dispatch, events, outputs, requests
from apsis.messages.body import Body, decode

MODULES = (dispatch, events, outputs, requests)
BODIES = [
    kind
    for module in MODULES
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, Body) and kind.__module__ == module.__name__
]
NAMES = [kind.__name__ for kind in BODIES]


@pytest.mark.parametrize("kind", BODIES, ids=NAMES)
def test_a_message_cannot_be_changed_in_place(kind: type[Body]) -> None:
    config = kind.__struct_config__

    assert config.frozen
    assert inspect.getdoc(kind)


def test_no_two_messages_of_one_channel_share_a_tag() -> None:
    for module in MODULES:
        tags = [kind.__struct_config__.tag for kind in BODIES if kind.__module__ == module.__name__]
        assert len(tags) == len(set(tags)), module.__name__


def test_unknown_fields_are_ignored_so_that_a_newer_sender_is_understood() -> None:
    ack = msgspec.json.decode(
        b'{"t":"ack","journal":1,"term":2,"epoch":"e","seq":3,"new":true}', type=dispatch.ToSupervisor
    )

    assert ack == dispatch.Ack(journal=1, term=2, epoch="e", seq=3)


def test_a_body_of_thousands_of_brackets_is_a_bad_body_and_ends_no_process() -> None:
    deep = b'{"t":"create_ad_hoc","job":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}"

    with pytest.raises(msgspec.DecodeError):
        decode(requests.Deed, deep)
