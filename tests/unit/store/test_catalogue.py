"""The list of what has ended, and the list of what was removed: in order, and true after any crash."""

from pathlib import Path

import pytest

from apsis.messages.outputs import KeepPolicy
from apsis_services.store.catalogue import Catalogue
from apsis_services.store.names import RunKey
from apsis_services.store.removals import Removal, find_removal, note_removals
from apsis_services.store.retention import Ended

KEYS = [RunKey(7, f"r{number}") for number in range(5000)]


def ended(number: int) -> Ended:
    return Ended(KEYS[number], f"job {number % 3}", float(number), number, KeepPolicy(days=1.5) if number % 2 else None)


def test_the_list_is_read_from_its_end_over_many_parts(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    assert list(catalogue.newest_first()) == []
    catalogue.add(ended(number) for number in range(4000))
    catalogue.add([ended(4000)])
    assert (tmp_path / "ended").stat().st_size > 3 * 65536
    assert list(catalogue.newest_first()) == [ended(number) for number in range(4000, -1, -1)]


def test_a_list_cut_at_any_byte_has_its_whole_lines_and_can_be_added_to(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add(ended(number) for number in range(3))
    whole = (tmp_path / "ended").read_bytes()
    for cut in range(len(whole)):
        (tmp_path / "ended").write_bytes(whole[:cut])
        lines = whole[: cut + 1].count(b"\n")  # a line that lacks its end alone is whole
        catalogue.add([ended(9)])
        assert list(catalogue.newest_first()) == [ended(9), *(ended(number) for number in reversed(range(lines)))]


def test_a_changed_byte_never_names_another_run(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add([ended(1), ended(2)])
    whole = (tmp_path / "ended").read_bytes()
    for at in range(len(whole)):
        (tmp_path / "ended").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert {one.key for one in catalogue.newest_first()} <= {KEYS[1], KEYS[2]}


def test_dropped_ones_are_gone_and_the_others_keep_their_order(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.add(ended(number) for number in range(10))
    catalogue.drop({KEYS[3], KEYS[7]})
    assert [one.at for one in catalogue.newest_first()] == [9, 8, 6, 5, 4, 2, 1, 0]


@pytest.fixture
def removals(tmp_path: Path) -> Path:
    for key in KEYS[:300]:
        key.shard(tmp_path).mkdir(exist_ok=True)
    note_removals(tmp_path, [Removal(key, 1000.0 + n, "count") for n, key in enumerate(KEYS[:300])])
    return tmp_path


def test_a_removal_is_found_by_database_and_run(removals: Path) -> None:
    assert find_removal(removals, KEYS[123]) == Removal(KEYS[123], 1123.0, "count")
    assert find_removal(removals, RunKey(8, "r123")) is None
    assert find_removal(removals, KEYS[301]) is None


def test_a_torn_removal_does_not_count_and_is_written_over(removals: Path) -> None:
    path = KEYS[5].shard(removals) / "removed"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 5])
    note_removals(removals, [Removal(KEYS[5], 7.0, "age")])
    assert path.stat().st_size % 32 == 0
    assert find_removal(removals, KEYS[5]) is not None
    for at in range(len(whole) - 32, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        for key in KEYS[:300]:
            if key.shard(removals) == path.parent and (found := find_removal(removals, key)):
                assert found == Removal(key, 1000.0 + KEYS.index(key), "count")
