"""Commands and reports between scheduler and supervisor, cut off at every step: one start each, and the true end."""

import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apsis.home import Home
from harness.installation import Installation, until
from harness.integrity import database_is_whole
from harness.points import Points
from harness.work import WORK, Ledger, printed

#: each step of the way of a start, of a report and of its acknowledgement, and whom it is met by
STEPS = {
    "scheduler": ("scheduler.decided", "scheduler.committed", "scheduler.sent"),
    "hub": ("hub.received", "hub.routed"),
    "supervisor": ("supervisor.heard", "supervisor.kept", "supervisor.reported", "supervisor.acked"),
}
#: the short form kills and holds up here alone: where a truth is made, and where it is passed on
KILLED = ("scheduler.committed", "hub.routed", "supervisor.heard", "supervisor.kept", "supervisor.reported")
HELD_UP = ("supervisor.heard",)
POINTS = [point for points in STEPS.values() for point in points]
SLEEPER = "program: {type: program, argv: [/bin/sleep, '1.5']}\n"


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Points:
    return Points(tmp_path_factory.mktemp("points"))


@pytest.fixture(scope="module")
def apsis(points: Points) -> Iterator[Installation]:
    """One installation for all tests here: each leaves it working, or the next one fails."""
    with Installation({"work": WORK, "sleeper": SLEEPER}, environment=points.environment) as found:
        yield found


@pytest.fixture(autouse=True)
def whole(apsis: Installation) -> Iterator[None]:
    """After each test every service runs, and the database is whole."""
    yield
    until(lambda: all(entry["state"] == "running" for entry in apsis.status()["services"]), 30, "all services to run")
    database_is_whole(apsis.home)


def query(apsis: Installation, statement: str, *values: str) -> list[tuple[object, ...]]:
    """Read the database, as it is committed."""
    sql = sqlite3.connect(f"{Home(apsis.home).database.as_uri()}?mode=ro", uri=True)
    try:
        return sql.execute(statement, values).fetchall()
    finally:
        sql.close()


def quiet(apsis: Installation) -> bool:
    """Whether no host is owed anything: what is met next belongs to what is done next."""
    owed = query(
        apsis, "SELECT 1 FROM command UNION ALL SELECT 1 FROM host WHERE json_extract(doc, '$.forget[0]') > ''"
    )
    return not owed and apsis.count("is:active") == 0


def due(apsis: Installation, ledger: Ledger, seconds: float = 0.5, *, lasts: float = 0.1, count: int = 1) -> list[str]:
    """Make runs that are due soon: no request is under way when something is killed."""
    at = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    args = {"seconds": str(lasts), "code": "3", "ledger": str(ledger.path)}
    return [run["run_id"] for run in apsis.make("work", count, args=args, schedule_time=at)]


def check(apsis: Installation, ledger: Ledger, run_ids: list[str], seconds: float = 40) -> None:
    """Assert that each run was started once, ended as its program did, and kept every byte."""
    for run_id in run_ids:
        until(lambda run_id=run_id: bool(apsis.run(run_id).get("outputs")), seconds, f"{run_id} to end")
        run = apsis.run(run_id)
        assert (run["state"], run["exit"]["code"]) == ("failure", 3), run
        until(lambda run_id=run_id: apsis.output(run_id) == printed(run_id), 20, f"the output of {run_id}")
    assert ledger.starts() == dict.fromkeys(run_ids, 1)


def points_with(short: tuple[str, ...]) -> list[object]:
    """Return all points, those that are not of the short form marked so."""
    return [pytest.param(point, marks=[] if point in short else pytest.mark.nightly) for point in POINTS]


@pytest.mark.parametrize("point", points_with(KILLED))
def test_whoever_is_killed_at_any_step_of_a_dispatch_a_run_starts_once_and_ends_truly(
    apsis: Installation, points: Points, ledger: Ledger, point: str
) -> None:
    if point.startswith("scheduler"):
        until(lambda: quiet(apsis), 30, "nothing to be under way")
    run_ids = due(apsis, ledger)
    points.arm(point, "kill")
    until(lambda: points.reached(point), 20, f"{point} to be reached")
    check(apsis, ledger, run_ids)


@pytest.mark.parametrize("point", points_with(HELD_UP))
def test_whoever_is_held_up_at_any_step_of_a_dispatch_goes_on_and_nothing_is_done_twice(
    apsis: Installation, points: Points, ledger: Ledger, point: str
) -> None:
    """Long enough for everybody else to send again."""
    until(lambda: quiet(apsis), 30, "nothing to be under way")
    run_ids = due(apsis, ledger)
    points.arm(point, "sleep 1.2")
    until(lambda: points.reached(point), 20, f"{point} to be reached")
    check(apsis, ledger, run_ids)


def test_a_scheduler_killed_between_send_and_ack_hears_the_report_in_its_next_life(
    apsis: Installation, points: Points, ledger: Ledger
) -> None:
    """What it has sent is carried out meanwhile; it is killed before it can hear so."""
    until(lambda: quiet(apsis), 30, "nothing to be under way")
    run_ids = due(apsis, ledger)
    points.arm("scheduler.sent", "sleep 30")
    until(lambda: points.reached("scheduler.sent"), 20, "the command to be sent")
    until(lambda: bool(ledger.starts()), 20, "the program to start")
    apsis.kill("scheduler")
    check(apsis, ledger, run_ids)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("scheduler.committed", "supervisor.kept"),
        pytest.param("scheduler.sent", "supervisor.heard", marks=pytest.mark.nightly),
    ],
)
def test_both_ends_killed_in_one_dispatch_agree_again(
    apsis: Installation, points: Points, ledger: Ledger, first: str, second: str
) -> None:
    until(lambda: quiet(apsis), 30, "nothing to be under way")
    run_ids = due(apsis, ledger, count=3)
    points.arm(first, "kill")
    points.arm(second, "kill")
    until(lambda: points.reached(first) and points.reached(second), 30, "both to be met")
    check(apsis, ledger, run_ids)


def storm(apsis: Installation, points: Points, ledger: Ledger, seed: int) -> None:
    """20 starts in a second, and a supervisor that is killed at random points of them."""
    chance = random.Random(seed)
    run_ids: list[str] = []
    for number in range(20):
        run_ids += due(apsis, ledger, 0.2 + number * 0.05, lasts=chance.choice([0.0, 0.2, 0.6]))
    for _ in range(6):
        if chance.random() < 0.5:
            point = chance.choice(STEPS["supervisor"])
            points.arm(point, "kill")
            until(lambda point=point: points.reached(point) or not busy(apsis), 30, f"{point} to be reached")
            (points.folder / point).unlink(missing_ok=True)
        else:
            time.sleep(chance.random() * 0.3)
            if (pid := apsis.processes().get("supervisor")) is not None:
                os.kill(pid, signal.SIGKILL)
    check(apsis, ledger, run_ids, 60)


def busy(apsis: Installation) -> bool:
    return apsis.count("is:active") > 0 or apsis.count("state:scheduled") > 0


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_supervisor_killed_at_random_points_of_20_starts_loses_none_and_repeats_none(
    apsis: Installation, points: Points, ledger: Ledger, seed: int
) -> None:
    storm(apsis, points, ledger, seed)


@pytest.mark.nightly
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", range(4, 51))
def test_fifty_seeds_of_a_supervisor_killed_at_random_points_of_20_starts(
    apsis: Installation, points: Points, ledger: Ledger, seed: int
) -> None:
    storm(apsis, points, ledger, seed)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seconds", [3, pytest.param(10, marks=pytest.mark.nightly)])
def test_a_supervisor_that_is_stopped_for_seconds_fails_no_run(
    apsis: Installation, ledger: Ledger, seconds: int
) -> None:
    """Programs go on and end meanwhile, new runs wait for it, and nothing is started a second time or called lost."""
    running = due(apsis, ledger, 0.2, lasts=1.5, count=4)
    until(lambda: len(ledger.starts()) == 4, 20, "four programs to run")
    pid = apsis.service("supervisor")
    os.kill(pid, signal.SIGSTOP)
    try:
        meanwhile = due(apsis, ledger, 0.5, lasts=0.2, count=4)
        over = time.monotonic() + seconds
        while time.monotonic() < over:
            states = {apsis.run(run_id)["state"] for run_id in running + meanwhile}
            assert states <= {"scheduled", "starting", "running", "waiting"}, states
            time.sleep(0.3)
        assert set(ledger.starts()) == set(running)
    finally:
        os.kill(pid, signal.SIGCONT)
    check(apsis, ledger, running + meanwhile)
    assert apsis.service("supervisor") == pid


def test_a_spool_that_was_wiped_between_commit_and_start_ends_its_run_and_starts_nothing(
    points: Points, ledger: Ledger, tmp_path: Path
) -> None:
    """The command is bound to the spool that is gone: the run may have been started there, and is not started again."""
    mine = Points(tmp_path / "points")
    with Installation({"work": WORK}, environment=mine.environment) as apsis:
        (run_id,) = due(apsis, ledger)
        mine.arm("supervisor.heard", "stop")
        until(lambda: mine.reached("supervisor.heard"), 20, "the command to be heard")
        spool = apsis.home / "spool"
        epoch = (spool / "epoch").read_text()
        pid = apsis.service("supervisor")
        spool.rename(apsis.home / "spool.gone")
        os.kill(pid, signal.SIGKILL)
        until(lambda: (spool / "epoch").exists() and (spool / "epoch").read_text() != epoch, 30, "a new spool")
        until(lambda: apsis.run(run_id)["state"] == "error", 40, "the run to end")
        run = apsis.run(run_id)
        assert "may have started before the host was lost" in run["reason"], run
        assert ledger.starts() == {}
        (again,) = due(apsis, ledger)
        check(apsis, ledger, [again])
        database_is_whole(apsis.home)


def events(apsis: Installation, run_id: str) -> list[str]:
    """Return what has happened to a run, as it was committed."""
    found = query(
        apsis, "SELECT json_extract(CAST(body AS TEXT), '$.event') FROM v_event WHERE run_id = ? ORDER BY id", run_id
    )
    return [str(event) for (event,) in found]


def test_no_run_here_was_reported_twice_or_out_of_its_order(apsis: Installation) -> None:
    """Last: of all runs that these tests have made, whatever was killed meanwhile."""
    runs = apsis.runs("job:work")
    assert len(runs) > 20
    for run in runs:
        states = events(apsis, run["run_id"])
        moved = [state for state in states if state in ("scheduled", "waiting", "starting", "running", "failure")]
        assert len(moved) == len(set(moved)), (run["run_id"], states)
        assert states[-1] == "failure"
        assert "refused" not in states
