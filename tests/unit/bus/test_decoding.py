"""Bodies that anyone may have made up: each kind of message is decoded to what it is, or refused with a clear error."""

import importlib
import pkgutil
import types
import typing
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import apsis.messages
from apsis.messages import dispatch, events, outputs, requests
from apsis.messages.body import Body, decode, encode
from apsis.messages.events import Event, Page, SysEvent
from apsis.messages.snapshots import Snapshot
from apsis_bus import frames
from apsis_bus.consumer import Ask, Consumer, Reset, Step, Take
from apsis_bus.snapshots import AskPage, Collector, TakePage, Whole

#: a few for each kind; the unions are what is really heard, and the long form goes deeper everywhere
EACH = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DEEP = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LONG = settings(max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def kinds() -> list[type[Body]]:
    modules = [
        importlib.import_module(f"apsis.messages.{info.name}") for info in pkgutil.iter_modules(apsis.messages.__path__)
    ]
    found = {
        kind
        for module in [*modules, frames]
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Body) and kind is not Body
    }
    return sorted(found, key=lambda kind: kind.__name__)


KINDS = kinds()
UNIONS: dict[str, Any] = {
    "ToSupervisor": dispatch.ToSupervisor, "Command": dispatch.Command, "Report": dispatch.Report,
    "Event": events.Event, "ToStore": outputs.ToStore, "AskStore": outputs.AskStore, "Deed": requests.Deed,
}  # fmt: skip

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def tolerated(kind: Any, data: bytes) -> object:
    """Decode, or meet with one of the two errors that every caller expects; anything else is a fault."""
    try:
        return decode(kind, data)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None


def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Return the bytes with some cut, doubled, changed or put in."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(found)))
        match draw(st.sampled_from(["cut", "put", "change", "double", "number"])):
            case "cut":
                del found[at:]
            case "put":
                found[at:at] = draw(st.binary(max_size=4))
            case "change":
                found[at : at + 1] = draw(st.binary(max_size=2))
            case "double":
                found[at:at] = found[:at]
            case _:
                found[at:at] = b"9" * draw(st.integers(1, 60))
    return bytes(found)


@st.composite
def guesses(draw: st.DrawFn, kind: type[Body]) -> bytes:
    """A body of a kind as a stranger would guess it: the right names, any values."""
    fields = msgspec.structs.fields(kind)
    body = {"t": kind.__struct_config__.tag, **{field.encode_name: draw(json_values) for field in fields}}
    data = encode(body)
    return mutated(draw, data) if draw(st.booleans()) else data


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@EACH
@given(data=st.data())
def test_a_body_is_what_it_says_or_a_clear_error(kind: type[Body], data: st.DataObject) -> None:
    found = tolerated(kind, data.draw(guesses(kind)))
    assert found is None or isinstance(found, kind)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for the values of an annotation, so that whole, valid bodies are made."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(argument) for argument in arguments])
    if origin is list:
        return st.lists(values(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(st.text(max_size=5), values(arguments[1]), max_size=3)
    if origin is tuple:
        return st.tuples(*(values(argument) for argument in arguments))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        return st.builds(
            kind, **{field.name: values(hints[field.name]) for field in msgspec.structs.fields(kind)}
        )  # fmt: skip
    simple = {
        int: st.integers(-(2**70), 2**70), str: st.text(max_size=12), bool: st.booleans(), type(None): st.none(),
        float: st.floats(allow_nan=False, allow_infinity=False), Any: st.text(max_size=5) | st.integers(0, 9),
        msgspec.Raw: st.just(msgspec.Raw(b"null")),
    }  # fmt: skip
    return simple[kind] if kind in simple else st.sampled_from(list(kind))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@EACH
@given(data=st.data())
def test_a_body_comes_back_as_it_was_and_bends_without_breaking(kind: type[Body], data: st.DataObject) -> None:
    body = data.draw(values(kind))
    sent = encode(body)
    assert encode(decode(kind, sent)) == sent
    tolerated(kind, data.draw(st.composite(mutated)(sent)))


@pytest.mark.parametrize("name", UNIONS)
@DEEP
@given(data=st.data())
def test_what_one_end_hears_is_one_of_its_messages_or_a_clear_error(name: str, data: st.DataObject) -> None:
    anything = st.binary(max_size=60) | json_values.map(encode)
    guess = st.sampled_from(KINDS).flatmap(guesses)
    tolerated(UNIONS[name], data.draw(anything | guess))


@pytest.mark.nightly
@pytest.mark.timeout(900)
@LONG
@given(data=st.data())
def test_at_length_a_body_is_what_it_says_or_a_clear_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    found = tolerated(kind, data.draw(guesses(kind)))
    assert found is None or isinstance(found, kind)
    sent = encode(data.draw(values(kind)))
    assert encode(decode(kind, sent)) == sent
    tolerated(kind, data.draw(st.composite(mutated)(sent)))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b'{"t":"\x9f"}', b'{"t":"page","journal":1,"last":1,"head":1,"events":[{"t":"\xed\xa0\x80"}]}',
        b"[" * 100_000, b'{"t":"page","events":' + b"[" * 100_000, b'{"t":"\\ud800"}', b'{"t":"sys","id":1e999}',
        b'{"t":"sys","id":' + b"9" * 5_000 + b"}", b"nul", b'{"t":"sys"', b"\x00" * 1_000, b'{"t":["sys"]}',
    ],
    ids=range(13),
)  # fmt: skip
def test_known_nastiness_is_a_clear_error_for_every_kind(data: bytes) -> None:
    """The third, an invalid byte in a text, once came out as another error, and ended the hub."""
    for kind in [*KINDS, *UNIONS.values()]:
        assert tolerated(kind, data) is None


def carried(steps: Sequence[Step]) -> None:
    for step in steps:
        assert isinstance(step, Take | Ask | Reset)
        if isinstance(step, Take):
            ids = [event.id for event in step.events]
            assert ids == sorted(ids)


def some_event(number: int) -> Event:
    return SysEvent(id=number, at="2026-06-30T14:32:07.120000Z", kind="x")


numbers = st.integers(-5, 60) | st.integers(-(2**70), 2**70)
journals = st.sampled_from([0, 1, 2])
pages = st.builds(
    Page, journal=journals, last=numbers, head=numbers, events=st.lists(numbers.map(some_event), max_size=6)
)  # fmt: skip
words = st.one_of(
    st.tuples(st.just("event"), numbers, journals), st.tuples(st.just("head"), journals, numbers),
    st.tuples(st.just("welcome"), journals, numbers), st.tuples(st.just("page"), pages),
    st.tuples(st.sampled_from(["ask", "floor", "failure"])), st.tuples(st.just("restart"), numbers, journals),
)  # fmt: skip


@DEEP
@given(st.none() | st.integers(0, 50), journals, st.lists(words, max_size=40))
def test_no_word_of_anybody_confuses_a_consumer(cursor: int | None, journal: int, said: list[tuple[Any, ...]]) -> None:
    """Nothing that comes raises, makes it hand over something older than its cursor, or asks two things at once."""
    consumer = Consumer(cursor, journal)
    asked = 0
    for word, *rest in said:
        before, was_halted = consumer.cursor, consumer.halted
        match word:
            case "event":
                steps = consumer.on_event(some_event(rest[0]), rest[1])
            case "head":
                steps = consumer.on_head(*rest)
            case "welcome":
                steps = consumer.on_welcome(*rest)
            case "page":
                steps = consumer.on_page(rest[0])
            case "restart":
                asked, before, was_halted = 0, None, False
                steps = consumer.restart(*rest)
            case "ask":
                steps = consumer.ask()
            case "floor":
                steps = consumer.on_floor()
            case _:
                consumer.on_failure()
                steps = []
        carried(steps)
        if word in ("page", "failure") and not was_halted:
            asked = 0
        asked += sum(isinstance(step, Ask) for step in steps)
        if any(isinstance(step, Reset) for step in steps):
            asked = 0
        assert asked <= 1
        assert not (was_halted and steps)
        for step in steps:
            if isinstance(step, Take) and before is not None:
                assert all(event.id > before for event in step.events)


@DEEP
@given(
    st.lists(
        st.builds(
            Snapshot, journal=journals, head=numbers, now=st.just("n"), next=st.none() | st.sampled_from(["a", "b"])
        ),
        max_size=20,
    )
)  # fmt: skip
def test_a_snapshot_ends_with_the_head_of_its_first_page_and_of_one_database(said: list[Snapshot]) -> None:
    collector = Collector("")
    taken: list[Snapshot] = []
    for page in said:
        try:
            steps = collector.on_page(page)
        except ValueError:
            # it does not go on
            break
        for step in steps:
            match step:
                case TakePage(given):
                    taken.append(given)
                case Whole(journal, head, _):
                    assert {each.journal for each in taken} == {journal}
                    assert taken[0].head == head
                    return
                case AskPage():
                    pass
                case _:
                    taken = []
