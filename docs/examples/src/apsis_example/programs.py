"""Two programs: one that does all its work at once, and one that follows what goes on elsewhere."""

import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import apsis


class Copy(apsis.Program):
    """Copies a file; fails where it is not there."""

    def __init__(self, source: str, target: str) -> None:
        self.source = Path(source)
        self.target = Path(target)

    def start(self, run: apsis.ThisRun) -> apsis.Result:
        """Copy it, and say how large it is."""
        if not self.source.exists():
            return apsis.Result(success=False, message=f"{self.source} has not come yet")
        shutil.copyfile(self.source, self.target)
        return apsis.Result(message=f"{self.target.stat().st_size} bytes copied by {run.run_id}")


class Detached(apsis.Program):
    """Starts a command that is on its own, as a job on a cluster would be, and follows it by its process id.

    It is found again when the process of the run was killed. The command writes its exit status into a file.
    """

    poll_interval = 0.1

    def __init__(self, command: str, status: str) -> None:
        self.command = command
        self.status = Path(status)
        self.pid = 0

    def start(self, run: apsis.ThisRun) -> dict[str, Any]:
        """Start the command; what is returned is all that `attach` needs."""
        status, part = shlex.quote(str(self.status)), shlex.quote(f"{self.status}.part")
        script = f"{self.command}\necho $? > {part} && mv {part} {status}"
        self.pid = subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True).pid
        return {"pid": self.pid}

    def attach(self, run: apsis.ThisRun, state: dict[str, Any]) -> None:
        """Follow the command that another process has started."""
        self.pid = state["pid"]
        print(f"attached to {self.pid}")

    def update(self, run: apsis.ThisRun) -> int | None:
        """Look whether it has written its status."""
        try:
            return int(self.status.read_text())
        except FileNotFoundError:
            return None

    def stop(self, run: apsis.ThisRun, signum: int) -> None:
        """End the command; it is told to end by itself, and `update` sees how it did."""
        os.killpg(self.pid, signal.SIGTERM)
        self.status.write_text("0")
