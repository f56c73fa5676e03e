"""Reading a file of the job directory, where anything may stand under a file's name."""

import errno
import os
import stat
from pathlib import Path


def read_plain_file(path: Path, limit: int) -> bytes:
    """Return at most `limit` bytes of a file; raises OSError, also for what is no plain file."""
    # Opened without waiting: a pipe that nobody writes to would hold up the loading of all jobs.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        return file.read(limit)
