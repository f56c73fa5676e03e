"""Making outputs outlive a power loss: a few folders file by file, many by one call for the file system."""

import ctypes
import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

#: folders up to which each is synced by itself; above, the rest of the file system is the smaller burden
_FEW: Final = 4
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)


def make_durable(root: Path, folders: Collection[Path]) -> None:
    """Return when all that was written into these folders of a repository is on the disk, and their names are.

    Raises:
        OSError: the disk refused; what is there is not known to outlive a power loss.
    """
    if len(folders) > _FEW:
        _sync_file_system(root)
        return
    parents: set[Path] = set()
    for folder in folders:
        if _sync_folder(folder):
            parents |= {folder.parent, root}
    for parent in sorted(parents):
        _sync_name(parent)


def _sync_folder(folder: Path) -> bool:
    """Sync the files of a folder, then the folder; False: it was removed meanwhile."""
    try:
        inside = os.open(folder, _DIRECTORY)
    except FileNotFoundError:
        return False
    try:
        for name in os.listdir(inside):  # noqa: PTH208 - by descriptor: the folder may be removed meanwhile
            try:
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=inside)
            except FileNotFoundError:
                continue
            try:
                os.fdatasync(file)
            finally:
                os.close(file)
        os.fsync(inside)
    finally:
        os.close(inside)
    return True


def _sync_name(folder: Path) -> None:
    directory = os.open(folder, _DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _sync_file_system(root: Path) -> None:
    directory = os.open(root, _DIRECTORY)
    try:
        if _libc.syncfs(directory) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(root))
    finally:
        os.close(directory)
