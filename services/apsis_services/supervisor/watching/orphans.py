"""Finding what lives of a run when nobody answers for it: by its tag in the environment of processes."""

import os
from collections.abc import Iterable
from typing import Final

from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.watching.pidfd_info import Ended, how_it_ended_unreaped
from apsis_services.supervisor.zygote.identity import Identity, open_verified, read_stat
from apsis_services.supervisor.zygote.journal import JournalState
from apsis_services.supervisor.zygote.request import EPOCH, JOURNAL, RUN

#: the kernel gives at most this much of an environment that was set at the start of a program
_ENVIRONMENT: Final = 1 << 20


def find_tagged(epoch: str, keys: Iterable[Key]) -> dict[Key, list[Identity]]:
    """Return the living processes that carry a run's id, its database and this spool's epoch, in one walk of /proc.

    All are needed, so that two installations on one machine never meet, nor two runs of one id. A process that
    cleared its environment is not found here; it is found by its ancestry while its shim lives.
    """
    wanted = {(f"{RUN}={key.run_id}".encode(), f"{JOURNAL}={key.journal}".encode()): key for key in keys}
    spool = f"{EPOCH}={epoch}".encode()
    found: dict[Key, list[Identity]] = {key: [] for key in wanted.values()}
    if not wanted:
        return found
    for name in os.listdir("/proc"):  # noqa: PTH208 - hundreds of them: names will do
        if not name.isdigit():
            continue
        variables = _environment(int(name), spool)
        for tag, key in wanted.items() if variables else ():
            if not variables.issuperset(tag):
                continue
            stat = read_stat(int(name))
            if stat is not None and stat.living:
                found[key].append(stat.identity)
    return found


def _environment(pid: int, spool: bytes) -> frozenset[bytes]:
    """Return a process's variables as bytes, if the spool's tag is among them."""
    try:
        fd = os.open(f"/proc/{pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return frozenset()
    try:
        data = _read(fd)
    except (ProcessLookupError, PermissionError):
        return frozenset()
    finally:
        os.close(fd)
    if spool not in data:
        return frozenset()
    variables = frozenset(data.split(b"\0"))
    return variables if spool in variables else frozenset()


def _read(fd: int) -> bytes:
    data = b""
    while len(data) < _ENVIRONMENT and (part := os.read(fd, 65536)):
        data += part
    return data


def open_program(state: JournalState) -> tuple[int | None, Ended | None]:
    """Return a pidfd of the main program while it lives, or how it ended if it waits to be waited for."""
    if not state.pid or not state.ticks:
        return None, None
    who = Identity(state.pid, state.ticks)
    pidfd = open_verified(*who)
    stat = None if pidfd is None else read_stat(who.pid)
    if pidfd is not None and (stat is None or not stat.living):
        os.close(pidfd)
        return None, how_it_ended_unreaped(who)
    return pidfd, None


def is_gone(state: JournalState) -> bool:
    """Whether the main program is known, has ended, and was waited for: nothing can be asked of it any more."""
    if not state.pid or not state.ticks:
        return False
    stat = read_stat(state.pid)
    return stat is None or stat.ticks != state.ticks
