"""Ending a process with everything below it, and what is left of an evaluator that was killed."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

#: names the installation in the environment of an evaluator and of all that it starts
VARIABLE: Final = "APSIS_EVALUATOR"
#: rounds in which processes are stopped that others start meanwhile
_ROUNDS: Final = 50
#: seconds that a killed process is given before it is looked for again
_DYING: Final = 0.005


def parents() -> dict[int, int]:
    """Return the parent of each process."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                # the name in brackets may hold anything
                stat = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()
                found[int(entry.name)] = int(stat[1])
    return found


def below(root: int, known: dict[int, int] | None = None) -> set[int]:
    """Return all descendants of a process."""
    children: dict[int, list[int]] = {}
    for pid, parent in (parents() if known is None else known).items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    todo = [root]
    while todo:
        for pid in children.get(todo.pop(), ()):
            if pid not in found:
                found.add(pid)
                todo.append(pid)
    return found


def end_tree(root: int) -> None:
    """Kill a process and everything below it; each is stopped before, so that it cannot start another."""
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        found = {root, *below(root)} - stopped
        if not found:
            break
        for pid in found:
            _signal(pid, signal.SIGSTOP)
        stopped |= found
    for pid in stopped:
        _signal(pid, signal.SIGKILL)


def end_children() -> None:
    """Kill everything below this process, orphans that have fallen to it too, and take note of their ends."""
    own = os.getpid()
    # it may have none, and then nothing needs to be searched
    while (found := _waited()) is not None:
        if not found:
            for pid, parent in parents().items():
                if parent == own:
                    end_tree(pid)
            time.sleep(_DYING)


def _waited() -> bool | None:
    """Reap a child that has ended, and say whether there was one; None: there is no child at all."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is not None
    except ChildProcessError:
        return None


def end_remains(tag: str) -> int:
    """Kill what an evaluator of this installation, killed before, has left; return how many they were."""
    wanted = f"{VARIABLE}={tag}".encode(errors="surrogateescape")
    ours = {os.getpid(), os.getppid()}
    count = 0
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) in ours:
            continue
        with suppress(OSError):
            if wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                end_tree(int(entry.name))
                count += 1
    return count


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
