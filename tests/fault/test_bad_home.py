"""A home that cannot be used as it is: each reason is a sentence, nothing is lost, and mending it is enough."""

import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness.commands import BIN, refused, say, stands_still, starts

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")


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
    with contextlib.closing(sqlite3.connect(home / "db" / "apsis.db")) as database:
        (ours,) = database.execute("PRAGMA user_version").fetchone()
    change(home, "PRAGMA user_version = 99")
    before = (home / "db" / "apsis.db").read_bytes()
    said = say(home, "apsisctl", "start", "--timeout", "20")
    refused(said, 1, "has schema 99", "knows schemas up to", "install the version that wrote it")
    stands_still(home)
    assert (home / "db" / "apsis.db").read_bytes() == before
    change(home, f"PRAGMA user_version = {ours}")
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


# Another user


@pytest.mark.skipif(os.geteuid() != 0, reason="not root: every test here runs as an ordinary user already")
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
        assert as_user("apsisctl", "stop").returncode == 0
        # started by root it would belong to two users
        refused(say(home, "apsisctl", "start"), 1, "belongs to another user", "run this as that user")
    finally:
        ended = as_user("apsisctl", "stop", "--kill-runs")
        shutil.rmtree(folder)
    assert ended.returncode == 0, ended
