"""Whether a disk has room: the smaller of a share and a number of bytes, and a little more before it counts again."""

from pathlib import Path

import pytest

from apsis.config import Disk
from apsis.room import DiskWatch, Room, has_room, in_words, limit, look

GIB = 1024**3
TIB = 1024**4


@pytest.mark.parametrize(
    ("free", "total", "fine"),
    [
        (int(0.09 * 4 * TIB), 4 * TIB, True),  # 91 % full, and 368 GiB free
        (2 * GIB, 4 * TIB, True),
        (2 * GIB - 1, 4 * TIB, False),
        (int(1.5 * GIB), 10 * GIB, True),  # a small disk need not have 2 GiB
        (GIB - 1, 10 * GIB, False),
        (2 * 1024**2, 16 * 1024**2, True),
        (0, 16 * 1024**2, False),
    ],
)
def test_the_smaller_of_a_share_and_a_number_counts(free: int, total: int, fine: bool) -> None:
    assert has_room(Room(free, total), Disk()) is fine


@pytest.mark.parametrize("disk", [Disk(min_free_bytes=0), Disk(min_free_percent=0.0)])
def test_either_at_zero_holds_nothing_up(disk: Disk) -> None:
    assert has_room(Room(0, TIB), disk)


def test_a_disk_at_its_limit_does_not_flap() -> None:
    least = limit(Room(0, TIB), Disk())
    assert has_room(Room(least, TIB), Disk())
    assert not has_room(Room(least, TIB), Disk(), had=False)
    assert has_room(Room(int(least * 1.06), TIB), Disk(), had=False)


def test_a_watch_says_the_same_until_that_changes_and_a_folder_to_come_counts_as_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "to" / "come"
    there = look(path)
    assert there.total == look(tmp_path).total > 0
    assert DiskWatch("the spool", path, Disk(min_free_bytes=0)).look() == ""
    watch = DiskWatch("the spool", path, Disk(min_free_percent=100.0, min_free_bytes=1 << 61))
    first = watch.look()
    assert "the spool" in first
    assert f"make room in {path}" in first
    assert watch.look() == first == watch.lack


def test_sizes_are_said_as_people_read_them() -> None:
    assert [in_words(size) for size in (5, 1536, 3 * 1024**2, 2 * GIB)] == ["5 B", "1.5 KiB", "3.0 MiB", "2.0 GiB"]
