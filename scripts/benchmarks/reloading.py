"""How much later a run that is due starts because ten thousand job files are read again meanwhile."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from benchmarks.measures import quantile
from benchmarks.ten_thousand import BESIDE, JOBS, name, text
from benchmarks.usage import seconds
from harness.installation import Installation, until

#: runs due in one round, and seconds between two
DUE: Final = 200
EVERY: Final = 0.02
_LEAD: Final = 8.0
_ROUNDS: Final = 3


class Delays(NamedTuple):
    """Seconds from its due time to its start, of the runs that were due in such a time."""

    middle: float
    most: float

    @classmethod
    def of(cls, late: list[float]) -> "Delays":
        """Return those of runs: the median, and the worst of all but one in a hundred."""
        return cls(quantile(late, 0.5), quantile(late, 0.99))


class Reloads(NamedTuple):
    """What was measured."""

    quiet: Delays
    #: while unchanged files were read, again and again
    unchanged: Delays
    #: seconds that one such reading took
    took: float
    #: while a tenth of the jobs was another
    changed: Delays
    took_changed: float
    #: from the save of one file to its effect, without anybody who asks
    watched: float


def reloads(home: Installation) -> Reloads:
    """Measure."""
    jobs = iter(BESIDE)
    quiet = [late for _ in range(_ROUNDS) for late in _round(home, next(jobs), None)[0]]
    unchanged, took = [], []
    for _ in range(_ROUNDS):
        late, length = _round(home, next(jobs), lambda: _reload(home, 0))
        unchanged += late
        took += length
    for number in range(JOBS // 10):
        (home.home / "jobs" / f"{name(number)}.yaml").write_text(text(number) + "priority: 1\n")
    changed, took_changed = _round(home, next(jobs), lambda: _reload(home, JOBS // 10), once=True)
    return Reloads(
        Delays.of(quiet), Delays.of(unchanged), min(took), Delays.of(changed), min(took_changed), _watched(home)
    )


def _round(
    home: Installation, job_id: str, work: Callable[[], None] | None, *, once: bool = False
) -> tuple[list[float], list[float]]:
    """Have runs due one after the other, do some work meanwhile, and return how late they started, and its lengths."""
    first = datetime.now(UTC) + timedelta(seconds=_LEAD)
    ids = set()
    for number in range(DUE):
        due = (first + timedelta(seconds=number * EVERY)).isoformat()
        ids |= {run["run_id"] for run in home.make(job_id, schedule_time=due)}
    last = first + timedelta(seconds=DUE * EVERY)
    took: list[float] = []

    time.sleep(max(0.0, (first - datetime.now(UTC)).total_seconds()))
    while work is not None and datetime.now(UTC) < last and not (once and took):
        begin = time.monotonic()
        work()
        took.append(time.monotonic() - begin)
    time.sleep(max(0.0, (last - datetime.now(UTC)).total_seconds()))
    until(lambda: home.count(f"job:{job_id} state:success") == DUE, 30, "the runs that were due", every=0.5)
    found = [run for run in home.runs(f"job:{job_id} state:success") if run["run_id"] in ids]
    return [seconds(run["timestamps"]["running"]) - seconds(run["schedule_time"]) for run in found], took


def _reload(home: Installation, changed: int) -> None:
    answer = home.call("POST", "/jobs/reload", {})
    found = len(answer["changed"])
    # none where the watcher has been first: then it is its reading that the runs were due beside
    if found not in (changed, 0) or answer["added"] or answer["removed"]:
        raise SystemExit(f"bench: {changed} jobs were to be others, and {found} are")


def _watched(home: Installation) -> float:
    """Return how long it takes until an edit has its effect."""
    job_id = name(JOBS - 1)
    (home.home / "jobs" / f"{job_id}.yaml").write_text(text(JOBS - 1) + "priority: 9\n")
    begin = time.monotonic()
    before = _version(home, job_id)
    until(lambda: _version(home, job_id) != before, 30, "the edit")
    return time.monotonic() - begin


def _version(home: Installation, job_id: str) -> str:
    return str(home.call("GET", f"/jobs/{job_id.replace('/', '%2F')}")["version"])
