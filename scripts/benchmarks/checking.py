"""How long `apsis check` takes for a large job directory."""

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

JOBS = 10_000
TARGET = "< 10 s"

_JOB = """\
params: [date, region]
schedule:
  type: daily
  tz: Europe/Berlin
  daytime: "{hour:02d}:{minute:02d}:00"
  calendar: Mon-Fri
  args: {{region: eu{region}}}
condition:
- type: dependency
  job_id: {other}
  args: {{region: eu{other_region}}}
- type: max_running
program:
  type: shell
  command: |
    /opt/etl/load --job {number} --date {{{{ date | quote }}}} --before {{{{ date | shift('Mon-Fri', -1) }}}}
    echo {{{{ region | quote }}}}
  timeout: {{duration: 1h}}
metadata:
  description: Loads number {number}.
  labels: [etl, nightly]
"""


@dataclass(frozen=True)
class Took:
    """Seconds of a check: on the wall, and of processor."""

    wall: float
    cpu: float
    said: str


def check(count: int = JOBS) -> Took:
    """Check a directory of so many files, of which no two are alike, and each depends on another."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(count):
            path = root / f"{_name(number)}.yaml"
            path.parent.mkdir(exist_ok=True)
            other = max(number - 1, 0)
            text = _JOB.format(
                number=number,
                hour=4 + number % 20,
                minute=number % 60,
                region=number % 7,
                other=_name(other),
                other_region=other % 7,
            )
            path.write_text(text if number else text.replace("- type: dependency", "- type: max_running", 1))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.monotonic()
        command = [sys.executable, "-c", "from apsis.cli.main import main; main()", "check", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wall = time.monotonic() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(wall, cpu, done.stderr.strip())


def _name(number: int) -> str:
    return f"team{number % 40}/job {number}"
