"""The repository gives back what was put in: any range, any line, after any order of arrival and any crash."""

import os
import random
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apsis.errors import BadRequest
from apsis_services.store import stream as stream_module
from apsis_services.store.blocks import RECORD, Damaged
from apsis_services.store.names import RunKey
from apsis_services.store.repository import Repository

MANY = 1 << 30
R1, R2, R7 = (RunKey(7, f"r{number}") for number in (1, 2, 7))


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 64 bytes, so that a short output has many."""
    monkeypatch.setattr(stream_module, "BLOCK", 64)
    monkeypatch.setattr(stream_module, "SMALL", 16)


@pytest.fixture
def repository(tmp_path):
    repository = Repository(tmp_path / "output")
    yield repository
    repository.close()


def whole(repository, run=R1, stream="output"):
    return repository.read_range(run, stream, 0, None, MANY).piece.data


def files_of(repository, run=R1):
    return sorted(run.folder(repository.root).glob("*"))


TEXT = st.lists(st.sampled_from([b"a", b"\n", b"line\n", b"x" * 70, b"\r\n\xff\x00"]), max_size=60).map(b"".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXT, data=st.data())
def test_pieces_in_any_order_cut_and_repeated_come_out_as_they_went_in(tmp_path, small_blocks, text, data):
    shutil.rmtree(tmp_path / "output", ignore_errors=True)
    repository = Repository(tmp_path / "output", max_open=1)
    offsets = st.integers(0, len(text))
    for start, stop in data.draw(st.lists(st.tuples(offsets, offsets), max_size=12)):
        before = len(whole(repository)) if start else 0
        length = repository.append(R1, "output", start, text[start:stop])
        if start > before:
            assert length == before, "a piece beyond the contiguous length is not taken"
        if data.draw(st.booleans()):
            repository.append(R2, "output", 0, b"evicts the other")
    held = whole(repository)
    assert held == text[: len(held)]
    repository.append(R1, "output", len(held), text[len(held) :])
    if data.draw(st.booleans()):
        repository.finish(R1, {"output": len(text)})
        repository.settle(R1, "output")
    start = data.draw(st.integers(-len(text) - 3, len(text) + 3))
    stop = data.draw(st.none() | offsets)
    limit = data.draw(st.integers(1, 500))
    expected = text[start if start >= 0 else max(0, len(text) + start) : stop][:limit]
    assert repository.read_range(R1, "output", start, stop, limit).piece.data == expected
    lines = text.split(b"\n")
    lines = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    part = repository.read_lines(R1, "output", 0, 0, MANY)
    assert part.stat.lines == len(lines)
    first = data.draw(st.integers(-len(lines) - 2, len(lines) + 2))
    count = data.draw(st.integers(0, len(lines) + 2))
    part = repository.read_lines(R1, "output", first, count, MANY)
    begin = first if first >= 0 else max(0, len(lines) + first)
    assert part.piece.data == b"".join(lines[begin : begin + count])
    assert part.piece.line == min(begin, len(lines))
    assert part.piece.start == len(b"".join(lines[:begin]))
    repository.close()


def test_after_a_cut_at_any_byte_what_remains_is_true_and_can_be_gone_on_from(tmp_path, small_blocks):
    """A crash may leave any prefix of the last block, of the last record and of the tail."""
    text = bytes(random.Random(1).choices(b"abcdefgh\n", k=300))
    first = Repository(tmp_path / "first")
    for start in range(0, len(text), 37):
        first.append(R1, "output", start, text[start : start + 37])
    first.close()
    sizes = {path.relative_to(tmp_path / "first"): path.stat().st_size for path in files_of(first)}
    assert {path.suffix for path in sizes} == {".data", ".index", ".tail"}
    lengths = set()
    for path, size in sizes.items():
        for cut in range(max(0, size - 2 * RECORD), size):
            shutil.rmtree(tmp_path / "cut", ignore_errors=True)
            shutil.copytree(tmp_path / "first", tmp_path / "cut")
            os.truncate(tmp_path / "cut" / path, cut)
            repository = Repository(tmp_path / "cut")
            held = whole(repository)
            assert held == text[: len(held)]
            lengths.add(len(held))
            assert repository.append(R1, "output", len(held), text[len(held) :]) == len(text)
            assert whole(repository) == text
            repository.close()
            assert whole(Repository(tmp_path / "cut")) == text
    assert len(lengths) > 3, "the cuts reached blocks, records and tail"


def test_a_crash_between_the_record_and_the_emptying_of_the_tail_repeats_nothing(tmp_path, small_blocks):
    text = bytes(random.Random(2).choices(b"abc\n", k=100))
    repository = Repository(tmp_path / "output")
    repository.append(R1, "output", 0, text[:60])
    repository.close()
    (tail,) = files_of(repository)
    before = tail.read_bytes()
    repository.append(R1, "output", 60, text[60:64])
    repository.close()
    tail.write_bytes(before + text[60:64])
    again = Repository(tmp_path / "output")
    assert whole(again) == text[:64]
    assert again.append(R1, "output", 64, text[64:]) == 100
    again.close()
    assert whole(Repository(tmp_path / "output")) == text


@pytest.mark.parametrize("nth", range(12))
def test_a_full_disk_loses_nothing_that_was_kept_and_takes_the_rest_later(repository, small_blocks, monkeypatch, nth):
    text = bytes(random.Random(3).choices(b"abc\n", k=500))
    true_write = os.pwrite
    writes = 0

    def full(file, data, place):
        nonlocal writes
        writes += 1
        if writes <= nth:
            return true_write(file, data, place)
        if writes == nth + 1:
            return true_write(file, data[: len(data) // 2], place)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    held = 0
    try:
        while held < len(text):
            held = repository.append(R1, "output", held, text[held : held + 50])
    except OSError:
        assert writes > nth
    else:
        assert writes <= nth, "the error was swallowed"
    monkeypatch.setattr(os, "pwrite", true_write)
    now = len(whole(repository))
    assert now >= held
    assert whole(repository) == text[:now]
    if nth % 2:
        repository.close()
        repository._open.clear()
        assert whole(repository)[:held] == text[:held], "killed while the disk was full"
    now = len(whole(repository))
    assert repository.append(R1, "output", now, text[now:]) == len(text)
    repository.close()
    assert whole(Repository(repository.root)) == text


def test_lost_ranges_are_marked_and_read_as_zeros(repository, small_blocks):
    repository.append(R1, "output", 0, b"head\nhal")
    assert repository.append_gap(R1, "output", 20, 5) == 8, "a gap beyond the length is refused like bytes"
    assert repository.append_gap(R1, "output", 4, 1000) == 1004
    assert repository.append_gap(R1, "output", 4, 1000) == 1004
    assert repository.append_gap(R1, "output", 1004, 6) == 1010
    assert repository.append(R1, "output", 1010, b"tail\nend") == 1018
    repository.close()
    part = repository.read_range(R1, "output", 0, None, MANY)
    assert part.piece.data == b"head\nhal" + bytes(1002) + b"tail\nend"
    assert part.stat.gaps == [(8, 1010)]
    assert part.stat.lines == 4
    lines = [repository.read_lines(R1, "output", n, 1, MANY).piece for n in range(4)]
    assert [(line.start, line.data) for line in lines] == [
        (0, b"head\n"), (5, b"hal"), (1010, b"tail\n"), (1015, b"end")
    ]  # fmt: skip
    assert repository.read_lines(R1, "output", 0, 4, MANY).piece.data == b"head\nhal", "lines stop at a gap"


def test_an_output_that_begins_with_a_gap_has_its_first_line_after_it(repository, small_blocks):
    repository.append_gap(R1, "output", 0, 100)
    repository.append(R1, "output", 100, b"one\ntwo\n")
    assert repository.read_lines(R1, "output", 0, 9, MANY).piece.data == b"one\ntwo\n"


def test_an_output_is_complete_when_its_final_length_is_there_and_not_before(repository, small_blocks):
    repository.append(R1, "stdout", 0, b"x" * 100)
    assert repository.finish(R1, {"stdout": 150, "stderr": 0}) == {"stdout": 100, "stderr": 0}
    assert not repository.is_complete(R1, "stdout", 100)
    assert repository.is_complete(R1, "stderr", 0)
    repository.append(R1, "stdout", 100, b"y" * 50)
    assert repository.is_complete(R1, "stdout", 150)
    repository.settle(R1, "stdout")
    again = Repository(repository.root)
    assert {name: (stat.length, stat.complete) for name, stat in again.stat(R1).items()} == {
        "stderr": (0, True), "stdout": (150, True)
    }  # fmt: skip
    assert whole(again, stream="stdout") == b"x" * 100 + b"y" * 50
    assert not [path for path in files_of(repository) if path.suffix == ".tail"]
    again.close()


def test_empty_output_leaves_no_file(repository):
    assert repository.finish(R7, {"output": 0}) == {"output": 0}
    assert repository.stat(R7) == {}
    assert not repository.root.exists()


def test_a_range_of_a_large_output_unpacks_only_its_blocks(repository, monkeypatch):
    block = b"".join(b"line %07d\n" % n for n in range(30000))
    for n in range(12):
        repository.append(R1, "output", n * len(block), block)
    unpacked = []
    from apsis_services.store import reading

    true_unpack = reading.unpack
    monkeypatch.setattr(reading, "unpack", lambda *given: unpacked.append(1) or true_unpack(*given))
    part = repository.read_lines(R1, "output", 200_005, 2, MANY)
    assert part.piece.data == b"line 0020005\nline 0020006\n"
    assert len(unpacked) <= 3
    unpacked.clear()
    assert repository.read_range(R1, "output", 1_000_000, 1_000_010, MANY).piece.data == (block * 4)[1000000:1000010]
    assert len(unpacked) == 1


def test_lines_stop_at_whole_lines_below_the_limit_and_only_a_longer_line_is_cut(repository, small_blocks):
    repository.append(R1, "output", 0, b"12345\n12345\n" + b"z" * 200 + b"\nlast")
    assert repository.read_lines(R1, "output", 0, 9, 15).piece.data == b"12345\n12345\n"
    assert repository.read_lines(R1, "output", 2, 9, 50).piece.data == b"z" * 50
    assert repository.read_lines(R1, "output", -1, 1, MANY).piece.data == b"last"


@pytest.mark.parametrize("run", ["", "r", "1", "../r1", "r1/..", "r1\n", "R1", "r१", "r" + "1" * 20, "/etc", "r-1"])
def test_no_other_text_than_a_run_id_becomes_a_path(repository, run):
    for call in (
        lambda: repository.append(RunKey(7, run), "output", 0, b"x"),
        lambda: repository.finish(RunKey(7, run), {"output": 1}),
        lambda: repository.read_range(RunKey(7, run), "output", 0, 1, 1),
        lambda: repository.stat(RunKey(7, run)),
        lambda: repository.delete(RunKey(7, run)),
    ):
        with pytest.raises(BadRequest):
            call()
    assert not repository.root.exists()


@pytest.mark.parametrize("stream", ["", "..", "a/b", "Output", "a.b", "output\n"])
def test_no_other_text_than_a_stream_name_becomes_a_path(repository, stream):
    with pytest.raises(BadRequest):
        repository.append(R1, stream, 0, b"x")
    with pytest.raises(BadRequest):
        repository.finish(R1, {stream: 1})


def test_deleting_never_follows_a_link(repository, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    repository.append(R1, "output", 0, b"x" * 10)
    (folder,) = {path.parent for path in files_of(repository)}
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "kept")
    repository.delete(R1)
    assert not folder.exists()
    folder.symlink_to(outside)
    repository.delete(R1)
    assert not folder.is_symlink()
    assert (outside / "kept").read_text() == "kept"
    repository.delete(R1)


def test_appending_never_writes_through_a_link(repository, tmp_path):
    repository.append(R1, "output", 0, b"x")
    (tail,) = files_of(repository)
    repository.close()
    repository._open.clear()
    target = tmp_path / "target"
    target.write_bytes(b"safe")
    tail.unlink()
    tail.symlink_to(target)
    with pytest.raises(OSError):
        repository.append(R1, "output", 0, b"y")
    assert target.read_bytes() == b"safe"


def test_few_files_are_open_however_many_outputs_grow(tmp_path):
    repository = Repository(tmp_path / "output", max_open=4)
    before = len(os.listdir("/proc/self/fd"))
    for turn in range(3):
        for run in range(50):
            repository.append(RunKey(7, f"r{run}"), "output", turn * 5, b"12345")
    assert len(os.listdir("/proc/self/fd")) - before <= 3 * 4
    repository.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert all(whole(repository, RunKey(7, f"r{run}")) == b"12345" * 3 for run in range(50))
    repository.close()


def test_a_block_spoilt_on_disk_is_refused_and_not_handed_out(repository, small_blocks):
    repository.append(R1, "output", 0, bytes(random.Random(4).choices(range(256), k=640)))
    repository.close()
    (data,) = [path for path in files_of(repository) if path.suffix == ".data"]
    content = bytearray(data.read_bytes())
    content[40] ^= 0xFF
    data.write_bytes(content)
    with pytest.raises(Damaged):
        whole(repository)
    assert repository.read_range(R1, "output", 320, 330, 10).piece.data
