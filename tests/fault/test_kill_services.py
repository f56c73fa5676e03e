"""Each of our processes may be killed at any moment: runs end once, with their true status and whole output."""

import os

import pytest

from harness.installation import Installation, until
from harness.work import Ledger, printed

SERVICES = ("hub", "scheduler", "supervisor", "zygote", "store", "web", "alerts")


def back(installation: Installation, name: str, old: int) -> bool:
    """Say whether a killed service runs again, as another process."""
    found = {entry["name"]: entry for entry in installation.status()["services"]}.get(name)
    return found is not None and found["state"] == "running" and found["pid"] not in (None, old)


def check(installation: Installation, ledger: Ledger, codes: dict[str, int]) -> None:
    """Assert that each run ended once as its program did, with rusage and every byte."""
    for run_id, code in codes.items():
        run = installation.run(run_id)
        assert run["state"] == ("success" if code == 0 else "failure"), run
        assert run["exit"]["code"] == code, run
        assert run["rusage"]["utime"] + run["rusage"]["stime"] > 0, run
        assert run["elapsed"] > 0, run
        assert installation.output(run_id) == printed(run_id)
    assert ledger.starts() == dict.fromkeys(codes, 1)


@pytest.mark.timeout(180)
def test_runs_of_20_s_outlive_a_kill_of_each_service_in_turn(installation: Installation, ledger: Ledger) -> None:
    codes = {}
    for number in range(9):
        args = {"seconds": "20", "code": str(number % 3), "ledger": str(ledger.path)}
        codes[installation.make("work", args=args)[0]["run_id"]] = number % 3
    until(lambda: installation.count("state:running") == 9, 20, "9 running runs")

    for name in SERVICES:
        old = installation.kill(name)
        if name != "zygote":  # the next start makes a new one; the shims need none
            until(lambda name=name, old=old: back(installation, name, old), 15, f"{name} to be back")
    args = {"seconds": "0.5", "code": "0", "ledger": str(ledger.path)}
    codes[installation.make("work", args=args)[0]["run_id"]] = 0

    until(lambda: installation.count("is:finished") == len(codes), 60, "every run to end")
    check(installation, ledger, codes)


@pytest.mark.timeout(120)
def test_restart_with_20_active_runs_loses_none_and_starts_none_twice(
    installation: Installation, ledger: Ledger
) -> None:
    args = {"seconds": "8", "code": "0", "ledger": str(ledger.path)}
    codes = {run["run_id"]: 0 for run in installation.make("work", count=20, args=args)}
    # a host runs 8 programs a core at a time; the others wait, and must be started once afterwards
    places = min(20, 8 * (os.cpu_count() or 1))
    until(lambda: installation.count("state:running") == places, 20, f"{places} running runs")
    assert installation.count("is:active") == 20
    before = installation.status()["services"]

    installation.control("restart")
    installation.url = installation.status()["url"]

    after = installation.status()["services"]
    assert not {entry["pid"] for entry in before} & {entry["pid"] for entry in after}
    until(lambda: installation.count("is:finished") == 20, 60, "every run to end")
    check(installation, ledger, codes)


@pytest.mark.timeout(120)
def test_a_killed_manager_adopts_what_runs(installation: Installation, ledger: Ledger) -> None:
    args = {"seconds": "6", "code": "0", "ledger": str(ledger.path)}
    codes = {installation.make("work", args=args)[0]["run_id"]: 0}
    services = {entry["name"]: entry["pid"] for entry in installation.status()["services"]}
    installation.kill("manager")

    installation.start()

    assert {entry["name"]: entry["pid"] for entry in installation.status()["services"]} == services
    until(lambda: installation.count("is:finished") == 1, 30, "the run to end")
    check(installation, ledger, codes)


@pytest.mark.timeout(120)
def test_stop_leaves_running_programs_and_start_finds_them(installation: Installation, ledger: Ledger) -> None:
    args = {"seconds": "5", "code": "2", "ledger": str(ledger.path)}
    codes = {installation.make("work", args=args)[0]["run_id"]: 2}
    until(lambda: installation.count("state:running") == 1, 20, "the run to start")
    pid = installation.runs("state:running")[0]["pid"]

    installation.control("stop")
    os.kill(pid, 0)  # the program lives on
    installation.start()

    until(lambda: installation.count("is:finished") == 1, 30, "the run to end")
    check(installation, ledger, codes)
