"""What is measured: throughput against the bare C loop, lateness, and what the services use when idle."""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.usage import cpu, pss, seconds
from harness.installation import Installation, until

TRUE = "program: {type: program, argv: [/bin/true]}\n"
IDLE_JOBS = 1000


@contextmanager
def c_loop() -> Iterator[Path]:
    """Compile the baseline into a temporary folder."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        sys.exit("the baseline is a C program: install a C compiler (apt-get install gcc libc6-dev)")
    with tempfile.TemporaryDirectory(prefix="apsis-bench-") as folder:
        program = Path(folder) / "cloop"
        subprocess.run([compiler, "-O2", "-o", program, Path(__file__).with_name("cloop.c")], check=True)
        yield program


def baseline(program: Path, count: int) -> tuple[float, float]:
    """Return (runs a second, CPU seconds a run) of the bare loop: the best of three."""
    figures = []
    for _ in range(3):
        printed = subprocess.run([program, str(count)], check=True, capture_output=True, text=True).stdout
        wall, cpu = map(float, printed.split())
        figures.append((count / wall, cpu / count))
    return max(figures)


def quantile(values: list[float], share: float) -> float:
    """Return the value below which that share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def throughput(home: Installation, count: int) -> dict[str, Any]:
    """Submit `count` runs of /bin/true at once; durable, output and rusage kept."""
    before = cpu(home)
    begin = time.time()
    home.call("POST", "/runs", {"job_id": "true", "count": count})
    until(lambda: home.count("job:true state:success") >= count, 120, f"{count} runs of /bin/true")
    after = cpu(home)
    ends = [seconds(run["timestamps"]["success"]) for run in home.runs("job:true state:success")]
    return {
        "runs/s": count / (max(ends) - begin),
        "cpu": {name: (after[name] - before.get(name, 0.0)) / count * 1000 for name in sorted(after)},
    }


def lateness(home: Installation, count: int, job: str) -> list[float]:
    """Return how late (seconds) each of `count` programs due at the same moment was started."""
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4)
    made = home.call("POST", "/runs", {"job_id": job, "count": count, "schedule_time": due.isoformat()})["runs"]
    ids = {run["run_id"] for run in made}
    until(lambda: len(ids & {run["run_id"] for run in home.runs(f"job:{job} state:success")}) == count, 60, "due runs")
    found = [run for run in home.runs(f"job:{job} state:success") if run["run_id"] in ids]
    return [seconds(run["timestamps"]["running"]) - seconds(run["schedule_time"]) for run in found]


def alone(home: Installation, times: int) -> list[float]:
    """Return the lateness (seconds) of single runs on an idle system."""
    return [late for _ in range(times) for late in lateness(home, 1, "alone")]


def idle(home: Installation, length: float) -> tuple[dict[str, float], dict[str, int]]:
    """Return each service's share of a core (per cent) and its PSS (bytes) while nothing is due."""
    time.sleep(3.0)
    before, begin = cpu(home), time.monotonic()
    time.sleep(length)
    after, passed = cpu(home), time.monotonic() - begin
    return {name: (after[name] - before[name]) / passed * 100 for name in after if name in before}, pss(home)


def many_jobs() -> dict[str, str]:
    """Return the job files of an installation of ordinary size; none of their schedules is due soon."""
    month = (datetime.now(UTC) + timedelta(days=60)).month
    yearly = f"schedule: {{type: cron, cron: '0 3 1 {month} *', tz: UTC}}\n"
    return {f"many/{number // 100}/job{number}": TRUE + yearly for number in range(IDLE_JOBS)}


def middle(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)
