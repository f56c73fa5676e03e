"""The two commands as a person calls them, and what may be expected when they refuse."""

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def say(home: Path, command: str, *words: str, timeout: float = 60, **environment: str) -> Said:
    """Call `apsis` or `apsisctl` on a home, without a terminal, and wait for its end."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("APSIS_")}
    done = subprocess.run(
        [BIN / command, *words],
        env={**plain, "APSIS_HOME": str(home), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def refused(said: Said, code: int, *parts: str) -> None:
    """Assert that a command said in one line what is wrong, then what to do, and nothing else."""
    lines = [line for line in said.err.splitlines() if not line.startswith("  ✔")]
    assert said.code == code, said
    assert said.out == "", said
    assert lines, said
    assert lines[0].startswith("Error: "), said
    assert all(line.startswith("  ") for line in lines[1:]), said
    assert "Traceback" not in said.err, said
    for part in parts:
        assert part in said.err, (part, said)


def starts(home: Path) -> None:
    """Assert that the home can be started, and that a job runs in it; leave it stopped."""
    started = say(home, "apsisctl", "start", "--port", "0")
    assert started.code == 0, started
    ran = say(home, "apsis", "run", "good", "word=x", "--wait")
    assert ran.code == 0, ran
    stopped = say(home, "apsisctl", "stop", "--kill-runs")
    assert stopped.code == 0, stopped


def stands_still(home: Path) -> None:
    """Assert that nothing runs in a home."""
    assert say(home, "apsisctl", "status").code == 3
    with contextlib.suppress(FileNotFoundError):
        assert not (home / "run" / "manager.sock").exists()
