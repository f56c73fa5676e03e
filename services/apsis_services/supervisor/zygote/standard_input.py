"""What a program reads on its standard input: nothing, a text, or a file."""

import os
import stat
from typing import Final

from apsis_services.supervisor.zygote.failure import SpawnError

_READING: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def open_text(text: str) -> int:
    """Return a descriptor from which a text is read; no disk is involved.

    Raises:
        SpawnError: there is no memory for it.
    """
    try:
        memory = os.memfd_create("stdin", os.MFD_CLOEXEC)
        try:
            view = memoryview(text.encode(errors="surrogateescape"))
            while view:
                view = view[os.write(memory, view) :]
            return os.open(f"/proc/self/fd/{memory}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(memory)
    except OSError as error:
        raise SpawnError(f"the text for stdin cannot be kept in memory: {error.strerror}") from None


def open_file(path: str) -> int:
    """Return a descriptor from which a file is read; opened as whoever we are at that moment.

    A pipe that nobody writes to would keep the program from ever starting, so pipes and sockets are refused.

    Raises:
        SpawnError: it cannot be opened.
    """
    try:
        fd = os.open(path, _READING)
    except FileNotFoundError:
        raise SpawnError(f"stdin: file {path!r} does not exist") from None
    except OSError as error:
        raise SpawnError(f"stdin: file {path!r} cannot be read: {error.strerror}") from None
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISCHR(mode):
        os.close(fd)
        raise SpawnError(f"stdin: {path!r} is no file")
    os.set_blocking(fd, True)
    return fd
