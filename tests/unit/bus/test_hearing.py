"""What a service hears is what its methods are annotated with."""

from pathlib import Path
from typing import Any

import pytest

from apsis.config import Config, load_config
from apsis.home import Home
from apsis.messages.body import encode
from apsis.messages.outputs import Chunk, OutputEnd, OutputStat, ReadLines, ReadRange
from apsis_bus.deliveries import Delivery
from apsis_bus.frames import NO, OK, read_refusal
from apsis_bus.service import Service


class Store(Service):
    """Hears two kinds by one method, and one by another."""

    name = "store"

    def on_read(self, message: ReadRange | ReadLines, delivery: Delivery) -> None:
        self.facts["read"] = message.run_id
        delivery.ok(message)

    def on_end(self, message: OutputEnd, delivery: Delivery) -> None:
        self.facts["end"] = message.run_id


class Newer(Store):
    """Hears one kind more, and one otherwise."""

    def on_stat(self, message: OutputStat, delivery: Delivery) -> None:
        self.facts["stat"] = message.run_id

    def on_end(self, message: OutputEnd, delivery: Delivery) -> None:
        self.facts["newer"] = message.run_id


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "apsis.yaml").write_text("")
    return load_config(Home(tmp_path))


def delivery(body: object, answers: list[tuple[Any, ...]]) -> Delivery:
    data = body if isinstance(body, bytes) else encode(body)
    return Delivery("SEND", "web", bytes(16), data, None, False, lambda *answer: answers.append(answer))


def test_a_message_reaches_the_method_that_is_annotated_with_it(config: Config, tmp_path: Path) -> None:
    store, answers = Store(Home(tmp_path), config), []
    store.take(delivery(ReadLines(run_id="r1", stream="output", first=0, count=1), answers))
    store.take(delivery(OutputEnd(host="h", run_id="r2", lengths={}), answers))
    assert store.facts == {"read": "r1", "end": "r2"}
    assert [answer[0] for answer in answers] == [OK]


def test_a_heir_hears_what_its_parent_hears(config: Config, tmp_path: Path) -> None:
    newer = Newer(Home(tmp_path), config)
    newer.take(delivery(OutputStat(run_id="r3"), []))
    newer.take(delivery(OutputEnd(host="h", run_id="r2", lengths={}), []))
    newer.take(delivery(ReadRange(run_id="r1", stream="output", start=0), []))
    assert newer.facts == {"stat": "r3", "newer": "r2", "read": "r1"}
    assert set(Store.hears) == {ReadRange, ReadLines, OutputEnd}


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"t":"nothing"}', Chunk(host="h", run_id="r", stream="s", offset=0, length=0, crc32=0)]
)
def test_what_it_does_not_hear_is_answered_no(config: Config, tmp_path: Path, body: object) -> None:
    answers: list[tuple[Any, ...]] = []
    Store(Home(tmp_path), config).take(delivery(body, answers))
    assert answers[0][0] == NO
    assert read_refusal(answers[0][3]).code == "body"
