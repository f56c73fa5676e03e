"""The kernel tells what changes in a folder."""

import os

import pytest

from apsis_services.supervisor.watching.inotify import IN_CLOSE_WRITE, IN_CREATE, IN_MODIFY, Inotify


@pytest.fixture
def inotify():
    queue = Inotify()
    yield queue
    queue.close()


def test_a_line_and_the_end_of_its_writer_are_told_by_the_name_it_was_opened_under(inotify, tmp_path):
    """A journal is written under a temporary name and linked into place: its changes come under the first name."""
    watch = inotify.add(tmp_path, IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE)
    fd = os.open(tmp_path / "a.j.12.tmp", os.O_WRONLY | os.O_CREAT)
    os.link(tmp_path / "a.j.12.tmp", tmp_path / "a.j")
    os.unlink(tmp_path / "a.j.12.tmp")
    assert [change.name for change in inotify.take()] == ["a.j.12.tmp", "a.j"]
    os.write(fd, b"x")
    os.close(fd)
    assert [(change.watch, change.mask, change.name) for change in inotify.take()] == [
        (watch, IN_MODIFY, "a.j.12.tmp"), (watch, IN_CLOSE_WRITE, "a.j.12.tmp"),
    ]  # fmt: skip


def test_nothing_happened_is_an_empty_list(inotify, tmp_path):
    inotify.add(tmp_path, IN_MODIFY)
    assert list(inotify.take()) == []


def test_a_folder_that_is_not_there_is_an_error(inotify, tmp_path):
    with pytest.raises(FileNotFoundError):
        inotify.add(tmp_path / "none", IN_MODIFY)


def test_a_watch_that_was_removed_tells_nothing(inotify, tmp_path):
    watch = inotify.add(tmp_path, IN_MODIFY)
    inotify.remove(watch)
    list(inotify.take())
    (tmp_path / "a").write_text("x")
    assert list(inotify.take()) == []
