"""A disk that is full, a home that is read-only: each is called so, what runs goes on, and nothing is lost."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.commands import refused, say, stands_still, starts
from harness.disk import OnDisk, SmallDisk
from harness.installation import Installation, until
from harness.mounting import mounts

ECHO = 'params: [word]\nprogram: {type: program, argv: [/bin/echo, "{{ word }}"]}\n'
#: prints a line each 0.2 s for about six seconds and ends with status 3
SLOW = 'program: {type: shell, command: "for i in $(seq 30); do echo line $i; sleep 0.2; done; exit 3"}\n'


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    folder = Path(tempfile.mkdtemp(prefix="apsis-disk-"))
    found = SmallDisk(folder)
    found.mount()
    try:
        yield found
    finally:
        found.clear()
        found.unmount()
        folder.rmdir()


@mounts
@pytest.mark.timeout(120)
def test_a_full_disk_is_named_what_runs_goes_on_and_nothing_is_lost_when_there_is_room_again(disk: SmallDisk) -> None:
    with OnDisk(disk, {"good": ECHO, "slow": SLOW}) as own:
        run_id = own.make("slow")[0]["run_id"]
        until(lambda: own.run(run_id)["state"] == "running", 10, f"{run_id} to run")
        pids = {entry["name"]: entry["pid"] for entry in own.status()["services"]}
        disk.fill()

        # what is asked for cannot be kept, so it is refused, with the reason
        deadline = time.monotonic() + 10
        while (said := say(own.home, "apsis", "run", "good", "word=x")).code == 0 and time.monotonic() < deadline:
            disk.fill()
        refused(said, 8, "disk is full")
        listed = say(own.home, "apsis", "runs")
        assert listed.code == 0, listed
        assert run_id in listed.out
        until(lambda: own.call("GET", "/health")["status"] == "fail", 10, "health to fail")
        health = own.call("GET", "/health")
        assert any(check["status"] == "fail" and "make room" in check["message"] for check in health["checks"])
        time.sleep(7)  # the program ends meanwhile: its status and its last lines have no room

        disk.clear()
        until(lambda: own.run(run_id)["state"] == "failure", 30, f"{run_id} to be known as ended")
        assert own.run(run_id)["exit"]["code"] == 3
        until(lambda: own.output(run_id).endswith(b"line 30\n"), 15, "its last lines")
        assert own.output(run_id) == b"".join(b"line %d\n" % number for number in range(1, 31))
        assert {entry["name"]: entry["pid"] for entry in own.status()["services"]} == pids
        made = own.make("good", args={"word": "x"})[0]["run_id"]
        until(lambda: own.run(made)["state"] == "success", 10, "a new run to succeed")
        assert not any(b"Traceback" in path.read_bytes() for path in (own.home / "log").iterdir())


@mounts
@pytest.mark.timeout(60)
def test_status_and_health_say_that_the_database_cannot_be_written(disk: SmallDisk) -> None:
    with OnDisk(disk, {"good": ECHO}) as own:
        disk.fill()
        deadline = time.monotonic() + 10
        while say(own.home, "apsis", "run", "good", "word=x").code == 0 and time.monotonic() < deadline:
            disk.fill()
        until(
            lambda: any("cannot be written" in check["message"] for check in own.call("GET", "/health")["checks"]),
            10,
            "health to say that nothing can be written",
        )
        said = say(own.home, "apsisctl", "status")
        assert (said.code, "disk" in said.out + said.err) == (1, True), said


@mounts
@pytest.mark.timeout(90)
def test_start_on_a_full_disk_either_works_or_names_the_disk(disk: SmallDisk) -> None:
    with OnDisk(disk, {"good": ECHO}) as own:
        own.control("stop")
        disk.fill()
        said = say(own.home, "apsisctl", "start", "--timeout", "15")
        assert "Traceback" not in said.out + said.err
        if said.code != 0:
            assert "disk" in said.err or "No space" in said.err, said
            stands_still(own.home)
        disk.clear()
        say(own.home, "apsisctl", "stop")
        starts(own.home)


@mounts
def test_init_on_a_full_disk_says_so_and_can_be_called_again(disk: SmallDisk) -> None:
    disk.fill()
    home = disk.folder / "new"
    refused(say(home, "apsisctl", "init"), 1, "No space left on device", "run the same again")
    disk.clear()
    assert say(home, "apsisctl", "init").code == 0
    assert len((home / "token").read_text().strip()) >= 32
    (home / "jobs" / "good.yaml").write_text(ECHO)
    try:
        starts(home)
    finally:
        say(home, "apsisctl", "stop", "--kill-runs")


@mounts
@pytest.mark.timeout(60)
def test_a_read_only_home_is_called_so(disk: SmallDisk) -> None:
    with OnDisk(disk, {"good": ECHO}) as own:
        own.control("stop", "--kill-runs")
        disk.mount(read_only=True, again=True)
        try:
            refused(say(own.home, "apsisctl", "start", "--timeout", "15"), 1, "Read-only file system", "read-only")
            stands_still(own.home)
            refused(say(disk.folder / "new", "apsisctl", "init"), 1, "Read-only file system")
        finally:
            disk.mount(again=True)
        own.start()
        starts_again = own.make("good", args={"word": "x"})[0]["run_id"]
        until(lambda: own.run(starts_again)["state"] == "success", 10, "a run to succeed")


def test_an_output_that_may_grow_no_further_ends_its_run_alone() -> None:
    """Without root: a limit on the size of files (RLIMIT_FSIZE) is what a full disk is to one program."""
    jobs = {"good": ECHO, "big": 'program: {type: shell, command: "ulimit -f 64; yes | head -c 10000000; exit 3"}\n'}
    with Installation(jobs) as own:
        run_id = own.make("big")[0]["run_id"]
        until(lambda: own.run(run_id)["state"] in {"success", "failure", "error"}, 20, f"{run_id} to end")
        assert own.run(run_id)["state"] == "failure"
        made = own.make("good", args={"word": "x"})[0]["run_id"]
        until(lambda: own.run(made)["state"] == "success", 10, "another run to succeed")
