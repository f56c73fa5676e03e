"""What the tests of the watched job directory share: a home whose scheduler runs, and looks at its jobs and runs."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scheduler_stage import Stage

NO_OP = "program: {type: no-op}\n"


def wait(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait for a condition with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.02)


def daily(minute: int = 0, program: str = NO_OP, *, more: str = "") -> str:
    """Return a job that is due once a day, twenty hours from now at the earliest, at that minute of an hour."""
    hour = (int(time.time()) // 3600 + 20) % 24
    return f"{program}schedule: {{type: daily, tz: UTC, daytime: '{hour:02d}:{minute:02d}:00'}}\n{more}"


class Watched:
    """A stage that runs, seen through the views as the web service sees it; of its jobs, those below one folder."""

    def __init__(self, stage: Stage, name: str = "") -> None:
        self.stage = stage
        self.name = name
        self.folder = stage.home.jobs / name
        self.begin = 0

    def begin_here(self) -> None:
        """Count only events from now on."""
        self.begin = self.stage.query("SELECT coalesce(max(id), 0) FROM v_event")[0][0]

    def id(self, name: str) -> str:
        """Return the id of a job below the folder."""
        return f"{self.name}/{name}" if self.name else name

    def write(self, name: str, text: str) -> None:
        """Save a file as most editors do: another one, renamed onto it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.swp")
        beside.write_text(text)
        beside.rename(path)

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Return the jobs below the folder, by their path below it."""
        found = {job_id: json.loads(doc) for job_id, doc in self.stage.query("SELECT job_id, doc FROM v_job")}
        start = self.id("")
        return {job_id.removeprefix(start): job for job_id, job in found.items() if job_id.startswith(start)}

    def scheduled(self, job_id: str) -> dict[str, str]:
        """Return the runs made ahead of a job: their ids, and when they are due."""
        query = "SELECT run_id, doc FROM v_run WHERE job_id = ? AND state = 'scheduled'"
        rows = self.stage.query(query, self.id(job_id))
        return {run_id: json.loads(doc)["schedule_time"] for run_id, doc in rows}

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        bodies = self.stage.query("SELECT body FROM v_event WHERE id > ? ORDER BY id", self.begin)
        rows = [json.loads(body) for (body,) in bodies]
        return [row for row in rows if kind in (row.get("kind"), row.get("event"))] if kind else rows

    def errors(self) -> list[dict[str, Any]]:
        ((text,),) = self.stage.query("SELECT value FROM v_meta WHERE key = 'job_errors'")
        return [error for error in json.loads(text) if error["file"].startswith(self.name)]

    def held(self) -> str:
        ((text,),) = self.stage.query("SELECT value FROM v_meta WHERE key = 'reload_held'")
        return str(text)

    def watchers(self) -> list[int]:
        """Return the pids of the watchers of this home's scheduler."""
        process = self.stage.scheduler.process
        return [] if process is None else [pid for pid in children(process.pid) if b"scheduler.watcher" in command(pid)]


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if parent == pid:
            found.append(int(folder.name))
    return found


def command(pid: int) -> bytes:
    """Return the command line of a process; nothing of one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_root() -> bool:
    return os.geteuid() == 0
