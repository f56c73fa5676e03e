"""Apsis in a home of its own, on a free port: real processes, ended and removed afterwards."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent


class HarnessError(Exception):
    """A command failed, or what was waited for did not come about."""


class Installation:
    """A home with jobs and every process of it; a context manager that leaves nothing behind."""

    def __init__(
        self,
        jobs: dict[str, str],
        *,
        home: Path | None = None,
        environment: dict[str, str] | None = None,
        started: bool = True,
    ) -> None:
        """Name the home (None: a new temporary one) and what the processes' environment has besides ours.

        Not `started`: only the home is made, and who uses it starts it.
        """
        self.home = home or Path(tempfile.mkdtemp(prefix="apsis-try-"))
        #: leave the home where it is in the end, with its logs and its database
        self.keep = False
        self._jobs = jobs
        self._started = started
        self._environment = environment or {}
        self.url = ""
        self._token = ""

    def __enter__(self) -> "Installation":
        """Make the home with its jobs, and start every process."""
        try:
            self.control("init", str(self.home))
            for job_id, text in self._jobs.items():
                path = self.home / "jobs" / f"{job_id}.yaml"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            if self._started:
                self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all of it and remove the home."""
        try:
            self.control("stop", "--kill-runs")
        finally:
            if not self.keep:
                shutil.rmtree(self.home, ignore_errors=True)

    def start(self) -> None:
        """Start what does not run, and learn the page's address."""
        self.control("start", "--port", "0")
        self.url = self.status()["url"]
        self._token = (self.home / "token").read_text().strip()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the two commands, and so of the processes that they start."""
        ours = {key: value for key, value in os.environ.items() if not key.startswith("APSIS_")}
        return {**ours, **self._environment, "APSIS_HOME": str(self.home)}

    def control(self, *words: str) -> str:
        """Run `apsisctl` on this home and return what it printed."""
        return self.command("apsisctl", *words)

    def command(self, name: str, *words: str) -> str:
        """Run one of the two commands on this home and return what it printed."""
        done = subprocess.run(
            [BIN / name, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        if done.returncode != 0:
            raise HarnessError(f"{name} {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def status(self) -> dict[str, Any]:
        """Return `apsisctl status` as data, also when something is not well."""
        environment = {**os.environ, "APSIS_HOME": str(self.home)}
        done = subprocess.run(
            [BIN / "apsisctl", "status", "-o", "json"], env=environment, capture_output=True, timeout=30, check=False
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def request(self, method: str, path: str, body: object = None) -> bytes:
        """Make one REST request and return the bytes of its answer."""
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: bytes = answer.read()
            return content

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Make one REST request and return its JSON; again for 10 s while the server is away."""
        deadline = time.monotonic() + 10
        while True:
            try:
                return json.loads(self.request(method, path, body))
            except (urllib.error.URLError, ConnectionError) as error:
                away = not isinstance(error, urllib.error.HTTPError) or error.code == 503
                if not away or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def make(self, job_id: str, count: int = 1, **more: Any) -> list[dict[str, Any]]:
        """Make runs of a job and return them."""
        made: list[dict[str, Any]] = self.call("POST", "/runs", {"job_id": job_id, "count": count, **more})["runs"]
        return made

    def run(self, run_id: str) -> dict[str, Any]:
        """Return one run; the answer may or may not be wrapped."""
        found: dict[str, Any] = self.call("GET", f"/runs/{run_id}")
        inner: dict[str, Any] = found.get("run", found)
        return inner

    def runs(self, query: str, limit: int = 1000) -> list[dict[str, Any]]:
        """Return the runs that a filter finds."""
        found: list[dict[str, Any]] = self.call("GET", f"/runs?q={urllib.parse.quote(query)}&limit={limit}")["runs"]
        return found

    def count(self, query: str) -> int:
        """Return how many runs a filter finds."""
        return int(self.call("GET", f"/runs?q={urllib.parse.quote(query)}&limit=1")["total"])

    def output(self, run_id: str) -> bytes:
        """Return all that a run printed."""
        return self.request("GET", f"/runs/{run_id}/output/output")

    def service(self, name: str) -> int:
        """Return the pid of a service, or of the manager or the zygote."""
        found = self.processes().get(name)
        if not found:
            raise HarnessError(f"{name} does not run; there are {sorted(self.processes())}")
        return found

    def processes(self) -> dict[str, int]:
        """Return service: pid as the locks name them, with the manager and the zygote (the youngest) among them."""
        found = {}
        for path in sorted((self.home / "run").glob("*.lock")):
            pid = int(json.loads(path.read_text())["pid"])
            if Path(f"/proc/{pid}").exists():
                found["zygote" if path.stem.startswith("zygote-") else path.stem] = pid
        return found

    def kill(self, name: str) -> int:
        """End one process as a crash would (`kill -9`) and return the pid that it had."""
        pid = self.service(name)
        os.kill(pid, signal.SIGKILL)
        return pid


def until(condition: Callable[[], bool], seconds: float, what: str, every: float = 0.05) -> None:
    """Wait for a condition.

    Raises:
        HarnessError: it has not come about in that many seconds.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise HarnessError(f"waited {seconds:.0f} s for {what}")
        time.sleep(every)
