"""Retention at work: what is whole and expired goes and is noted; what still lacks bytes stays, whatever is listed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apsis.messages.outputs import KeepPolicy
from apsis_services.store.names import RunKey
from apsis_services.store.removals import find_removal
from apsis_services.store.repository import Repository
from apsis_services.store.retention import Ended, Rules
from apsis_services.store.sweeper import TURN, Sweeper


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    repository = Repository(tmp_path / "output")
    yield repository
    repository.close()


def printed(repository: Repository, number: int, *, lacking: int = 0) -> Ended:
    key = RunKey(1, f"r{number}")
    repository.append(key, "output", 0, b"text\n")
    repository.finish(key, {"output": 5 + lacking})
    return Ended(key, "job", float(number), 10)


def test_what_lacks_bytes_stays_until_they_have_come(repository: Repository) -> None:
    sweeper = Sweeper(repository, Rules(KeepPolicy(days=0)))
    whole, lacking = printed(repository, 1), printed(repository, 2, lacking=3)
    sweeper.add([whole, lacking])
    assert sweeper.turn(1e6) == 1
    assert not whole.key.folder(repository.root).exists()
    assert repository.stat(lacking.key)["output"].length == 5
    repository.append(lacking.key, "output", 5, b"xyz")
    assert sweeper.turn(1e6) == 1
    assert find_removal(repository.root, lacking.key) is not None


def test_a_turn_is_small_and_the_next_goes_on(repository: Repository) -> None:
    sweeper = Sweeper(repository, Rules(KeepPolicy(count=1)))
    sweeper.add(printed(repository, number) for number in range(TURN + 5))
    assert [sweeper.turn(0.0) for _ in range(3)] == [TURN, 4, 0]
    assert [path.name for path in repository.root.glob("*/*-r*")] == [RunKey(1, f"r{TURN + 4}").name]


def test_without_any_limit_nothing_is_read_or_removed(repository: Repository) -> None:
    sweeper = Sweeper(repository, Rules())
    sweeper.add([printed(repository, 1)])
    assert sweeper.turn(1e12) == 0
    (repository.root / "ended").unlink()
    assert sweeper.turn(1e12) == 0
    assert repository.stat(RunKey(1, "r1"))["output"].complete


def test_what_may_be_listed_already_is_listed_once(repository: Repository) -> None:
    sweeper = Sweeper(repository, Rules())
    one = printed(repository, 1)
    sweeper.add([one])
    sweeper.add([one, printed(repository, 2)], {one.key})
    assert (repository.root / "ended").read_bytes().count(b"\n") == 2
