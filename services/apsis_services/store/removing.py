"""Taking an output's folder away by descriptor: nothing that somebody put in its place is followed."""

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_folder(folder: Path) -> None:
    """Remove a folder and the files in it; one that is gone already is no error.

    A link, or a file, in the folder's place is removed itself. Links in the folder are removed, not followed.

    Raises:
        OSError: something else than files is there, or it cannot be removed.
    """
    with contextlib.ExitStack() as stack:
        try:
            parent = os.open(folder.parent, _DIRECTORY)
        except FileNotFoundError:
            return
        stack.callback(os.close, parent)
        try:
            inside = os.open(folder.name, _DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            os.unlink(folder.name, dir_fd=parent)
            return
        stack.callback(os.close, inside)
        for name in os.listdir(inside):  # noqa: PTH208 - by descriptor, so that the folder cannot be swapped
            os.unlink(name, dir_fd=inside)
        os.rmdir(folder.name, dir_fd=parent)
