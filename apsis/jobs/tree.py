"""The files of a job directory: which there are, and by what it is seen that one has changed. Nothing is read here."""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from apsis.definitions.finding import Finding
from apsis.jobs.defaults import NAME
from apsis.jobs.ids import SUFFIXES

#: the folder of calendars, and what its files end in
CALENDARS: Final = "calendars"
CALENDAR_SUFFIX: Final = ".cal"


class Stamp(NamedTuple):
    """By what it is seen that a file is as it was, without reading it. Times are nanoseconds."""

    mtime: int
    #: the kernel's own, which nobody can set back: a file put back with its old time is seen too
    ctime: int
    size: int
    inode: int


@dataclass(slots=True)
class Tree:
    """The files of a job directory, by their paths below it."""

    root: Path
    #: files of jobs, in the order in which they are read
    files: dict[PurePosixPath, Stamp] = field(default_factory=dict)
    #: the file of defaults of each folder that has one
    defaults: dict[PurePosixPath, Stamp] = field(default_factory=dict)
    calendars: dict[PurePosixPath, Stamp] = field(default_factory=dict)
    #: folders, the directory itself among them
    folders: list[PurePosixPath] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


class Vanished(OSError):
    """The directory was taken away, or exchanged for another, while it was looked at."""


def look(root: Path) -> Tree:
    """Return what is in a job directory. Hidden names are passed over, links that lead out are refused.

    Raises:
        OSError: the directory itself cannot be read.
    """
    real = root.resolve()
    before = real.stat()
    tree = Tree(real)
    waiting = [PurePosixPath()]
    while waiting:
        folder = waiting.pop()
        below = list(_look_into(tree, folder))
        waiting += reversed(below)
    after = real.stat()
    if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino):
        raise Vanished(errno.ESTALE, "was exchanged for another while it was read")
    return tree


def _look_into(tree: Tree, folder: PurePosixPath) -> Iterator[PurePosixPath]:
    """Take in the files of one folder, and yield the folders in it."""
    try:
        with os.scandir(tree.root / folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if folder == PurePosixPath():
            raise
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):  # gone is gone, and no fault
            message = f"the folder cannot be read: {error.strerror}"
            tree.findings.append(Finding(file=str(folder), code="unreadable", message=message))
        return
    tree.folders.append(folder)
    for entry in found:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        if _is_folder(entry):
            if not entry.is_symlink():
                yield path
            elif _leads_out(tree.root, Path(entry.path)):
                _refuse_link(tree, path)
            # a link within the directory names jobs that are found anyway
        elif (kind := _kind(tree, folder, entry.name)) is not None:
            if entry.is_symlink() and kind is not tree.calendars and _leads_out(tree.root, Path(entry.path)):
                _refuse_link(tree, path)
            elif (stamp := stamp_of(entry)) is not None:
                kind[folder if kind is tree.defaults else path] = stamp


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a ring lead to no folder
        return False


def _kind(tree: Tree, folder: PurePosixPath, name: str) -> dict[PurePosixPath, Stamp] | None:
    if name == NAME:
        return tree.defaults
    if name.endswith(SUFFIXES):
        return tree.files
    if name.endswith(CALENDAR_SUFFIX) and str(folder) == CALENDARS:
        return tree.calendars
    return None


def stamp_of(entry: "os.DirEntry[str] | Path") -> Stamp | None:
    """Return the stamp of a file, of a link that of what it leads to; None where it is gone by now."""
    try:
        found = entry.stat()
    except FileNotFoundError:
        # a link that leads nowhere is there, and is told when it is read
        return Stamp(0, 0, 0, 0) if entry.is_symlink() else None
    except OSError:
        return Stamp(0, 0, 0, 0)
    return Stamp(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def _leads_out(root: Path, path: Path) -> bool:
    try:
        return not path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # links in a ring lead nowhere
        return True


def _refuse_link(tree: Tree, path: PurePosixPath) -> None:
    message = "is a link that leads out of the job directory; copy the file, or make the directory the other one"
    tree.findings.append(Finding(file=str(path), line=1, column=1, code="link", message=message))
