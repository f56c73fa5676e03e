"""Backups and restores: whole or not at all, never over another file, and never two writers."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from old_database import dump, write_old
from scheduler_stage import Stage

from apsis.errors import Conflict, NotFound
from apsis.failpoints import VARIABLE
from apsis_services.scheduler import backup as backups
from apsis_services.scheduler.backup import NoRoom, back_up
from apsis_services.scheduler.database import open_database
from apsis_services.scheduler.examination import examine
from apsis_services.scheduler.lock import DatabaseInUse, DatabaseLock
from apsis_services.scheduler.refusals import DatabaseRefused, NewerDatabase
from apsis_services.scheduler.restore import finish_restore, restore
from apsis_services.scheduler.tables import Tables

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of the present schema with 25 events."""
    path = tmp_path / "db" / "apsis.db"
    write_old(path)
    open_database(path).close()
    return path


@pytest.fixture
def copy(database: Path, tmp_path: Path) -> Path:
    """A backup, since which the database has gone on."""
    target = tmp_path / "copy.db"
    back_up(database, target)
    add_event(database)
    return target


def add_event(path: Path) -> None:
    sql = sqlite3.connect(path)
    sql.execute("INSERT INTO event SELECT max(id) + 1, max(at), 'v1/ev/sys/x/', NULL, '{}' FROM event")
    sql.commit()
    sql.close()


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.name.endswith((".part", ".preparing", ".restoring")))


def test_a_backup_is_one_moment_of_a_database_that_is_written_meanwhile(database: Path, tmp_path: Path) -> None:
    """Transactions add an event and raise `last_run` with it: a copy that mixes two moments would tell them apart."""
    over = threading.Event()
    target = tmp_path / "copy.db"
    sql = sqlite3.connect(database, isolation_level=None)
    filler = [(number, b"x" * 50_000) for number in range(1000, 1200)]
    sql.executemany("INSERT INTO request VALUES (?, '', 0, ?)", filler)
    sql.execute("UPDATE meta SET value = '25' WHERE key = 'last_run'")

    def write() -> None:
        own = sqlite3.connect(database, isolation_level=None, timeout=10)
        while not over.is_set():
            own.execute("BEGIN IMMEDIATE")
            own.execute("INSERT INTO event SELECT max(id) + 1, max(at), '', NULL, '{}' FROM event")
            own.execute("UPDATE meta SET value = (SELECT max(id) FROM event) WHERE key = 'last_run'")
            own.execute("COMMIT")
        own.close()

    writer = threading.Thread(target=write)
    writer.start()
    told: list[tuple[int, int]] = []
    try:
        back_up(database, target, lambda done, pages: told.append((done, pages)))
    finally:
        over.set()
        writer.join()
    sql.close()
    found = examine(target)
    assert found.wrong == []
    kept = sqlite3.connect(target)
    assert kept.execute("SELECT max(id) = (SELECT value FROM meta WHERE key = 'last_run') FROM event").fetchone() == (
        1,
    )
    kept.close()
    assert told[-1][0] == told[-1][1] > 0
    assert [done for done, _ in told] == sorted(done for done, _ in told), "each commit would have it begin anew"
    assert not Path(f"{target}-wal").exists()


def test_a_backup_never_overwrites_and_leaves_nothing_half_done(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "mine"
    target.write_text("precious")
    with pytest.raises(Conflict, match="never overwritten"):
        back_up(database, target)
    assert target.read_text() == "precious"
    with pytest.raises(NotFound):
        back_up(tmp_path / "nothing.db", tmp_path / "copy.db")
    monkeypatch.setattr(backups, "_MARGIN", 1 << 60)
    with pytest.raises(NoRoom, match="has no room"):
        back_up(database, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert leftovers(tmp_path) == []


def test_a_name_that_is_taken_while_the_copy_is_made_is_not_overwritten(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    with pytest.raises(Conflict):
        back_up(database, target, lambda _done, _pages: (target.write_text("came between"), None)[1])
    assert target.read_text() == "came between"
    assert leftovers(tmp_path) == []


def spoil(path: Path) -> None:
    """Write over the middle of every page but the first, as a bad disk does."""
    sql = sqlite3.connect(path)
    sql.execute("PRAGMA journal_mode = delete")
    sql.close()
    content = bytearray(path.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 64] = os.urandom(64)
    path.write_bytes(content)


def test_of_a_damaged_database_no_backup_is_made(database: Path, tmp_path: Path) -> None:
    spoil(database)
    with pytest.raises(DatabaseRefused):
        back_up(database, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert leftovers(tmp_path) == []


def test_a_hole_in_the_events_is_found_and_named(database: Path) -> None:
    sql = sqlite3.connect(database)
    sql.execute("DELETE FROM event WHERE id IN (7, 8)")
    sql.execute("UPDATE meta SET value = '3' WHERE key = 'last_run'")
    sql.commit()
    sql.close()
    wrong = examine(database).wrong
    assert "2 between 1 and 25, the first is 7" in wrong[0]
    assert "r9 is above the counter" in wrong[1]


def test_pruned_events_are_no_hole(database: Path) -> None:
    sql = sqlite3.connect(database)
    sql.execute("DELETE FROM event WHERE id < 20")
    sql.commit()
    sql.close()
    found = examine(database)
    assert (found.wrong, found.floor, found.head) == ([], 19, 25)


def test_a_restore_puts_the_backup_in_place_says_when_and_keeps_the_old_one(database: Path, copy: Path) -> None:
    old = dump(database)
    aside = restore(copy, database, NOW)
    assert aside is not None
    assert aside.name == "apsis.db.before-restore-2026-06-30T120000-000000Z"
    assert dump(aside) == old
    found = examine(database)
    assert (found.wrong, found.head, found.restored) == ([], 25, "2026-06-30T12:00:00.000000Z")
    assert leftovers(database.parent) == []
    assert examine(copy).restored == "", "the backup itself is left as it is"


def test_a_restore_where_no_database_is(tmp_path: Path, copy: Path) -> None:
    path = tmp_path / "new" / "apsis.db"
    assert restore(copy, path, NOW) is None
    assert examine(path).head == 25


def test_a_restore_over_a_database_that_is_beyond_reading(database: Path, copy: Path) -> None:
    database.write_bytes(b"nothing of a database is left" * 1000)
    aside = restore(copy, database, NOW)
    assert aside is not None
    assert aside.read_bytes().startswith(b"nothing of a database")
    assert examine(database).head == 25


def test_the_log_of_the_old_database_is_never_taken_for_that_of_the_new(database: Path, copy: Path) -> None:
    """A log that stays behind would be played into the backup, page by page."""
    reader = sqlite3.connect(database)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM event").fetchone()
    for _ in range(50):
        add_event(database)
    assert Path(f"{database}-wal").stat().st_size > 0
    aside = restore(copy, database, NOW)
    reader.close()
    assert aside is not None
    assert examine(database).head == 25
    assert not Path(f"{database}-wal").exists()
    assert examine(aside).head == 76


@pytest.mark.parametrize("kind", ["foreign", "newer", "text", "damaged"])
def test_what_is_no_sound_backup_of_ours_is_refused_and_nothing_is_changed(
    database: Path, copy: Path, tmp_path: Path, kind: str
) -> None:
    before = dump(database)
    wrong = tmp_path / "wrong.db"
    if kind == "text":
        wrong.write_text("not a database at all")
    elif kind == "foreign":
        sql = sqlite3.connect(wrong)
        sql.execute("CREATE TABLE theirs (x)")
        sql.close()
    else:
        wrong.write_bytes(copy.read_bytes())
        if kind == "newer":
            sql = sqlite3.connect(wrong)
            sql.execute("PRAGMA user_version = 99")
            sql.close()
        else:
            spoil(wrong)
    with pytest.raises(NewerDatabase if kind == "newer" else DatabaseRefused):
        restore(wrong, database, NOW)
    assert dump(database) == before
    assert leftovers(database.parent) == []


@pytest.mark.parametrize(
    "point",
    [
        "maintenance.restore-prepared",
        "maintenance.restore-decided",
        "maintenance.log-moved-aside",
        "maintenance.database-moved-aside",
    ],
)
def test_a_restore_that_is_killed_leaves_the_old_whole_or_is_finished_by_the_next_start(
    database: Path, copy: Path, tmp_path: Path, point: str
) -> None:
    before, points = dump(database), tmp_path / "points"
    points.mkdir()
    (points / point).write_text("kill")
    code = (
        "import sys; from pathlib import Path; from datetime import UTC, datetime;"
        "from apsis_services.scheduler.restore import restore;"
        "restore(Path(sys.argv[1]), Path(sys.argv[2]), datetime(2026, 6, 30, 12, tzinfo=UTC))"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, str(copy), str(database)],
        env={**os.environ, VARIABLE: str(points)}, check=False, timeout=30,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    open_database(database).close()
    if point == "maintenance.restore-prepared":
        assert dump(database) == before
    else:
        found = examine(database)
        assert (found.wrong, found.head, found.restored[:4]) == ([], 25, "2026")
        (aside,) = (path for path in database.parent.glob("*.before-restore-*") if not path.name.endswith("-wal"))
        assert dump(aside) == before
    assert finish_restore(database) is None
    if point == "maintenance.restore-prepared":
        # what the killed one had prepared is in nobody's way
        assert restore(copy, database, NOW) is not None
        assert examine(database).head == 25
    assert leftovers(database.parent) == []


@pytest.fixture
def second(stage: Stage, tmp_path: Path) -> Path:
    """Another home whose `apsis.yaml` names the first one's database, by a link."""
    home = tmp_path / "second"
    for folder in ("jobs", "run", "log"):
        (home / folder).mkdir(parents=True)
    (home / "link.db").symlink_to(stage.home.database)
    (home / "apsis.yaml").write_text("database: link.db\n")
    return home


def test_a_second_home_with_the_same_database_is_refused_by_name(stage: Stage, second: Path) -> None:
    stage.start()
    command = [sys.executable, "-m", "apsis_services.scheduler", "--home", str(second)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert refused.returncode == 3
    assert f"in use by the scheduler of {stage.home.root}" in refused.stderr
    assert "two homes cannot share a database" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert stage.scheduler.is_ready()
    with pytest.raises(DatabaseInUse):
        restore(stage.home.database, stage.home.database, NOW)
    # a kill leaves no lock behind
    stage.scheduler.end(signal.SIGKILL)
    lock = DatabaseLock(stage.home.database)
    lock.take("a test")
    lock.release()


def test_a_scheduler_that_is_killed_can_be_started_again_at_once(stage: Stage) -> None:
    stage.start()
    for _ in range(3):
        stage.scheduler.end(signal.SIGKILL)
        stage.scheduler.start()


def test_tables_that_are_closed_let_go(tmp_path: Path) -> None:
    path = tmp_path / "db" / "apsis.db"
    one = Tables(path, "one")
    with pytest.raises(DatabaseInUse, match="in use by one"):
        Tables(path, "two")
    one.close()
    Tables(path, "three").close()
