"""What running programs use: their trees and figures, taken each 2 s while something runs, and the peaks."""

import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import psutil

from apsis.messages.body import encode
from apsis.messages.live import LiveHost, LiveProcess, LiveRun
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.figures.roots import Root
from apsis_services.supervisor.zygote.identity import start_ticks

#: processes of one tree that are told; the sums count all
MOST: Final = 32
#: bytes of one published body, with a margin for its head
BODY: Final = 15_000

log = logging.getLogger("supervisor")


@dataclass(slots=True)
class _Followed:
    processes: dict[int, psutil.Process] = field(default_factory=dict)
    #: seconds of CPU that the tree had used at the last look, with those of its ended ones that were waited for
    spent: float = 0.0
    #: monotonic seconds of the last look
    at: float | None = None
    peak_rss: int = 0
    peak_cpu: float = 0.0
    peak_processes: int = 0


class Sampler:
    """Takes samples and remembers the peaks. A process that ends meanwhile is left out."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._followed: dict[Key, _Followed] = {}
        self.last: dict[Key, LiveRun] = {}

    def take(self, roots: Iterable[Root]) -> None:
        """Sample these runs, and forget all others."""
        roots = list(roots)
        kept = {root.key for root in roots}
        for key in self._followed.keys() - kept:
            del self._followed[key]
            self.last.pop(key, None)
        for root in roots:
            self.last[root.key] = self._sample(root, self._followed.setdefault(root.key, _Followed()))

    def report(self, at: str, key: Key | None = None) -> LiveHost:
        """Return the last sample, of one run or of all."""
        runs = list(self.last.values()) if key is None else [self.last[key]] if key in self.last else []
        return LiveHost(host=self._host, at=at, runs=runs)

    def bodies(self, at: str) -> Iterator[bytes]:
        """Yield the last sample as bodies that fit the bus."""
        page: list[LiveRun] = []
        size = 0
        for run in self.last.values():
            length = len(encode(run))
            if page and size + length > BODY:
                yield encode(LiveHost(host=self._host, at=at, runs=page))
                page, size = [], 0
            page.append(run)
            size += length + 1
        if page:
            yield encode(LiveHost(host=self._host, at=at, runs=page))

    def _sample(self, root: Root, followed: _Followed) -> LiveRun:
        tree = list(_tree(root))
        pids = {pid for pid, _ in tree}
        followed.processes = {pid: process for pid, process in followed.processes.items() if pid in pids}
        found = [process for pid, depth in tree if (process := _figures(followed, pid, depth)) is not None]
        processes = [process for process, _ in found]
        rss = sum(process.rss for process in processes)
        cpu = _share(followed, sum(spent for _, spent in found), time.monotonic(), processes)
        followed.peak_rss = max(followed.peak_rss, rss)
        followed.peak_cpu = max(followed.peak_cpu, cpu)
        followed.peak_processes = max(followed.peak_processes, len(processes))
        return LiveRun(
            run_id=root.key.run_id,
            processes=processes[:MOST],
            cpu=cpu,
            rss=rss,
            peak_rss=followed.peak_rss,
            peak_cpu=followed.peak_cpu,
            peak_processes=followed.peak_processes,
            threads=sum(process.threads for process in processes),
            read=sum(process.read or 0 for process in processes),
            written=sum(process.written or 0 for process in processes),
            total=len(processes),
        )


def _share(followed: _Followed, spent: float, now: float, processes: list[LiveProcess]) -> float:
    """Return the tree's CPU since the last look, per cent of one core.

    By the sum of what each has used with its waited-for children: many short children are seen by it, which none
    of the looks has met. Where one has left that nobody here waited for, the sum of those that live is more.
    """
    living = sum(process.cpu for process in processes)
    passed = None if followed.at is None else now - followed.at
    share = (spent - followed.spent) / passed * 100 if passed else 0.0
    followed.spent, followed.at = spent, now
    return round(max(living, share), 1)


def _figures(followed: _Followed, pid: int, depth: int) -> tuple[LiveProcess, float] | None:
    """Return a process, and the seconds of CPU that it and its waited-for children have used; None: it has gone."""
    try:
        process = followed.processes.get(pid)
        if process is None or not process.is_running():
            process = followed.processes[pid] = psutil.Process(pid)
        with process.oneshot():
            figures = LiveProcess(
                pid=pid,
                depth=depth,
                name=process.name(),
                status=_LETTERS.get(process.status(), "?"),
                cpu=process.cpu_percent(None),
                rss=process.memory_info().rss,
                threads=process.num_threads(),
                **_disk(process),
            )
            return figures, sum(process.cpu_times()[:4])
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _disk(process: psutil.Process) -> dict[str, int]:
    """Return what a process has read and written; nothing where another user's figures are not ours to see."""
    try:
        counters = process.io_counters()
    except psutil.AccessDenied:
        return {}
    return {"read": counters.read_bytes, "written": counters.write_bytes}


_LETTERS: Final = {
    psutil.STATUS_RUNNING: "R",
    psutil.STATUS_SLEEPING: "S",
    psutil.STATUS_DISK_SLEEP: "D",
    psutil.STATUS_STOPPED: "T",
    psutil.STATUS_TRACING_STOP: "t",
    psutil.STATUS_ZOMBIE: "Z",
    psutil.STATUS_IDLE: "I",
}


def _tree(root: Root) -> Iterator[tuple[int, int]]:
    """Yield (pid, depth) of a run's processes. The kernel's lists of children are read: no walk of all of /proc."""
    tops = [root.program.pid] if start_ticks(root.program.pid) == root.program.ticks else []
    if root.shim is not None and start_ticks(root.shim.pid) == root.shim.ticks:
        tops += [pid for pid in _children(root.shim.pid) if pid != root.program.pid]
    stack = [(pid, 0) for pid in reversed(tops)]
    while stack:
        pid, depth = stack.pop()
        yield pid, depth
        stack += [(child, depth + 1) for child in reversed(_children(pid))]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - read for each process each time
            fd = os.open(f"/proc/{pid}/task/{task}/children", os.O_RDONLY | os.O_CLOEXEC)
            try:
                found += map(int, os.read(fd, 1 << 20).split())
            finally:
                os.close(fd)
    except (FileNotFoundError, ProcessLookupError):
        return found
    return found
