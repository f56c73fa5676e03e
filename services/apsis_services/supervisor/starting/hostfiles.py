"""Small files of the host that a program's environment is made from: read whole, or refused with the reason."""

import os
import stat
from pathlib import Path
from typing import Final

from apsis.errors import ApsisError

#: bytes; what is longer could not be given to a program
FILE_MAX: Final = 1024 * 1024


class UnusableFile(ApsisError):
    """A file that a job names cannot be used; the text never holds anything of its content."""

    code = "host_file"


def read_small(path: Path, what: str, *, private: bool = False, missing: UnusableFile | None = None) -> bytes:
    """Return a file's bytes; `what` names it in errors. `private`: nobody but its owner may read it.

    A pipe or a device is refused and not waited for. `missing` is raised where there is no file at all.

    Raises:
        UnusableFile: it cannot be read, is too long, or is open to others.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        if missing is not None and isinstance(error, FileNotFoundError):
            raise missing from None
        reason = getattr(error, "strerror", None) or str(error)
        raise UnusableFile(f"{what} cannot be read: {path}: {reason}") from None
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            raise UnusableFile(f"{what} cannot be read: {path} is no regular file")
        if private and facts.st_mode & 0o077:
            mode = f"{stat.S_IMODE(facts.st_mode):04o}"
            raise UnusableFile(f"{what} is open to others: {path} has mode {mode}", hint=f"chmod 600 {path}")
        if private and facts.st_uid not in (0, os.geteuid()):
            raise UnusableFile(f"{what} is not ours: {path} belongs to uid {facts.st_uid}", hint=f"chown {path}")
        data = b""
        while len(data) <= FILE_MAX and (part := os.read(fd, FILE_MAX + 1 - len(data))):
            data += part
    except OSError as error:
        raise UnusableFile(f"{what} cannot be read: {path}: {error.strerror}") from None
    finally:
        os.close(fd)
    if len(data) > FILE_MAX:
        raise UnusableFile(f"{what} is too long: {path} has more than {FILE_MAX} bytes")
    return data
