"""A search finds each line that holds the text, in bounded steps, over blocks and gaps; a slow expression is ended."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from apsis.errors import BadRequest
from apsis.messages.outputs import Hit
from apsis_services.store import searching
from apsis_services.store import stream as stream_module
from apsis_services.store.matcher import Matcher, TooSlow
from apsis_services.store.names import RunKey
from apsis_services.store.repository import Repository
from apsis_services.store.searching import Finds, find_text, step

RUN = RunKey(1, "r1")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """Blocks of 64 bytes and steps of 200, so that a short text takes many."""
    monkeypatch.setattr(stream_module, "BLOCK", 64)
    monkeypatch.setattr(searching, "STEP", 200)
    repository = Repository(tmp_path / "output")
    yield repository
    repository.close()


@pytest.fixture
def matcher() -> Iterator[Matcher]:
    matcher = Matcher()
    yield matcher
    matcher.close()


def all_hits(repository: Repository, find: Finds, limit: int = 3) -> list[Hit]:
    view, _ = repository.look(RUN, "output")
    hits: list[Hit] = []
    at = 0
    while at < view.length:
        found, after = step(view, at, find, limit)
        assert len(found) <= limit
        assert after > at or found, "each step goes on"
        hits, at = hits + found, after
    return hits


def test_every_line_that_holds_the_text_is_found_once_with_its_place(repository: Repository) -> None:
    chance = random.Random(4)
    lines = [
        b" ".join(chance.choices([b"apple", b"pear", b"fig", b"\xff\x00"], k=chance.randrange(9))) for _ in range(300)
    ]
    data = b"\n".join(lines)
    repository.append(RUN, "output", 0, data)
    hits = all_hits(repository, find_text("pear"))
    assert [hit.line for hit in hits] == [number for number, line in enumerate(lines) if b"pear" in line]
    for hit in hits:
        assert hit.offset == len(b"\n".join([*lines[: hit.line], b""]))
        assert hit.text[slice(*hit.span)] == "pear"
        assert data[hit.at :].decode("utf-8", "replace").startswith(hit.text[:5])


def test_what_lies_before_and_after_a_gap_is_found_and_nothing_in_it(repository: Repository) -> None:
    repository.append(RUN, "output", 0, b"one needle\nhalf need")
    repository.append_gap(RUN, "output", 20, 10**12)
    repository.append(RUN, "output", 10**12 + 20, b"le\nlast needle\n")
    assert [(hit.line, hit.offset) for hit in all_hits(repository, find_text("needle"))] == [
        (0, 0), (3, 10**12 + 23)
    ]  # fmt: skip


def test_of_a_line_longer_than_a_step_the_parts_are_searched(repository: Repository) -> None:
    repository.append(RUN, "output", 0, b"x" * 950 + b"needle" + b"y" * 950 + b"\nneedle\n")
    hits = all_hits(repository, find_text("needle"))
    assert [hit.line for hit in hits] == [0, 1]
    assert all(len(hit.text) <= 1000 for hit in hits)


def test_an_expression_is_tried_on_each_line_by_itself(repository: Repository, matcher: Matcher) -> None:
    repository.append(RUN, "output", 0, "eins 17\nzwei\nübrig 4 µs\nENDE 9\n".encode())
    assert [hit.line for hit in all_hits(repository, matcher.finder(r"\d+$", fold=False))] == [0, 3]
    (hit,) = all_hits(repository, matcher.finder(r"Ü\w+ \d", fold=True))
    assert (hit.line, hit.text[slice(*hit.span)]) == (2, "übrig 4")
    assert all_hits(repository, matcher.finder(r"zwei\s+übrig", fold=False)) == []


def test_no_expression_is_refused_with_its_reason(repository: Repository, matcher: Matcher) -> None:
    repository.append(RUN, "output", 0, b"text\n")
    with pytest.raises(BadRequest, match="no regular expression"):
        all_hits(repository, matcher.finder("(", fold=False))


def test_an_expression_without_end_is_ended_and_the_next_one_is_answered(
    repository: Repository, matcher: Matcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apsis_services.store import matcher as matcher_module

    monkeypatch.setattr(matcher_module, "PATIENCE", 0.5)
    repository.append(RUN, "output", 0, b"a" * 60 + b"!\n")
    with pytest.raises(TooSlow):
        all_hits(repository, matcher.finder("(a+)+$", fold=False))
    monkeypatch.setattr(matcher_module, "PATIENCE", 10.0)
    assert len(all_hits(repository, matcher.finder("a!", fold=False))) == 1
