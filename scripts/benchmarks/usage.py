"""What the processes of an installation have used, CPU and memory, from /proc; and what its figures mean."""

import os
from datetime import datetime
from pathlib import Path

from harness.installation import Installation

TICK = os.sysconf("SC_CLK_TCK")


def seconds(text: str) -> float:
    """Return an instant of REST as seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def cpu(home: Installation) -> dict[str, float]:
    """Return service: seconds of CPU used so far, those of its children included."""
    services = home.processes()
    return {name: sum(map(_cpu, _with_children(pid, services))) for name, pid in services.items()}


def pss(home: Installation) -> dict[str, int]:
    """Return service: proportional set size in bytes, those of its children included."""
    services = home.processes()
    return {name: sum(map(_pss, _with_children(pid, services))) for name, pid in services.items()}


def _with_children(pid: int, services: dict[str, int]) -> list[int]:
    """Return a process and those that it has started for itself: no services, and no runs."""
    if pid == services.get("zygote"):
        return [pid]
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(child for child in map(int, found) if child not in services.values())]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / TICK


def _pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
