"""How late programs start while a service is killed each second, and whether each was started once and ended truly.

What comes of a run is told by the program itself: it writes its start into a ledger, and prints its run id.
"""

import contextlib
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from benchmarks.usage import seconds
from harness.installation import HarnessError, Installation, until
from harness.work import Ledger

SERVICES: Final = ("hub", "scheduler", "supervisor", "store", "web", "alerts", "zygote")
SEED: Final = 1
#: seconds for which there is a kill a second
LENGTH: Final = 30
#: runs that become due in each of them
RATE: Final = 10
#: seconds between the first request for a run and the first that is due
AHEAD: Final = 8.0
#: seconds that the last runs have to end in
PATIENCE: Final = 60.0
JOBS: Final = {
    "due": r"""
params: [ledger]
program: {type: program, argv: [/bin/sh, -c, 'echo "$APSIS_RUN_ID" >> "$0"; echo "$APSIS_RUN_ID"', "{{ ledger }}"]}
"""
}


@dataclass(frozen=True)
class Storm:
    """What a storm of kills did."""

    #: service: how often it was killed
    kills: dict[str, int]
    runs: int
    #: seconds by which each program was late
    late: list[float]
    #: runs that never started, that started more than once, that have not ended
    lost: int
    twice: int
    unfinished: int
    #: runs that ended otherwise than their program did, or whose output is not what it printed
    untrue: int
    #: run id, state and number of starts of each run for which what is promised did not hold
    wrong: list[str]


def storm(home: Installation, length: int = LENGTH, rate: int = RATE) -> Storm:
    """Have runs become due all the time, and kill one process a second."""
    ledger = Ledger(home.home / "ledger")
    first = datetime.now(UTC) + timedelta(seconds=AHEAD)
    made = [
        home.make(
            "due",
            args={"ledger": str(ledger.path)},
            schedule_time=(first + timedelta(seconds=number / rate)).isoformat(),
        )[0]["run_id"]
        for number in range(length * rate)
    ]
    wait = first.timestamp() - time.time()
    if wait < 0:
        raise HarnessError(f"the machine is too slow: making {len(made)} runs took more than {AHEAD:.0f} s")
    time.sleep(wait)
    kills = _kill(home, length)
    with contextlib.suppress(HarnessError):  # what has not ended by then is counted
        until(lambda: home.count("job:due is:finished") == len(made), PATIENCE, "the runs to end", every=0.2)
    return _judge(home, ledger, made, kills)


def _kill(home: Installation, length: int) -> dict[str, int]:
    """Kill one of the processes that live, each second; all of it follows from the seed."""
    dice = random.Random(SEED)
    kills = dict.fromkeys(SERVICES, 0)
    begin = time.monotonic()
    for number in range(length):
        time.sleep(max(0.0, begin + number + 0.5 - time.monotonic()))
        order = dice.sample(SERVICES, len(SERVICES))
        living = home.processes()
        # one that is just being started anew cannot be met: the next in the order is
        name = next(name for name in order if name in living)
        with contextlib.suppress(ProcessLookupError, HarnessError):
            home.kill(name)
            kills[name] += 1
    return kills


def _judge(home: Installation, ledger: Ledger, made: list[str], kills: dict[str, int]) -> Storm:
    starts = ledger.starts()
    runs = [home.run(run_id) for run_id in made]
    late = [_late(run) for run in runs if "running" in run["timestamps"]]
    ended = [run for run in runs if run["state"] in ("success", "failure", "error", "skipped")]
    untrue = [run for run in ended if not _true(home, run)]
    doubtful = [run for run in runs if run in untrue or run not in ended or starts[run["run_id"]] != 1]
    return Storm(
        kills=kills,
        runs=len(made),
        late=late,
        lost=sum(run_id not in starts for run_id in made),
        twice=sum(count > 1 for count in starts.values()),
        unfinished=len(made) - len(ended),
        untrue=len(untrue),
        wrong=[f"{run['run_id']} ({run['state']}, {starts[run['run_id']]} starts)" for run in doubtful],
    )


def _late(run: dict[str, Any]) -> float:
    return seconds(run["timestamps"]["running"]) - seconds(run["schedule_time"])


def _true(home: Installation, run: dict[str, Any]) -> bool:
    run_id = run["run_id"]
    return run["state"] == "success" and home.output(run_id) == f"{run_id}\n".encode()
