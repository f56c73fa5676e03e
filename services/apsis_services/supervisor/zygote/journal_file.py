"""Writing a journal: taking the claim, holding the lock, adding lines.

A journal appears under its name by `link()`, whole and locked, or not at all; whoever finds the name
taken has lost. There is no fsync here: after a loss of power the spool's epoch and the scheduler's
database decide, never a journal.
"""

# The zygote does not load pathlib.
# ruff: noqa: PTH108

import errno
import fcntl
import os
from collections.abc import Iterable
from typing import Final

from apsis_services.supervisor.zygote.journal import archive_path, journal_path, read_whole
from apsis_services.supervisor.zygote.records import VERSION, Record, encode_record, parse_records

#: bytes allocated beyond the claim, for all the records that follow it
RESERVE: Final = 8192
#: the file that holds the spool's own random name
EPOCH_FILE: Final = "epoch"
#: what a claim is called while it is not yet in place; whoever watches the folder sees later writes under this name
TEMPORARY: Final = ".tmp"


class JournalFile:
    """A journal that this process holds. It is let go when the process ends, never before."""

    __slots__ = ("fd", "length")

    def __init__(self, fd: int, length: int) -> None:
        self.fd = fd
        self.length = length

    def append(self, *records: Record) -> None:
        """Add records, in one write."""
        data = b"".join(map(encode_record, records))
        _write_all(self.fd, data, self.length)
        self.length += len(data)

    def close(self) -> None:
        """Let go of it: what is written is all there will be."""
        os.close(self.fd)


def _write_all(fd: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(fd, data, at)
        data = data[written:]
        at += written


def temporary_path(path: str, pid: int) -> str:
    """Return what a journal is called while a process is about to put it in place; no run's key."""
    return f"{path}.{pid}{TEMPORARY}"


def clean_up(path: str, pid: int) -> None:
    """Take away what a process that was killed was about to put in place."""
    try:
        os.unlink(temporary_path(path, pid))
    except FileNotFoundError:
        return


def _see_that_it_is(spool: str, epoch: str) -> None:
    """Refuse a spool of another epoch, and one that has none yet, or no longer.

    Raises:
        OSError: it is such a one.
    """
    try:
        fd = os.open(f"{spool}/{EPOCH_FILE}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        found = b""
    else:
        found = os.read(fd, 256).strip()
        os.close(fd)
    if found != epoch.encode():
        raise OSError(errno.ESTALE, "it was ordered for another spool than the one that is there now")


def take_claim(
    spool: str, journal: int, run_id: str, records: Iterable[Record], *, epoch: str = ""
) -> JournalFile | None:
    """Make a run's journal, beginning with these records, and hold it; None: there is one already.

    With `epoch` it is made in that spool alone. Zygotes outlive a spool: in one made anew at the same path there is
    no claim of what another zygote was asked for too, and has started by the claim that went with the old one.

    Raises:
        OSError: it could not be made (a full disk, say), or the spool is another one; nothing is claimed.
    """
    path = journal_path(spool, journal, run_id)
    if os.access(path, os.F_OK) or os.access(archive_path(spool, journal, run_id), os.F_OK):
        return None
    temporary = temporary_path(path, os.getpid())
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        # not sooner: in a spool that is replaced from here on there is nothing to link
        if epoch:
            _see_that_it_is(spool, epoch)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        data = b"".join(map(encode_record, records))
        os.posix_fallocate(fd, 0, len(data) + RESERVE)
        _write_all(fd, data, 0)
        try:
            os.link(temporary, path)
        except FileExistsError:
            os.close(fd)
            return None
    except OSError:
        os.close(fd)
        raise
    finally:
        os.unlink(temporary)
    return JournalFile(fd, len(data))


def take_over(path: str) -> tuple[JournalFile, list[Record]] | None:
    """Hold a journal that nobody holds, and return it with its records; None: somebody holds it.

    What the last holder left half written is blanked out, so that it can never be read as a line.

    Raises:
        OSError: it is not there, or cannot be read and written.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return None
        raise
    data = read_whole(fd)
    records, length = parse_records(data)
    rest = len(data) - length
    if data[length:].strip(b"\0"):
        _write_all(fd, bytes(rest), length)
    return JournalFile(fd, length), records


def revoke(spool: str | os.PathLike[str], journal: int, run_id: str, *, dispatch: int, by: str, at: str) -> bool:
    """Take a run's claim so that it never starts; False: there is a journal already, which may be a start's.

    Raises:
        OSError: the journal could not be made; nothing is claimed.
    """
    record: Record = {
        "e": "revoked",
        "v": VERSION,
        "journal": journal,
        "run_id": run_id,
        "dispatch": dispatch,
        "by": by,
        "at": at,
    }
    taken = take_claim(os.fspath(spool), journal, run_id, [record])
    if taken is None:
        return False
    taken.close()
    return True
