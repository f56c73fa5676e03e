"""The pump between files that grow and a store that loses, repeats and reorders."""

import random
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apsis.messages.outputs import Chunk, Kept, OutputEnd
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.outputs.pump import CREDIT, MESSAGES, Pump
from apsis_services.supervisor.outputs.tail import PIECE


class Store:
    """Keeps contiguous bytes; acks what it has."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytearray] = {}
        self.lengths: dict[str, dict[str, int]] = {}
        self.got: list[Chunk] = []

    def take(self, message: Chunk | OutputEnd, data: bytes) -> list[Kept]:
        run_id = message.run_id
        streams = [message.stream] if isinstance(message, Chunk) else list(message.lengths)
        again = False
        if isinstance(message, OutputEnd):
            self.lengths[run_id] = message.lengths
        else:
            self.got.append(message)
            kept = self.kept.setdefault((run_id, message.stream), bytearray())
            data = bytes(message.length) if message.gap else data
            assert message.gap or zlib.crc32(data) == message.crc32
            if message.offset <= len(kept):
                kept += data[len(kept) - message.offset :]
            else:
                again = True
        return [self._kept(message.journal, run_id, stream, again=again) for stream in streams]

    def _kept(self, journal: int, run_id: str, stream: str, *, again: bool) -> Kept:
        length = len(self.kept.get((run_id, stream), b""))
        complete = self.lengths.get(run_id, {}).get(stream) == length
        again = again and not complete
        return Kept(run_id=run_id, stream=stream, length=length, complete=complete, again=again, journal=journal)


class Rig:
    """A pump over a folder, its messages as a list, and what it removed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sent: list[tuple[Chunk | OutputEnd, bytes]] = []
        self.removed: list[Path] = []
        self.fresh()

    def fresh(self) -> None:
        """A new process: positions are gone, files and marks are not."""
        self.sent.clear()
        self.pump = Pump("local", self.root, self._send, self.removed.append)

    def _send(self, message: Chunk | OutputEnd, payload: bytes | None) -> None:
        self.sent.append((message, payload or b""))

    def write(self, key: Key, stream: str, data: bytes) -> None:
        folder = self.root / str(key)
        folder.mkdir(exist_ok=True)
        with (folder / stream).open("ab") as file:
            file.write(data)


@pytest.fixture
def rig(tmp_path) -> Rig:
    return Rig(tmp_path)


def serve(rig: Rig, store: Store, now: float = 0.0) -> None:
    """Answer everything until nothing more is sent."""
    while True:
        rig.pump.pump(now)
        if not rig.sent:
            return
        message, data = rig.sent.pop(0)
        rig.pump.acked(store.take(message, data), now)
        now += 0.01


def test_what_is_on_its_way_is_bounded_in_bytes(rig):
    key = Key(1, "r1")
    rig.write(key, "output", bytes(CREDIT * 2))
    rig.pump.open(key, ["output"])
    rig.pump.grew(key)
    rig.pump.pump(0.0)
    assert sum(len(data) for _, data in rig.sent) == CREDIT


def test_what_is_on_its_way_is_bounded_in_messages(rig):
    for run in range(MESSAGES * 2):
        key = Key(1, f"r{run}")
        rig.write(key, "output", b"x")
        rig.pump.open(key, ["output"])
        rig.pump.grew(key)
    rig.pump.pump(0.0)
    assert len(rig.sent) == MESSAGES


def test_runs_are_served_in_turn(rig):
    for run in range(3):
        key = Key(1, f"r{run}")
        rig.write(key, "output", bytes(PIECE * 4))
        rig.pump.open(key, ["output"])
        rig.pump.grew(key)
    rig.pump.pump(0.0)
    assert [message.run_id for message, _ in rig.sent[:6]] == ["r0", "r1", "r2"] * 2


def test_the_first_line_goes_at_once_and_the_next_are_gathered(rig):
    key = Key(1, "r1")
    rig.pump.open(key, ["output"])
    for now in (0.0, 0.001, 0.002):
        rig.write(key, "output", b"line\n")
        rig.pump.grew(key)
        again = rig.pump.pump(now)
    assert [len(data) for _, data in rig.sent] == [5]
    rig.pump.pump(again)
    assert [len(data) for _, data in rig.sent] == [5, 10]


def test_an_unreachable_store_gets_one_message_at_a_time_and_then_everything(rig):
    store = Store()
    for run in range(10):
        key = Key(1, f"r{run}")
        rig.write(key, "output", b"x" * 10)
        rig.pump.open(key, ["output"])
        rig.pump.grew(key)
        rig.pump.finish(key, {"output": 10})
    now = 0.0
    rig.pump.pump(now)
    rig.sent.clear()
    rig.pump.lost(now)
    tries = []
    for _ in range(5):
        while not rig.sent:
            now = rig.pump.pump(now) or now
        tries.append(len(rig.sent))
        rig.sent.clear()
        rig.pump.lost(now)
    assert tries == [1] * 5
    serve(rig, store, rig.pump.try_at)
    assert all(output.settled for output in rig.pump.outputs.values())
    assert (rig.pump.messages, rig.pump.bytes) == (0, 0)


def test_a_folder_goes_only_when_forgotten_and_kept(rig):
    store, key = Store(), Key(1, "r1")
    rig.write(key, "output", b"abc")
    rig.pump.open(key, ["output"])
    rig.pump.finish(key, {"output": 3})
    rig.pump.forget(key)
    assert rig.removed == []
    serve(rig, store)
    assert rig.removed == [rig.root / str(key)]
    assert rig.pump.outputs == {}


def test_a_file_shorter_than_its_journal_says_ends_in_a_gap(rig):
    store, key = Store(), Key(1, "r1")
    rig.write(key, "output", b"abc")
    rig.pump.open(key, ["output"])
    rig.pump.finish(key, {"output": 5})
    serve(rig, store)
    assert [(chunk.offset, chunk.length, chunk.gap) for chunk in store.got] == [(0, 3, False), (3, 2, True)]


def test_after_a_restart_a_finished_run_is_asked_for_before_it_is_sent(rig):
    store, key = Store(), Key(1, "r1")
    rig.write(key, "output", b"a" * 1000)
    rig.pump.open(key, ["output"])
    rig.pump.finish(key, {"output": 1000})
    serve(rig, store)
    chunks = len(store.got)
    rig.fresh()
    rig.pump.open(key, ["output"], found=True)
    rig.pump.finish(key, {"output": 1000})
    serve(rig, store)
    assert rig.pump.outputs[key].settled
    assert len(store.got) == chunks


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**9), loss=st.floats(0, 0.5), kills=st.floats(0, 0.1))
def test_every_byte_arrives_once_in_its_place(tmp_path_factory, seed, loss, kills):
    chance = random.Random(seed)
    rig, store = Rig(tmp_path_factory.mktemp("runs")), Store()
    keys = [Key(1, f"r{run}") for run in range(4)]
    written = dict.fromkeys(keys, b"")
    for key in keys:
        rig.pump.open(key, ["output"])
    flying: list[tuple[Chunk | OutputEnd, bytes]] = []
    acks: list[list[Kept]] = []
    ended: set[Key] = set()
    for step in range(900):
        now, bad = step * 0.05, step < 300
        if bad:
            key = chance.choice(keys)
            data = chance.randbytes(chance.choice([1, 100, 5000, 700_000 if chance.random() < 0.1 else 10]))
            written[key] += data
            rig.write(key, "output", data)
            rig.pump.grew(key)
        if step >= 300 and len(ended) < len(keys):
            key = keys[len(ended)]
            ended.add(key)
            rig.pump.finish(key, {"output": len(written[key])})
        if bad and chance.random() < kills:
            rig.fresh()
            for key in keys:
                rig.pump.open(key, ["output"], found=True)
                rig.pump.grew(key)
        if bad and chance.random() < 0.05:
            rig.pump.lost(now)
        rig.pump.pump(now)
        flying += rig.sent
        rig.sent.clear()
        if bad:
            chance.shuffle(flying)
            chance.shuffle(acks)
        for message, data in flying:
            copies = 0 if bad and chance.random() < loss else 2 if bad and chance.random() < 0.2 else 1
            acks += [store.take(message, data) for _ in range(copies)]
        flying.clear()
        for kept in acks:
            if not (bad and chance.random() < loss):
                rig.pump.acked(kept, now)
        acks.clear()
    assert {key: bytes(store.kept.get((key.run_id, "output"), b"")) for key in keys} == written
    assert all(output.settled for output in rig.pump.outputs.values())
    assert (rig.pump.messages, rig.pump.bytes) == (0, 0)


def test_only_what_the_store_has_on_its_disk_is_given_back(rig):
    key = Key(1, "r1")
    rig.write(key, "output", b"x" * (PIECE * 16))
    rig.pump.open(key, ["output"])
    rig.pump.grew(key)
    for _ in range(2):
        rig.pump.pump(0.0)
        for message, _data in rig.sent:
            end = message.offset + message.length
            kept = Kept(run_id="r1", stream="output", length=end, journal=1, durable=min(end, PIECE * 5))
            rig.pump.acked([kept], 0.0)
        rig.sent.clear()
    output = rig.pump.outputs[key]
    assert output.streams["output"].acked == PIECE * 16
    assert output.punched == {"output": PIECE * 4}
    assert output.folder.read("output", 0, 5) == bytes(5)
    assert output.folder.read("output", PIECE * 5, 5) == b"xxxxx"


def test_what_was_given_up_is_told_as_a_gap_after_a_restart_too(rig):
    store, key = Store(), Key(1, "r1")
    rig.write(key, "output", b"x" * (PIECE * 8))
    rig.pump.open(key, ["output"])
    rig.pump.grew(key)
    start, stop = rig.pump.outputs[key].streams["output"].unsent()
    rig.pump.give_up(key, "output", start, stop)
    rig.fresh()
    rig.pump.open(key, ["output"], found=True)
    rig.pump.finish(key, {"output": PIECE * 8})
    serve(rig, store)
    gaps = [(chunk.offset, chunk.offset + chunk.length) for chunk in store.got if chunk.gap]
    assert gaps == [(start, stop)]
    assert bytes(store.kept["r1", "output"]) == b"x" * start + bytes(stop - start) + b"x" * (PIECE * 8 - stop)


def test_word_of_growth_that_comes_late_starts_nothing_anew_for_a_run_that_is_kept(rig):
    key, store = Key(1, "r1"), Store()
    rig.write(key, "output", b"x" * 100)
    rig.pump.open(key, ["output"])
    rig.pump.grew(key)
    rig.pump.finish(key, {"output": 100})
    serve(rig, store)
    assert rig.pump.outputs[key].settled

    rig.pump.grew(key)
    rig.pump.pump(1.0)
    rig.pump.forget(key)

    assert rig.sent == []
    assert rig.removed == [rig.root / str(key)]
    rig.pump.pump(100.0)  # a run that is gone is not looked for when its answer is overdue
    assert (rig.pump.messages, rig.pump.bytes) == (0, 0)
