"""A database put back from a backup beside a spool that has gone on: nothing runs twice, and all is told truly."""

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.installation import Installation, until

GOOD = 'params: [word]\nprogram: {type: program, argv: [/bin/echo, "{{ word }}"]}\n'
#: a program that writes down that it was started, and goes on for a while
LONG = """
params: [ledger, seconds]
program:
  type: program
  argv:
    - /bin/sh
    - -c
    - echo "$APSIS_RUN_ID" >> "$1"; echo begun; sleep "$2"; echo over; exit 3
    - sh
    - "{{ ledger }}"
    - "{{ seconds }}"
  success_exit_codes: [3]
"""
#: due each second; each due time is written down by its program
DUE = """
program: {{type: program, argv: [/bin/sh, -c, 'echo "$APSIS_SCHEDULE_TIME" >> {ledger}']}}
schedule: {{type: interval, interval: 1}}
"""


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with Installation({"good": GOOD, "long": LONG}) as found:
        yield found


def back_up(installation: Installation, to: Path) -> None:
    shutil.copy(installation.home / "db" / "apsis.db", to)


def put_back(installation: Installation, backup: Path) -> None:
    for path in (installation.home / "db").iterdir():
        path.unlink()
    shutil.copy(backup, installation.home / "db" / "apsis.db")


def without_scheduler(installation: Installation, do: Callable[[], None]) -> None:
    """Do something while the scheduler is down and the manager is kept from starting it again."""
    manager = installation.service("manager")
    os.kill(manager, signal.SIGSTOP)
    try:
        pid = installation.kill("scheduler")
        until(lambda: is_gone(pid), 5, "its end")
        settle_log(installation)
        do()
    finally:
        os.kill(manager, signal.SIGCONT)
    until(lambda: installation.status()["state"] == "ok", 20, "the scheduler to be back")


def is_gone(pid: int) -> bool:
    """Say whether a process has ended, though nobody may have waited for it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def settle_log(installation: Installation) -> None:
    """Have all that was committed stand in the one file."""
    with closing(sqlite3.connect(installation.home / "db" / "apsis.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def good(installation: Installation, word: str) -> str:
    """Run the job `good` to its end and return the run's id."""
    known = {run["run_id"] for run in installation.runs("job:good")}
    installation.command("apsis", "run", "good", f"word={word}", "--wait")
    (run_id,) = {run["run_id"] for run in installation.runs("job:good")} - known
    return str(run_id)


def finished(installation: Installation, run_id: str) -> bool:
    return installation.run(run_id)["state"] in {"success", "failure", "error", "skipped"}


@pytest.mark.parametrize("lives", [pytest.param(1, marks=pytest.mark.nightly), 2])
def test_runs_made_after_the_backup_are_there_again_and_new_ones_run(
    installation: Installation, tmp_path: Path, lives: int
) -> None:
    runs = {"first": good(installation, "first")}
    installation.control("stop")
    back_up(installation, tmp_path / "apsis.db")
    for number in range(lives):
        installation.start()
        runs[f"later-{number}"] = good(installation, f"later-{number}")
        installation.control("stop")
    put_back(installation, tmp_path / "apsis.db")
    installation.start()
    runs["fourth"] = good(installation, "fourth")
    until(lambda: len(installation.runs("job:good")) == len(runs), 10, "the runs that the backup lacks")
    assert len(set(runs.values())) == len(runs), "no number is given twice"
    for word, run_id in runs.items():
        run = installation.run(run_id)
        assert (run["state"], run["args"]["word"], run["exit"]["code"]) == ("success", word, 0)
        assert installation.output(run_id) == f"{word}\n".encode()
        assert installation.command("apsis", "output", run_id) == f"{word}\n"


def test_a_program_that_was_started_after_the_backup_runs_on_and_ends_truly(
    installation: Installation, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    installation.control("stop")
    back_up(installation, tmp_path / "apsis.db")
    installation.start()
    (made,) = installation.make("long", args={"ledger": str(ledger), "seconds": "8"})
    until(lambda: installation.run(made["run_id"])["state"] == "running", 10, "the program to run")
    pid = installation.run(made["run_id"])["pid"]
    installation.control("stop")
    put_back(installation, tmp_path / "apsis.db")
    installation.start()
    until(lambda: installation.count("job:long") == 1, 10, "the run that the backup lacks")
    found = installation.run(made["run_id"])
    assert (found["state"], found["pid"], found["args"]) == ("running", pid, made["args"])
    until(lambda: finished(installation, made["run_id"]), 20, "its end")
    ended = installation.run(made["run_id"])
    assert (ended["state"], ended["exit"]["code"]) == ("success", 3)
    assert installation.output(made["run_id"]) == b"begun\nover\n"
    time.sleep(0.5)
    assert ledger.read_text() == f"{made['run_id']}\n", "one start"


def test_a_database_put_back_under_a_living_installation_is_taken_for_what_it_is(
    installation: Installation, tmp_path: Path
) -> None:
    """Nothing but the scheduler begins anew: its term is one that the host has heard, of another life."""
    runs = {"first": good(installation, "first")}
    without_scheduler(installation, lambda: back_up(installation, tmp_path / "apsis.db"))
    runs["second"] = good(installation, "second")
    instance = installation.call("GET", "/version")["instance"]
    without_scheduler(installation, lambda: put_back(installation, tmp_path / "apsis.db"))
    until(lambda: installation.call("GET", "/version")["instance"] not in {instance, None}, 15, "another instance")
    runs["third"] = good(installation, "third")
    until(lambda: len(installation.runs("job:good")) == len(runs), 10, "the run that the backup lacks")
    for word, run_id in runs.items():
        assert installation.run(run_id)["args"]["word"] == word
        assert installation.output(run_id) == f"{word}\n".encode()


def test_due_times_between_backup_and_restore_run_once(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with Installation({"due": DUE.format(ledger=ledger)}) as installation:
        until(lambda: installation.count("job:due state:success") >= 2, 15, "two due times")
        installation.control("stop")
        back_up(installation, tmp_path / "apsis.db")
        installation.start()
        before = len(ledger.read_text().splitlines())
        until(lambda: len(ledger.read_text().splitlines()) >= before + 3, 15, "three more due times")
        installation.control("stop")
        until(lambda: not list((installation.home / "spool").glob("journals/*.tmp")), 5, "starts under way")
        put_back(installation, tmp_path / "apsis.db")
        installation.start()
        after = len(ledger.read_text().splitlines())
        until(lambda: len(ledger.read_text().splitlines()) >= after + 3, 15, "due times after the restore")
        installation.control("stop")
        times = ledger.read_text().splitlines()
        assert sorted(set(times)) == sorted(times), "one due time, one start"
        installation.start()
        # every due time that ran is one run, and says so
        until(lambda: installation.count("job:due state:success") >= len(times), 20, "all of them to be known")
