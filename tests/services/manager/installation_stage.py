"""A home, the commands that people use on it, and what runs in it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from apsis.home import Home
from apsis.manager_socket import ManagerAway, status

_TOOLS = {"apsis": "apsis.cli.main", "apsisctl": "apsis.cli.control"}


class Installation:
    """A home and its processes."""

    def __init__(self, root):
        self.home = Home(root)
        self.environ = {**os.environ, "APSIS_HOME": str(root), "NO_COLOR": "1", "TZ": "UTC"}
        for name in ("APSIS_SERVER", "APSIS_TOKEN", "NOTIFY_SOCKET"):
            self.environ.pop(name, None)

    def command(self, tool, *words):
        """Return the argv of one of our commands."""
        return [sys.executable, "-c", f"from {_TOOLS[tool]} import main; main()", *words]

    def call(self, tool, *words, timeout=60, **changes):
        """Run one of our commands to its end."""
        return subprocess.run(
            self.command(tool, *words), env=self.environ | changes, cwd="/", capture_output=True, text=True,
            timeout=timeout, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def ctl(self, *words, **more):
        return self.call("apsisctl", *words, **more)

    def apsis(self, *words, **more):
        return self.call("apsis", *words, **more)

    def good(self, tool, *words):
        """Run a command that must succeed, and return its stdout."""
        result = self.call(tool, *words)
        assert result.returncode == 0, result.stderr + result.stdout
        return result.stdout

    def start(self):
        return self.good("apsisctl", "start", "--port", "0")

    def write_job(self, name, text):
        path = self.home.jobs / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def status(self):
        return status(self.home)

    def service(self, name):
        return next(one for one in self.status()["services"] if one["name"] == name)

    def pids(self):
        return {one["name"]: one["pid"] for one in self.status()["services"]}

    def run_json(self, run_id):
        return json.loads(self.good("apsis", "show", run_id, "-o", "json"))

    def stop_everything(self):
        if not self.home.config.exists():
            return
        for _ in range(3):
            result = self.ctl("stop", "--kill-runs", "--timeout", "1")
            if result.returncode == 0:
                return
            self.ctl("start")
        raise AssertionError(result.stdout + result.stderr)


def until(condition, deadline=20.0):
    """Wait until a condition holds, and return what it returned."""
    end = time.monotonic() + deadline
    while True:
        try:
            found = condition()
        except ManagerAway:
            found = None
        if found:
            return found
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.03)


def processes_of(home):
    """Return the command lines of all processes that name this home."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environ = (entry / "environ").read_bytes().decode(errors="replace")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            ours = str(home.root) in line or f"APSIS_HOME={home.root}" in environ.split("\0")
            if ours and state != "Z" and int(entry.name) != os.getpid():
                found[int(entry.name)] = line
    return found
