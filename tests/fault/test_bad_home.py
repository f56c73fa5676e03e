"""A home that cannot be used as it is: each reason is a sentence, nothing is lost, and mending it is enough."""

import contextlib
import ctypes
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.commands import refused, say
from harness.installation import Installation, until

ECHO = 'params: [word]\nprogram: {type: program, argv: [/bin/echo, "{{ word }}"]}\n'
#: prints a line each 0.2 s for about six seconds and ends with status 3
SLOW = 'program: {type: shell, command: "for i in $(seq 30); do echo line $i; sleep 0.2; done; exit 3"}\n'

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user or mount one")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home in which nothing runs; whatever a test starts in it is stopped."""
    root = tmp_path / "home"
    assert say(root, "apsisctl", "init").code == 0
    (root / "jobs" / "good.yaml").write_text(ECHO)
    yield root
    say(root, "apsisctl", "stop", "--kill-runs")


def starts(home: Path) -> None:
    """Assert that the home can be started, and that a job runs in it; leave it stopped."""
    started = say(home, "apsisctl", "start", "--port", "0")
    assert started.code == 0, started
    ran = say(home, "apsis", "run", "good", "word=x", "--wait")
    assert ran.code == 0, ran
    stopped = say(home, "apsisctl", "stop", "--kill-runs")
    assert stopped.code == 0, stopped


def stands_still(home: Path) -> None:
    """Assert that nothing runs in a home."""
    assert say(home, "apsisctl", "status").code == 3
    with contextlib.suppress(FileNotFoundError):
        assert not (home / "run" / "manager.sock").exists()


# A folder that is no home


def test_init_leaves_a_folder_of_someone_else_as_it_is(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    refused(
        say(foreign, "apsisctl", "init"), 6, "is not empty and is not an Apsis home", "thesis.txt", "apsisctl init DIR"
    )
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]
    refused(say(tmp_path, "apsisctl", "init", str(foreign / "thesis.txt")), 6, "is a file", "apsisctl init DIR")
    assert (foreign / "thesis.txt").read_text() == "mine"


def test_init_twice_changes_nothing_and_says_so(home: Path) -> None:
    token = (home / "token").read_text()
    again = say(home, "apsisctl", "init")
    assert again.code == 0
    assert "is a home already" in again.out
    assert (home / "token").read_text() == token


@pytest.mark.parametrize(
    "words", [("start",), ("restart",), ("stop",), ("status",), ("logs",), ("reload",), ("token",)]
)
def test_every_command_says_that_a_folder_is_no_home_and_how_to_make_one(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    said = say(tmp_path, "apsisctl", *words)
    assert said.code != 0, said
    assert "Traceback" not in said.err
    assert "apsisctl init" in said.err + said.out, said
    assert list(tmp_path.iterdir()) == []


def test_apsis_says_that_there_is_no_server_and_how_to_name_one(tmp_path: Path) -> None:
    refused(say(tmp_path, "apsis", "runs"), 8, "--server", "apsisctl init")


@needs_root
def test_a_home_of_another_user_is_not_started_and_not_changed(home: Path) -> None:
    os.chown(home, 65534, 65534)
    before = sorted(str(path) for path in home.rglob("*"))
    refused(say(home, "apsisctl", "start"), 1, "belongs to another user (uid 65534)", "run this as that user")
    assert sorted(str(path) for path in home.rglob("*")) == before
    os.chown(home, 0, 0)
    starts(home)


# apsis.yaml

BAD_CONFIGS = {
    "unknown key": ("wbe: {port: 1}\n", ("unknown key wbe", "did you mean web")),
    "unknown key below": ("web: {prot: 1}\n", ("unknown key web.prot", "did you mean port")),
    "no YAML": ("web: [\n", ("is not YAML", "line 2, column 1")),
    "no mapping": ("- a\n", ("must be a mapping",)),
    "no number": ("web: {port: x}\n", ("web.port", "'x'")),
    "no port": ("web: {port: 99999}\n", ("web.port", "65535")),
    "no level": ("log: {level: loud}\n", ("log.level", "warning")),
    "no horizon": ("schedule: {horizon: .nan}\n", ("schedule.horizon",)),
    "no size": ("output: {max_bytes: -1}\n", ("output.max_bytes",)),
    "no bytes": ("\udcff\udcfe\n", ("is not YAML",)),
}


@pytest.mark.parametrize(("text", "parts"), BAD_CONFIGS.values(), ids=list(BAD_CONFIGS))
def test_a_bad_apsis_yaml_is_refused_before_anything_is_started(home: Path, text: str, parts: tuple[str, ...]) -> None:
    (home / "apsis.yaml").write_bytes(text.encode(errors="surrogateescape"))
    refused(say(home, "apsisctl", "start", "--timeout", "20"), 1, "apsis.yaml", *parts)
    stands_still(home)


def test_restart_with_a_bad_apsis_yaml_stops_nothing(home: Path) -> None:
    assert say(home, "apsisctl", "start", "--port", "0").code == 0
    good = (home / "apsis.yaml").read_text()
    (home / "apsis.yaml").write_text("wbe: 1\n")
    refused(say(home, "apsisctl", "restart", "--timeout", "20"), 1, "apsis.yaml", "unknown key wbe", "did you mean web")
    (home / "apsis.yaml").write_text(good)
    assert say(home, "apsisctl", "status").code == 0
    assert say(home, "apsis", "run", "good", "word=x", "--wait").code == 0


def test_a_job_directory_that_is_not_there_is_told_at_the_start(home: Path) -> None:
    good = (home / "apsis.yaml").read_text()
    (home / "apsis.yaml").write_text(f"{good}\njob_dir: nojobs\n")
    started = say(home, "apsisctl", "start", "--port", "0", "--timeout", "20")
    listed = say(home, "apsis", "jobs")
    told = started.err + started.out + listed.err + say(home, "apsisctl", "status").out
    assert "nojobs" in told, (started, listed)
    (home / "apsis.yaml").write_text(good)
    say(home, "apsisctl", "stop")
    starts(home)


# The port


@pytest.mark.timeout(60)
def test_a_port_in_use_is_named_and_nothing_is_left_running(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = say(home, "apsisctl", "start", "--port", str(port), "--timeout", "20")
        refused(said, 1, f"port {port} is in use by another program", "--port 0")
        stands_still(home)
    starts(home)


def test_an_address_that_is_not_ours_is_named(home: Path) -> None:
    (home / "apsis.yaml").write_text("web:\n  bind: 192.0.2.1\n  port: 0\n")
    refused(say(home, "apsisctl", "start", "--timeout", "20"), 1, "cannot listen on 192.0.2.1", "web.bind")
    stands_still(home)


# The token


def test_a_token_file_that_is_gone_can_be_made_anew(home: Path) -> None:
    assert say(home, "apsisctl", "start", "--port", "0").code == 0
    (home / "token").unlink()
    refused(say(home, "apsis", "runs"), 7, "no token", str(home / "token"))
    refused(say(home, "apsisctl", "token"), 5, "no token", "apsisctl init")
    assert say(home, "apsisctl", "init").code == 0  # as the message says
    assert (home / "token").stat().st_mode & 0o777 == 0o600
    assert len(say(home, "apsisctl", "token").out.strip()) >= 32
    assert say(home, "apsis", "runs").code == 0


def test_an_empty_token_opens_nothing_and_is_called_so(home: Path) -> None:
    assert say(home, "apsisctl", "start", "--port", "0").code == 0
    (home / "token").write_text("\n")
    refused(say(home, "apsis", "runs"), 7, "token")
    said = say(home, "apsisctl", "token")
    assert (said.code, said.out) == (5, ""), said


# The database


def change(home: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(home / "db" / "apsis.db")) as database:
        database.execute(statement)
        database.commit()


def whole(home: Path) -> bytes:
    """Start, run a job and stop, so that there is a database; return its bytes."""
    starts(home)
    return (home / "db" / "apsis.db").read_bytes()


@pytest.mark.timeout(90)
def test_a_database_of_a_newer_version_is_refused_and_kept_as_it_is(home: Path) -> None:
    whole(home)
    change(home, "PRAGMA user_version = 99")
    before = (home / "db" / "apsis.db").read_bytes()
    said = say(home, "apsisctl", "start", "--timeout", "20")
    refused(said, 1, "has schema 99", "knows schemas up to", "install the version that wrote it")
    stands_still(home)
    assert (home / "db" / "apsis.db").read_bytes() == before
    change(home, "PRAGMA user_version = 1")
    starts(home)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("damage", ["head", "middle", "cut", "other", "folder"])
def test_a_damaged_database_is_called_so_in_one_line(home: Path, damage: str) -> None:
    good = whole(home)
    path = home / "db" / "apsis.db"
    path.unlink()
    match damage:
        case "head":
            path.write_bytes(b"garbage " * 2 + good[16:])
        case "middle":
            path.write_bytes(good[:4096] + os.urandom(len(good) - 4096))
        case "cut":
            path.write_bytes(good[:5000])
        case "other":
            change(home, "CREATE TABLE photo (name TEXT)")
        case "folder":
            path.mkdir()
    said = say(home, "apsisctl", "start", "--timeout", "20")
    refused(
        said, 1, "scheduler cannot start", str(path), "as the database" if damage != "other" else "is not a database of"
    )
    stands_still(home)
    if path.is_dir():
        path.rmdir()
    for left in (home / "db").iterdir():
        left.unlink()
    path.write_bytes(good)
    starts(home)


# A disk that is full, a home that is read-only

_MS_RDONLY, _MS_REMOUNT, _MNT_DETACH = 1, 32, 2


class Disk:
    """A file system of some MiB of its own, mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._libc = ctypes.CDLL(None, use_errno=True)

    def mount(self, *, read_only: bool = False, again: bool = False) -> None:
        flags = (_MS_RDONLY if read_only else 0) | (_MS_REMOUNT if again else 0)
        target = os.fsencode(self.folder)
        if self._libc.mount(b"tmpfs", target, b"tmpfs", flags, b"size=16m,mode=0755") != 0:
            raise OSError(ctypes.get_errno(), "mount", str(self.folder))

    def unmount(self) -> None:
        if self._libc.umount2(os.fsencode(self.folder), _MNT_DETACH) != 0:
            raise OSError(ctypes.get_errno(), "umount", str(self.folder))

    def fill(self) -> None:
        """Leave not one byte."""
        with (self.folder / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 65536):
                pass
        with (self.folder / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 16):
                pass

    def clear(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)


@pytest.fixture
def disk() -> Iterator[Disk]:
    folder = Path(tempfile.mkdtemp(prefix="apsis-disk-"))
    found = Disk(folder)
    found.mount()
    try:
        yield found
    finally:
        found.clear()
        found.unmount()
        folder.rmdir()


class OnDisk(Installation):
    """An installation whose home is on that disk."""

    def __init__(self, disk: Disk, jobs: dict[str, str]) -> None:
        super().__init__(jobs)
        self.home.rmdir()
        self.home = disk.folder / "home"
        self.disk = disk

    def __exit__(self, *rest: object) -> None:
        """There must be room to stop it."""
        self.disk.clear()
        super().__exit__(*rest)


@needs_root
@pytest.mark.timeout(120)
def test_a_full_disk_is_named_what_runs_goes_on_and_nothing_is_lost_when_there_is_room_again(disk: Disk) -> None:
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
        health = own.call("GET", "/health")
        assert health["status"] == "fail"
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


@needs_root
@pytest.mark.timeout(60)
def test_status_and_health_say_that_the_database_cannot_be_written(disk: Disk) -> None:
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


@needs_root
@pytest.mark.timeout(90)
def test_start_on_a_full_disk_either_works_or_names_the_disk(disk: Disk) -> None:
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


@needs_root
def test_init_on_a_full_disk_says_so_and_can_be_called_again(disk: Disk) -> None:
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


@needs_root
@pytest.mark.timeout(60)
def test_a_read_only_home_is_called_so(disk: Disk) -> None:
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


def test_an_output_that_may_grow_no_further_ends_its_run_alone(tmp_path: Path) -> None:
    """Without root: a limit on the size of files (RLIMIT_FSIZE) is what a full disk is to one program."""
    jobs = {"good": ECHO, "big": 'program: {type: shell, command: "ulimit -f 64; yes | head -c 10000000; exit 3"}\n'}
    with Installation(jobs) as own:
        run_id = own.make("big")[0]["run_id"]
        until(lambda: own.run(run_id)["state"] in {"success", "failure", "error"}, 20, f"{run_id} to end")
        assert own.run(run_id)["state"] == "failure"
        made = own.make("good", args={"word": "x"})[0]["run_id"]
        until(lambda: own.run(made)["state"] == "success", 10, "another run to succeed")


# Another user


@needs_root
@pytest.mark.timeout(90)
def test_an_ordinary_user_starts_a_whole_installation_and_its_runs_are_that_users(tmp_path: Path) -> None:
    """Reading everything is allowed (`dac_read_search`): the interpreter may lie in a folder that is root's."""
    folder = Path(tempfile.mkdtemp(prefix="apsis-user-"))
    os.chown(folder, 65534, 65534)
    home = folder / "home"
    become = (
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
        "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search", "--no-new-privs",
    )  # fmt: skip
    from harness.commands import BIN

    def as_user(name: str, *words: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [
                *become,
                "env",
                "-i",
                f"PATH={BIN}:/usr/bin:/bin",
                f"HOME={folder}",
                f"APSIS_HOME={home}",
                BIN / name,
                *words,
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )

    try:
        assert as_user("apsisctl", "init").returncode == 0
        started = as_user("apsisctl", "start", "--port", "0")
        assert started.returncode == 0, started
        ran = as_user("apsis", "exec", "--follow", "--", "id", "-u")
        assert (ran.returncode, ran.stdout) == (0, b"65534\n"), ran
        root = as_user("apsis", "exec", "--follow", "--user", "root", "--", "id")
        assert root.returncode == 3, root
        assert b"cannot become user 'root'" in root.stderr
        # root is not its owner, and is told so
        refused(say(home, "apsisctl", "restart"), 1, "belongs to another user")
    finally:
        ended = as_user("apsisctl", "stop", "--kill-runs")
        shutil.rmtree(folder)
    assert ended.returncode == 0, ended
