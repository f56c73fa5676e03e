"""Changed bytes are never handed out, runs of two databases never mix, and a power loss is looked at once."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from apsis.errors import ConfigError
from apsis_services.store import stream as stream_module
from apsis_services.store.blocks import Damaged
from apsis_services.store.names import RunKey
from apsis_services.store.removals import Removal, note_removals
from apsis_services.store.repository import Removed, Repository

RUN = RunKey(7, "r1")
TEXT = bytes(random.Random(6).choices(b"abcdefgh\n", k=230))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """Blocks of 64 bytes, so that a short output has many."""
    monkeypatch.setattr(stream_module, "BLOCK", 64)
    monkeypatch.setattr(stream_module, "SMALL", 16)
    repository = Repository(tmp_path / "output")
    yield repository
    repository.close()


def whole(repository: Repository, key: RunKey = RUN) -> bytes:
    return repository.read_range(key, "output", 0, None, 1 << 30).piece.data


def test_the_same_run_id_of_two_databases_is_two_outputs(repository: Repository) -> None:
    other = RunKey(8, "r1")
    repository.append(RUN, "output", 0, b"one")
    repository.append(other, "output", 0, b"two!")
    repository.finish(other, {"output": 4})
    assert (whole(repository), whole(repository, other)) == (b"one", b"two!")
    assert not repository.is_whole(RUN)
    repository.delete(other)
    assert whole(repository) == b"one"


def test_with_any_byte_changed_no_wrong_byte_is_read(repository: Repository) -> None:
    for start in range(0, len(TEXT), 37):
        repository.append(RUN, "output", start, TEXT[start : start + 37])
    repository.close()
    files = {path: path.read_bytes() for path in RUN.folder(repository.root).iterdir()}
    assert {path.suffix for path in files} == {".data", ".index", ".tail"}
    damaged = 0
    for spoilt, content in files.items():
        for at in range(len(content)):
            for path, true in files.items():  # what is recovered is cut
                path.write_bytes(true)
            spoilt.write_bytes(content[:at] + bytes([content[at] ^ 0x21]) + content[at + 1 :])
            again = Repository(repository.root)
            length = again.stat(RUN)["output"].length
            for start in range(0, length, 30):
                try:
                    data = again.read_range(RUN, "output", start, start + 30, 30).piece.data
                except Damaged:
                    damaged += 1
                else:
                    assert data == TEXT[start : min(length, start + 30)]
            again.close()
    assert damaged > 100


def test_after_a_power_loss_the_first_damaged_block_and_all_after_it_are_asked_for_again(
    repository: Repository,
) -> None:
    """The kernel writes in any order: the last block may be whole where an earlier one never came to the disk."""
    repository.append(RUN, "output", 0, TEXT)
    repository.close()
    folder = RUN.folder(repository.root)
    content = bytearray((folder / "output.data").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / "output.data").write_bytes(content)
    os.utime(folder / "output.index", (1, 1))
    again = Repository(repository.root)
    length = again.append(RUN, "output", len(TEXT), b"more")
    assert length in (64, 128), "what hangs in the air is not taken"
    assert whole(again) == TEXT[:length]
    assert again.append(RUN, "output", length, TEXT[length:]) == len(TEXT)
    assert whole(again) == TEXT
    again.close()


def test_what_was_removed_is_said_to_be_and_takes_no_bytes_any_more(repository: Repository) -> None:
    repository.append(RUN, "output", 0, TEXT)
    note_removals(repository.root, [Removal(RUN, 5.0, "age")])
    assert whole(repository) == TEXT, "what is still there is read"
    repository.delete(RUN)
    for call in (
        lambda: repository.stat(RUN),
        lambda: repository.look(RUN, "output"),
        lambda: repository.append(RUN, "output", 0, b"late"),
        lambda: repository.finish(RUN, {"output": 4}),
    ):
        with pytest.raises(Removed) as removed:
            call()
        assert removed.value.removal.reason == "age"


def test_a_repository_of_another_layout_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "output" / "3f" / "r12").mkdir(parents=True)
    with pytest.raises(ConfigError, match="earlier version") as error:
        Repository(tmp_path / "output").refuse_other_layout()
    assert "mv " in error.value.hint
    Repository(tmp_path / "none").refuse_other_layout()
