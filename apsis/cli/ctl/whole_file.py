"""Writing a file so that nobody ever finds a half of it: under another name first, then renamed."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """Write a file that is there whole or not at all, and has its mode from its first moment on."""
    fresh = fresh_name(path)
    fresh.unlink(missing_ok=True)  # what a call that was killed left behind
    with _removed_if_not_written(fresh):
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.rename(path)


@contextlib.contextmanager
def _removed_if_not_written(path: Path) -> Iterator[None]:
    """Leave no half of a file on a disk that is full, and name the file in the error, which `write` does not."""
    try:
        yield
    except OSError as error:
        path.unlink(missing_ok=True)
        error.filename = str(path)
        raise


def fresh_name(path: Path) -> Path:
    """Return the name that a file has until it is whole."""
    return path.with_name(f".{path.name}.new")
