"""The database under faults, as a person meets them: locks, full disks, backups, restores."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.commands import refused, say
from harness.disk import OnDisk, SmallDisk, WithDisk
from harness.installation import Installation, until
from harness.integrity import NotWhole, database_is_whole
from harness.mounting import mounts
from harness.work import WORK, Ledger, printed

ECHO = 'params: [word]\nprogram: {type: program, argv: [/bin/echo, "{{ word }}"]}\n'
#: nine megabytes in three bursts
CHATTY = 'program: {type: shell, command: "for i in $(seq 3); do yes | head -c 3000000; sleep 1; done; exit 3"}\n'
HOLD = """
import sqlite3, sys
sql = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
sql.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def installation() -> Iterator[Installation]:
    with Installation({"work": WORK, "good": ECHO}) as found:
        yield found
        database_is_whole(found.home)


def hold(home: Path) -> "subprocess.Popen[bytes]":
    """Be somebody who has said BEGIN EXCLUSIVE in a shell of SQLite, and has gone to lunch."""
    command = [sys.executable, "-c", HOLD, str(home / "db" / "apsis.db")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def health(installation: Installation, *parts: str) -> bool:
    checks = installation.call("GET", "/health")["checks"]
    return any(check["status"] == "fail" and all(part in check["message"] for part in parts) for check in checks)


def work(installation: Installation, ledger: Ledger, seconds: float) -> str:
    args = {"seconds": str(seconds), "code": "0", "ledger": str(ledger.path)}
    return str(installation.make("work", args=args)[0]["run_id"])


def succeeds(installation: Installation, run_id: str, seconds: float = 20) -> None:
    until(lambda: installation.run(run_id)["state"] == "success", seconds, f"{run_id} to succeed")


@pytest.mark.timeout(120)
def test_a_lock_by_a_person_pauses_starting_is_named_and_ends_by_itself(
    installation: Installation, ledger: Ledger
) -> None:
    run_id = work(installation, ledger, 2)
    until(lambda: installation.run(run_id)["state"] == "running", 10, "it to run")
    holder = hold(installation.home)
    try:
        # the program ends meanwhile, which nobody can write down
        until(lambda: health(installation, "locked", f"process {holder.pid}", "end that transaction"), 20, "health")
        said = say(installation.home, "apsisctl", "status")
        assert (said.code, f"process {holder.pid}" in said.out) == (1, True), said
        refused(say(installation.home, "apsis", "run", "good", "word=x"), 8, "locked")
    finally:
        holder.communicate()
    succeeds(installation, run_id)
    assert installation.output(run_id) == printed(run_id)
    until(lambda: not health(installation, "locked"), 10, "health to be well again")
    succeeds(installation, installation.make("good", args={"word": "x"})[0]["run_id"])
    assert ledger.starts() == {run_id: 1}


@pytest.mark.nightly
@pytest.mark.timeout(120)
def test_a_scheduler_that_is_killed_while_the_database_is_locked_comes_back_by_itself(
    installation: Installation, ledger: Ledger
) -> None:
    run_id = work(installation, ledger, 1)
    holder = hold(installation.home)
    try:
        pid = installation.kill("scheduler")
        until(lambda: health(installation, "cannot start", f"process {holder.pid}"), 20, "health to say why")
    finally:
        holder.communicate()
    until(lambda: installation.processes().get("scheduler") not in (None, pid), 20, "another scheduler")
    succeeds(installation, run_id, 30)
    assert ledger.starts() == {run_id: 1}


@pytest.mark.timeout(180)
def test_yesterdays_backup_beside_todays_runs_runs_nothing_twice(installation: Installation, ledger: Ledger) -> None:
    """By the commands alone, as an operator does it: the backup while runs flow, the restore while one lives."""
    home = installation.home
    early = [work(installation, ledger, 0.5) for _ in range(3)]
    made = say(home, "apsisctl", "db", "backup", "-o", "json")
    assert made.code == 0, made
    backup = json.loads(made.out)["file"]
    for run_id in early:
        succeeds(installation, run_id)
    today = work(installation, ledger, 0.2)
    succeeds(installation, today)
    alive = work(installation, ledger, 6)
    until(lambda: installation.run(alive)["state"] == "running", 10, "it to run")

    refused(say(home, "apsisctl", "db", "restore", "--yes", backup), 6, "nothing was changed", "stop")
    installation.control("stop")
    refused(say(home, "apsisctl", "db", "restore", backup), 2, "nothing was changed", "--yes")
    put = say(home, "apsisctl", "db", "restore", "--yes", backup)
    assert put.code == 0, put
    assert "before-restore" in put.out
    listed = say(home, "apsisctl", "db", "backups")
    assert (listed.code, len(listed.out.splitlines())) == (0, 2), listed
    installation.start()

    for run_id in (*early, today, alive):
        succeeds(installation, run_id, 40)
        assert installation.output(run_id) == printed(run_id)
    later = work(installation, ledger, 0.2)
    succeeds(installation, later)
    assert ledger.starts() == dict.fromkeys((*early, today, alive, later), 1)
    checked = say(home, "apsisctl", "db", "check")
    assert (checked.code, "is whole" in checked.out) == (0, True), checked


@pytest.mark.timeout(60)
def test_what_is_not_whole_is_found_from_outside_and_by_the_command(installation: Installation) -> None:
    succeeds(installation, installation.make("good", args={"word": "x"})[0]["run_id"])
    installation.control("stop")
    path = installation.home / "db" / "apsis.db"
    with sqlite3.connect(path) as sql:
        row = sql.execute("SELECT * FROM event WHERE id = 2").fetchone()
        sql.execute("DELETE FROM event WHERE id = 2")
    sql.close()
    with pytest.raises(NotWhole, match="1 events are missing"):
        database_is_whole(installation.home)
    checked = say(installation.home, "apsisctl", "db", "check")
    assert (checked.code, "the first is 2" in checked.out) == (1, True), checked
    with sqlite3.connect(path) as sql:
        sql.execute(f"INSERT INTO event VALUES ({', '.join('?' * len(row))})", row)
    sql.close()
    left = path.with_name("apsis.db.restoring.part")
    left.touch()
    with pytest.raises(NotWhole, match="left over"):
        database_is_whole(installation.home)
    left.unlink()


# Disks: the limit for starting, and each folder's own disk that is full to the last byte


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    found = SmallDisk(folder, "64m")
    found.mount()
    yield found
    found.unmount()


@mounts
@pytest.mark.nightly
@pytest.mark.timeout(120)
def test_below_the_limit_nothing_new_is_started_and_above_it_all_goes_on(disk: SmallDisk, ledger: Ledger) -> None:
    with OnDisk(disk, {"work": WORK, "good": ECHO}) as own:
        alive = work(own, ledger, 5)
        until(lambda: own.run(alive)["state"] == "running", 10, "it to run")
        disk.fill(leave=5 << 20)  # of 64 MiB 10 % are 6.4
        until(lambda: health(own, "nothing is started", "make room in"), 15, "health to say so")
        made = own.make("good", args={"word": "x"})[0]["run_id"]
        until(lambda: own.run(made)["state"] == "waiting", 10, "it to wait")
        assert "waiting for room on a disk" in own.run(made)["reason"]
        said = say(own.home, "apsisctl", "status")
        assert (said.code, "nothing new is started" in said.out) == (1, True), said
        succeeds(own, alive)
        assert own.run(made)["state"] == "waiting"
        disk.clear()
        succeeds(own, made)
        until(lambda: not health(own, "is started"), 15, "health to be well again")
        database_is_whole(own.home)


@mounts
@pytest.mark.timeout(120)
def test_a_spool_without_room_has_its_host_wait_and_the_database_goes_on(ledger: Ledger) -> None:
    with WithDisk("spool", {"work": WORK, "good": ECHO}, "32m") as own:
        alive = work(own, ledger, 6)
        until(lambda: own.run(alive)["state"] == "running", 10, "it to run")
        own.disk.fill(leave=1 << 20)  # of 32 MiB 10 % are 3.2; programs that run still find room for what they print
        until(lambda: health(own, "nothing is started on host local", "make room in"), 15, "health to say so")
        made = own.make("good", args={"word": "x"})[0]["run_id"]
        until(lambda: own.run(made)["state"] == "waiting", 10, "it to wait")
        assert "the spool of host local" in own.run(made)["reason"]
        # a scheduler that knows nothing is told before it can start anything
        own.kill("scheduler")
        until(lambda: health(own, "nothing is started on host local"), 30, "health to say so again")
        assert own.run(made)["state"] == "waiting"
        own.disk.clear()
        succeeds(own, made, 30)
        succeeds(own, alive, 40)
        assert own.output(made) == b"x\n"
        assert ledger.starts() == {alive: 1}
        database_is_whole(own.home)


@mounts
@pytest.mark.nightly
@pytest.mark.timeout(120)
def test_a_full_repository_of_outputs_loses_no_byte_and_holds_up_nothing() -> None:
    with WithDisk("output", {"chatty": CHATTY, "good": ECHO}) as own:
        own.disk.fill()
        run_id = own.make("chatty")[0]["run_id"]
        until(lambda: own.run(run_id)["state"] == "failure", 30, "it to end as ever")
        assert health(own, "stays with their hosts", "make room in")
        made = own.make("good", args={"word": "x"})[0]["run_id"]
        succeeds(own, made)
        own.disk.clear()
        until(lambda: own.output(run_id) == b"y\n" * 4_500_000, 40, "all that it printed", every=0.5)
        until(lambda: own.output(made) == b"x\n", 20, "the other's output")
        database_is_whole(own.home)


@mounts
@pytest.mark.nightly
@pytest.mark.timeout(120)
def test_a_full_disk_of_the_database_pauses_starting_and_loses_nothing(ledger: Ledger) -> None:
    with WithDisk("db", {"work": WORK, "good": ECHO}) as own:
        alive = work(own, ledger, 3)
        until(lambda: own.run(alive)["state"] == "running", 10, "it to run")
        own.disk.fill()
        until(lambda: health(own, "make room in"), 15, "health to say so")
        refusal = say(own.home, "apsisctl", "db", "backup")
        assert (refusal.code, "no room" in refusal.err) == (1, True), refusal
        own.kill("scheduler")
        own.disk.clear()
        succeeds(own, alive, 40)
        succeeds(own, own.make("good", args={"word": "x"})[0]["run_id"], 30)
        assert own.output(alive) == printed(alive)
        assert ledger.starts() == {alive: 1}
        database_is_whole(own.home)
