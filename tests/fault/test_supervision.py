"""Shims, zygotes and supervisors end or stop at the worst moments: one start each, the true status, nothing left."""

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.installation import Installation, until
from harness.points import Points
from harness.work import WORK, Ledger, printed

#: a tree drawn from a seed: each process may fork, hop into a session of its own, and outlive its parent
TREE = r"""
params: [seed, pids]
program:
  type: program
  argv:
    - python3
    - -c
    - |
      import os, random, signal, sys, time
      draw, pids = random.Random(int(sys.argv[1])), sys.argv[2]
      def note():
          with open(pids, "ab", buffering=0) as file:
              file.write(f"{os.getpid()}\n".encode())
      def grow(depth):
          note()
          if draw.random() < 0.3:
              signal.signal(signal.SIGTERM, signal.SIG_IGN)
          for _ in range(draw.randint(0 if depth else 2, 3)):
              seed = draw.random()
              if depth < 4 and os.fork() == 0:
                  draw.seed(seed)
                  if draw.random() < 0.5:
                      os.setsid()
                  grow(depth + 1)
          if depth and draw.random() < 0.3:
              os._exit(0)
          while True:
              time.sleep(60)
      print("grown", flush=True)
      grow(0)
    - "{{ seed }}"
    - "{{ pids }}"
  stop: {grace_period: 1}
"""
#: every step of a start, in order
CLAIM = ("zygote.forked", "shim.started-alone", "shim.claimed", "shim.answered", "shim.spawned", "shim.recorded")
#: and of an end
END = ("shim.ended", "shim.resulted", "shim.reaped", "shim.done")


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Points:
    return Points(tmp_path_factory.mktemp("points"))


@pytest.fixture(scope="module")
def apsis(points: Points) -> Iterator[Installation]:
    """One installation for all, whose failpoints can be armed: what one test has ended is there for the next."""
    with Installation({"work": WORK, "tree": TREE}, environment=points.environment) as found:
        yield found


@pytest.fixture(autouse=True)
def all_there(apsis: Installation) -> None:
    """Begin with every service at work."""
    until(lambda: apsis.call("GET", "/health")["status"] == "ok", 30, "every service")


def work(apsis: Installation, ledger: Ledger, count: int = 1, seconds: float = 0.5, code: int = 3) -> list[str]:
    """Make runs that write the ledger, print and end with `code`; returns their ids."""
    args = {"seconds": str(seconds), "code": str(code), "ledger": str(ledger.path)}
    return [run["run_id"] for run in apsis.make("work", count, args=args)]


def ended(apsis: Installation, run_ids: list[str], seconds: float = 60) -> list[dict[str, object]]:
    """Wait for the ends of runs, and return them."""
    final = ("success", "failure", "error", "skipped")
    until(lambda: all(apsis.run(run_id)["state"] in final for run_id in run_ids), seconds, f"the ends of {run_ids}")
    return [apsis.run(run_id) for run_id in run_ids]


def true_ends(apsis: Installation, ledger: Ledger, run_ids: list[str]) -> None:
    """Assert one start each, the true status with what it used, and every byte."""
    for run in ended(apsis, run_ids):
        run_id = str(run["run_id"])
        assert (run["state"], run["reason"]) == ("failure", "exit 3"), run
        # of so little the kernel may count all as its own
        assert run["rusage"]["utime"] + run["rusage"]["stime"] > 0, run  # type: ignore[index]
        until(lambda run_id=run_id: apsis.output(run_id) == printed(run_id), 20, f"all bytes of {run_id}")  # type: ignore[misc]
    assert ledger.starts() == dict.fromkeys(run_ids, 1)


def shim(apsis: Installation, run_id: str) -> int:
    """Return the process that keeps a run, as its journal names it."""
    (path,) = (apsis.home / "spool" / "journals").glob(f"*-{run_id}.j")
    claim = json.loads(path.read_bytes().split(b"\n")[0].split(b" ", 1)[1])
    return int(claim["pid"])


def stopped_shims(apsis: Installation) -> list[int]:
    """Return the shims and zygotes of this installation that stand still."""
    mark = str(apsis.home / "spool").encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words, state = (path / "cmdline").read_bytes(), (path / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if mark in words and state == "T":
            found.append(int(path.name))
    return found


@pytest.mark.parametrize("point", CLAIM)
def test_a_shim_killed_at_any_step_of_a_start_leaves_one_start_and_a_true_end(
    apsis: Installation, points: Points, ledger: Ledger, point: str
) -> None:
    points.arm(point, "kill")
    run_ids = work(apsis, ledger, 3)

    runs = ended(apsis, run_ids)

    assert points.reached(point)
    assert max(ledger.starts().values()) == 1
    for run in runs:
        # one whose shim died between its claim and its start was never started, and says so
        never = run["run_id"] not in ledger.starts()
        assert run["state"] == ("error" if never else "failure"), run
        assert never or run["reason"] == "exit 3", run
    assert sum(run["state"] == "error" for run in runs) <= (point in ("shim.claimed", "shim.answered"))


@pytest.mark.parametrize("point", END)
def test_a_shim_killed_at_any_step_of_an_end_leaves_the_true_end(
    apsis: Installation, points: Points, ledger: Ledger, point: str
) -> None:
    points.arm(point, "kill")
    run_ids = work(apsis, ledger, 3)

    true_ends(apsis, ledger, run_ids)

    assert points.reached(point)


@pytest.mark.parametrize("point", [*CLAIM, *END])
def test_what_is_stopped_at_any_step_goes_on_when_it_may(
    apsis: Installation, points: Points, ledger: Ledger, point: str
) -> None:
    points.arm(point, "stop")
    run_ids = work(apsis, ledger, 3, seconds=0.2)
    until(lambda: points.reached(point) and bool(stopped_shims(apsis)), 20, f"{point} to be reached")
    # whoever asks meanwhile must not start it again
    apsis.kill("supervisor")
    until(lambda: apsis.processes().get("supervisor", 0) > 0, 20, "another supervisor")
    time.sleep(0.5)
    until(lambda: not [os.kill(pid, signal.SIGCONT) for pid in stopped_shims(apsis)], 10, "it to go on")

    true_ends(apsis, ledger, run_ids)


def test_zygote_and_supervisor_killed_together_lose_nothing(apsis: Installation, ledger: Ledger) -> None:
    run_ids = work(apsis, ledger, 6, seconds=3)
    until(lambda: len(ledger.starts()) == 6, 20, "six programs")
    apsis.kill("zygote")
    apsis.kill("supervisor")
    more = work(apsis, ledger, 4)

    true_ends(apsis, ledger, run_ids + more)


def test_a_zygote_adopts_while_the_supervisor_starts(apsis: Installation, ledger: Ledger) -> None:
    run_ids = work(apsis, ledger, 4, seconds=3)
    until(lambda: len(ledger.starts()) == 4, 20, "four programs")
    apsis.kill("supervisor")
    for run_id in run_ids:
        os.kill(shim(apsis, run_id), signal.SIGKILL)

    true_ends(apsis, ledger, run_ids)
    log = (apsis.home / "log" / "zygote.log").read_text()
    assert all(f"event=run_adopted run={run_id}" in log for run_id in run_ids)


def test_shim_and_zygote_killed_together_give_the_true_status_or_an_honest_unknown_and_never_a_second_start(
    apsis: Installation, ledger: Ledger
) -> None:
    (run_id,) = work(apsis, ledger, seconds=3)
    until(lambda: bool(ledger.starts()), 20, "the program")
    keeper = shim(apsis, run_id)
    zygote = apsis.service("zygote")
    os.kill(zygote, signal.SIGSTOP)  # so that it cannot adopt in between
    os.kill(keeper, signal.SIGKILL)
    os.kill(zygote, signal.SIGKILL)

    (run,) = ended(apsis, [run_id])

    exit_: Any = run["exit"]
    if exit_["code"] is None:  # a kernel before 6.15 does not tell what another has waited for
        assert run["state"] == "error"
        assert "exit status unknown" in str(run["reason"])
    else:
        assert (exit_["code"], exit_["killed_by"]) == (3, "")
    until(lambda: apsis.output(run_id) == printed(run_id), 20, "what it printed")
    assert ledger.starts() == {run_id: 1}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_tree_is_ended_whole_and_nobody_else(apsis: Installation, tmp_path: Path, seed: int) -> None:
    pids, other = tmp_path / "pids", tmp_path / "other"
    run = apsis.make("tree", args={"seed": str(seed), "pids": str(pids)})[0]["run_id"]
    neighbour = apsis.make("tree", args={"seed": str(seed + 10), "pids": str(other)})[0]["run_id"]
    until(lambda: pids.exists() and other.exists(), 20, "two trees")
    grown = [0, -1]

    def still() -> bool:
        grown.append(len(pids.read_text().split()) + len(other.read_text().split()))
        return grown[-1] == grown[-3]

    until(still, 20, "the trees to be grown", every=0.3)
    apsis.call("POST", f"/runs/{run}/stop")
    (end,) = ended(apsis, [run])

    assert living(pids) == []
    assert "could not be ended" not in str(end["reason"])
    assert apsis.run(neighbour)["state"] == "running"
    assert living(other)
    apsis.call("POST", f"/runs/{neighbour}/kill")
    ended(apsis, [neighbour])
    assert living(other) == []


def living(pids: Path) -> list[int]:
    """Return which of the processes that wrote themselves down live."""
    found = []
    for pid in map(int, pids.read_text().split()):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            found.append(pid)
    return found


def test_two_homes_on_one_host_with_the_same_run_ids_never_meet(apsis: Installation, tmp_path: Path) -> None:
    pids, other = tmp_path / "pids", tmp_path / "other"
    with Installation({"tree": TREE, "work": WORK}) as second:
        run = apsis.make("tree", args={"seed": "5", "pids": str(pids)})[0]["run_id"]
        # runs that never start give the second home the same number
        later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        args = {"seconds": "0", "code": "0", "ledger": str(tmp_path / "none")}
        if before := int(run[1:]) - 1:
            second.make("work", before, args=args, schedule_time=later)
        same = second.make("tree", args={"seed": "5", "pids": str(other)})[0]["run_id"]
        assert run == same
        until(lambda: pids.exists() and other.exists(), 20, "two trees")
        # without its shim and zygote a run is ended by its tag, which the other's processes carry nearly too
        keeper = shim(apsis, run)
        os.kill(apsis.service("zygote"), signal.SIGKILL)
        os.kill(keeper, signal.SIGKILL)
        apsis.call("POST", f"/runs/{run}/kill")

        ended(apsis, [run])

        until(lambda: living(pids) == [], 20, "the end of its tree")
        assert second.run(same)["state"] == "running"
        assert living(other)
