"""A run's journal: the claim, the proof of life and the result. Names, what a journal says, and reading it.

The records are in `records`, the writer's side in `journal_file`.
"""

import errno
import fcntl
import os
from typing import Any, Final, NamedTuple

from apsis_services.supervisor.zygote.identity import Identity
from apsis_services.supervisor.zygote.records import (
    PHASES,
    Adopted,
    Claim,
    Done,
    Record,
    Result,
    Revoked,
    Started,
    Stuck,
    parse_records,
)

SUFFIX: Final = ".j"
#: a file of a run is rarely longer
_ORDINARY: Final = 4096
#: a journal is rarely longer, with what is allocated ahead in it
JOURNAL_BYTES: Final = 16384
_LONGEST_RUN_ID: Final = 100
_RUN_ID_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"


class JournalState(NamedTuple):
    """What a journal says, and whether somebody holds it."""

    #: `none`, `claim`, `started`, `result`, `done` or `revoked`
    phase: str
    #: a shim or a zygote holds it: more may follow
    locked: bool = False
    claim: Claim | None = None
    started: Started | None = None
    adopted: Adopted | None = None
    result: Result | None = None
    done: Done | None = None
    revoked: Revoked | None = None
    #: the last time that the program did not end although it was killed
    stuck: Stuck | None = None

    @property
    def pid(self) -> int | None:
        """The program's process id; None: it has not started, as far as is known."""
        return self.started["pid"] if self.started else None

    @property
    def ticks(self) -> int | None:
        """The program's start ticks."""
        return self.started["ticks"] if self.started else None

    @property
    def boot(self) -> str | None:
        """The boot id of the machine when the claim was written."""
        return self.claim["boot"] if self.claim else None

    @property
    def holder(self) -> Identity | None:
        """Who holds, or held last: the zygote that adopted the run, else its shim. Orders go to it, by SIGUSR1."""
        if self.adopted:
            return Identity(self.adopted["pid"], self.adopted["ticks"])
        return Identity(self.claim["pid"], self.claim["ticks"]) if self.claim else None

    @property
    def settled(self) -> bool:
        """Whether nothing follows: the run is done or revoked."""
        return self.phase in ("done", "revoked")


NONE: Final = JournalState("none")


def is_run_id(text: str) -> bool:
    """Whether a run id may stand in a file's name: ASCII letters, digits, `_`, and but for the first `-` and `.`."""
    # without `re`, which is a megabyte in the zygote
    return 0 < len(text) <= _LONGEST_RUN_ID and not text.strip(_RUN_ID_LETTERS) and text[0] not in "-."


def run_key(journal: int, run_id: str) -> str:
    """Return the name of a run on this host, for its journal and for its folder.

    Raises:
        ValueError: the run id could not stand in a file's name.
    """
    if not is_run_id(run_id):
        raise ValueError(f"{run_id!r} is no run id: letters, digits, '_', '-' and '.' may stand in it, at most 100")
    return f"{journal:016x}-{run_id}"


def parse_key(name: str) -> tuple[int, str] | None:
    """Return (journal number, run id) from a run's key or its journal's file name; None: it is neither."""
    if name.endswith(".tmp"):  # a journal that is about to be put in place
        return None
    head, dash, run_id = name.removesuffix(SUFFIX).partition("-")
    if not dash or len(head) != 16 or not is_run_id(run_id):
        return None
    try:
        return int(head, 16), run_id
    except ValueError:
        return None


def journal_path(spool: str | os.PathLike[str], journal: int, run_id: str) -> str:
    """Return where a run's journal lies while the run is not settled and committed."""
    return f"{os.fspath(spool)}/journals/{run_key(journal, run_id)}{SUFFIX}"


def archive_path(spool: str | os.PathLike[str], journal: int, run_id: str) -> str:
    """Return where a run's journal lies after the scheduler has committed its end."""
    return f"{os.fspath(spool)}/archive/{run_key(journal, run_id)}{SUFFIX}"


def run_directory(spool: str | os.PathLike[str], journal: int, run_id: str) -> str:
    """Return the folder of a run's working files: what it prints, and the orders for its shim."""
    return f"{os.fspath(spool)}/runs/{run_key(journal, run_id)}"


def state_of(records: list[Record], *, locked: bool) -> JournalState:
    """Return what the records say together. A later record of the same kind counts, but for the first claim."""
    facts: dict[str, Any] = {}
    phase = "none"
    for record in records:
        kind = record["e"]
        if kind == "claim" and "claim" in facts:
            continue
        facts[kind] = record
        if kind in PHASES and PHASES.index(kind) > PHASES.index(phase):
            phase = kind
    known = {kind: facts[kind] for kind in JournalState._fields[2:] if kind in facts}
    return JournalState(phase, locked, **known)


def is_locked(fd: int) -> bool:
    """Whether somebody holds the journal. Asks with a shared lock, so that two who ask do not see each other."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return True
        raise
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def read_whole(fd: int, expected: int = _ORDINARY) -> bytes:
    """Return a file's bytes from its beginning, wherever its offset stands; in one read where there are less."""
    data = os.pread(fd, expected, 0)
    if len(data) < expected:
        return data
    parts = [data]
    at = len(data)
    while part := os.pread(fd, 65536, at):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def read_journal(path: str | os.PathLike[str]) -> JournalState:
    """Return what a journal says now; phase `none` if there is no such file.

    The lock is asked first and the lines are read then: in the other order a shim that ends in
    between would look like one that died with its run.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return NONE
    try:
        locked = is_locked(fd)
        records, _ = parse_records(read_whole(fd, JOURNAL_BYTES))
    finally:
        os.close(fd)
    return state_of(records, locked=locked)
