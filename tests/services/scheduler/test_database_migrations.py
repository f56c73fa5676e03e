"""Databases of older versions: migrated whole or not at all, after a backup; a newer one is refused."""

import asyncio
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from old_database import dump, write_old
from peewee import SqliteDatabase
from scheduler_stage import Host, Stage, until

from apsis.failpoints import VARIABLE
from apsis.messages.body import decode
from apsis.runs.core.rows import HostRow
from apsis_services.scheduler.database import open_database
from apsis_services.scheduler.examination import examine
from apsis_services.scheduler.migrations import SCHEMA
from apsis_services.scheduler.models import TABLES
from apsis_services.scheduler.refusals import DatabaseRefused, NewerDatabase
from apsis_services.scheduler.tables import Tables

OPEN = """
import pathlib, sys
from apsis_services.scheduler.database import open_database
open_database(pathlib.Path(sys.argv[1]))
"""


def schema_of(path: Path) -> int:
    sql = sqlite3.connect(path)
    try:
        return int(sql.execute("PRAGMA user_version").fetchone()[0])
    finally:
        sql.close()


def without_schema(rows: list[str]) -> list[str]:
    """Leave out what tells the schemas apart: the number, an empty last column, the table of versions taken over."""
    kept = [row for row in rows if not row.startswith(("meta: ('schema'", "job_taken: "))]
    return [re.sub(r"(, None)+\)$", ")", row) if row.startswith("cursor: ") else row for row in kept]


def test_an_old_database_is_migrated_keeps_every_row_and_is_backed_up_first(tmp_path: Path) -> None:
    path = tmp_path / "db" / "apsis.db"
    write_old(path)
    before = dump(path)
    open_database(path).close()
    assert schema_of(path) == SCHEMA
    assert without_schema(dump(path)) == without_schema(before)
    (copy,) = (path.parent / "backups").glob("*.db")
    assert copy.name == f"before-schema-{SCHEMA}-term-1-event-25.db"
    assert dump(copy) == before
    assert schema_of(copy) == 1
    assert examine(path).wrong == examine(copy).wrong == []
    open_database(path).close()
    assert list((path.parent / "backups").iterdir()) == [copy], "what is migrated already is not backed up again"


def test_a_migrated_database_is_as_a_new_one_and_as_the_models(tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "apsis.db", tmp_path / "new" / "apsis.db"
    write_old(old)
    forms = []
    for path in (old, new):
        database = open_database(path)
        forms.append(form(database))
        database.close()
    modelled = SqliteDatabase(":memory:")
    with modelled.bind_ctx(TABLES):
        modelled.create_tables(TABLES, safe=False)
        assert forms[0] == forms[1]
        assert form(modelled) == {key: value for key, value in forms[1].items() if not key.startswith("v_")}
    modelled.close()


def form(database: SqliteDatabase) -> dict[str, str]:
    rows = database.execute_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: " ".join(sql.split()).replace("( ", "(") for name, sql in rows}


@pytest.mark.parametrize("point", ["maintenance.copied", "scheduler.migrated-not-committed", "scheduler.migrated"])
def test_a_migration_that_is_killed_leaves_the_old_or_the_new_whole_and_the_next_start_ends_it(
    tmp_path: Path, point: str
) -> None:
    path, points = tmp_path / "db" / "apsis.db", tmp_path / "points"
    write_old(path)
    before = dump(path)
    points.mkdir()
    (points / point).write_text("kill")
    killed = subprocess.run(
        [sys.executable, "-c", OPEN, str(path)], env={**os.environ, VARIABLE: str(points)}, check=False, timeout=30
    )
    assert killed.returncode == -signal.SIGKILL
    found = examine(path)
    assert found.wrong == []
    assert found.schema == (2 if point == "scheduler.migrated" else 1)
    assert without_schema(dump(path)) == without_schema(before)
    subprocess.run([sys.executable, "-c", OPEN, str(path)], check=True, timeout=30)
    assert schema_of(path) == SCHEMA
    assert without_schema(dump(path)) == without_schema(before)
    (copy,) = (path.parent / "backups").glob("*.db")
    assert dump(copy) == before


def test_without_room_for_the_backup_nothing_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "db" / "apsis.db"
    write_old(path)
    (path.parent / "backups").write_text("a file where the folder should be")
    with pytest.raises(DatabaseRefused):
        open_database(path)
    assert schema_of(path) == 1


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "db" / "apsis.db"
    Tables(path).close()
    sql = sqlite3.connect(path)
    sql.execute("PRAGMA user_version = 99")
    sql.close()
    with pytest.raises(NewerDatabase, match="schema 99") as refused:
        open_database(path)
    assert "before the upgrade" in refused.value.hint
    assert schema_of(path) == 99


def test_a_scheduler_goes_on_with_the_runs_of_an_old_database(stage: Stage) -> None:
    """One of them waits for its host's answer to a start, one runs; what has ended stays as it is."""
    write_old(stage.home.database)
    sql = sqlite3.connect(stage.home.database)
    ((doc,),) = sql.execute("SELECT doc FROM host").fetchall()
    sql.close()
    known: HostRow = decode(HostRow, doc)
    # r1 was to run in the future of that day: by now it is due, and runs
    ended = "SELECT run_id, doc, history FROM v_run WHERE finished AND num BETWEEN 2 AND 6 ORDER BY num"
    before = stage.query(ended)

    async def play() -> None:
        stage.start()
        host = Host(stage.home)
        host.epoch, host.boot, host.seq, host.acked = known.epoch, known.boot, known.seq, known.seq
        await host.join()
        await until(lambda: stage.run("r9").state == "success")
        assert host.starts == ["r9"]
        assert set(host.forgotten) >= {"r2", "r3", "r4", "r5", "r6"}
        assert stage.run("r7").state == "running"
        host.end("r7")
        host.say()
        await until(lambda: stage.run("r8").state == "success")  # it waited for that one
        await host.leave()

    asyncio.run(play())
    assert stage.query(ended) == before
    assert stage.scheduler.end() == 0
    assert examine(stage.home.database).wrong == []
