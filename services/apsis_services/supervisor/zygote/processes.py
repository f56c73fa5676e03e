"""The live processes of this machine, as `/proc` lists them: who descends from whom, and who carries a run's tag."""

# The zygote does not load pathlib.
# ruff: noqa: PTH208

import os
from collections.abc import Iterable, Iterator
from typing import Final

from apsis_services.supervisor.zygote.identity import Stat, read_stat, signal_verified

#: of the kernel's flags of a process: it was forked, and has executed nothing
_FORKED_ONLY: Final = 0x40


def all_stats() -> Iterator[Stat]:
    """Yield each process, newest pid first, as it is read: one that forks on and on is met while it is there."""
    for pid in sorted((int(name) for name in os.listdir("/proc") if name.isdecimal()), reverse=True):
        stat = read_stat(pid)
        if stat is not None:
            yield stat


def has_executed(pid: int) -> bool:
    """Whether a process, ended or not, has become a program: it is not what its parent forked any more."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        data = os.read(fd, 4096)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return not int(data[data.rindex(b")") + 2 :].split(b" ", 7)[6]) & _FORKED_ONLY


def live_stats() -> Iterator[Stat]:
    """Yield those that have not ended."""
    return (stat for stat in all_stats() if stat.living)


def descendants(roots: Iterable[int], stats: Iterable[Stat]) -> list[Stat]:
    """Return those that descend from the roots, without the roots themselves; parents before their children."""
    children: dict[int, list[Stat]] = {}
    for stat in stats:
        children.setdefault(stat.ppid, []).append(stat)
    found: list[Stat] = []
    parents = list(roots)
    while parents:
        born = children.pop(parents.pop(), [])
        found.extend(born)
        parents.extend(stat.pid for stat in born)
    return found


def signal_all(stats: Iterable[Stat], number: int) -> int:
    """Signal each, verified; return how many could not be signalled because they run as somebody else."""
    refused = 0
    for stat in stats:
        try:
            signal_verified(stat.pid, stat.ticks, number)
        except PermissionError:
            refused += 1
    return refused


def is_tagged(pid: int, tag: frozenset[bytes]) -> bool | None:
    """Whether all of `NAME=value` stand in a process's environment as it was at its exec.

    None: it cannot be told. It may not be read; or it is within its exec, and has none yet; or it has ended, or
    is about to, and has none any more.
    """
    try:
        fd = os.open(f"/proc/{pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # it was reaped
        return False
    except (PermissionError, ProcessLookupError):
        return None
    parts = []
    try:
        while part := os.read(fd, 65536):
            parts.append(part)
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)
    return tag <= frozenset(b"".join(parts).split(b"\0")) if parts else None
