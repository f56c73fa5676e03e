"""What scheduling keeps and asks: the same from the tables in memory and from the database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apsis.jobs.parse import parse_job
from apsis.messages.requests import Deed, PauseJobs, Request, ResumeJobs
from apsis.runs.core.inputs import Asked, Began, Input, JobsLoaded, Tick
from apsis.runs.core.machine import Core
from apsis.runs.core.memory import MemoryTables
from apsis.runs.core.rows import Pause
from apsis.runs.core.settings import Settings
from apsis.times import format_time, to_micros
from apsis_services.scheduler import tables
from apsis_services.scheduler.tables import Tables

BEGIN = datetime(2026, 6, 30, 12, tzinfo=UTC)
JOB = {"program": {"type": "no-op"}, "schedule": {"type": "interval", "interval": 60, "name": "s"}}
SLOW = {"program": {"type": "no-op", "duration": "{{ n }}"}, "params": ["n"]}


class Twin:
    """One core whose effects go to the tables in memory and to the database."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = BEGIN
        self.memory, self.database = MemoryTables(), Tables(path)
        self.stored = self.database.begin_term()
        self.memory.begin_term()
        self.core = Core(self.stored, self.memory, Settings(max_ahead=5), parse_job)

    def step(self, event: Input) -> None:
        effects = self.core.step(event, self.now)
        self.memory.commit(effects)
        self.database.commit(effects)
        self.core.committed()

    def ask(self, deed: Deed) -> None:
        self.step(Asked(Request(request_id="", actor="user:ann", do=deed), None))

    def pass_minutes(self, count: int) -> None:
        for _ in range(count * 3):
            self.now += timedelta(seconds=20)
            self.step(Tick())


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    found = Twin(tmp_path / "db" / "apsis.db")
    yield found
    found.database.close()


def test_pauses_cursors_since_and_the_rules_of_zones_are_found_again(twin: Twin) -> None:
    twin.step(Began(since=to_micros(BEGIN - timedelta(hours=1)), zones="2025b"))
    twin.step(JobsLoaded({"a": parse_job("a", JOB), "b": parse_job("b", JOB)}))
    twin.ask(PauseJobs(job_id="a", reason="ünwell"))
    twin.ask(PauseJobs(reason="all"))
    twin.pass_minutes(3)
    twin.ask(ResumeJobs())
    effects = twin.core.step(Asked(Request(request_id="", actor="user:ann", do=ResumeJobs(job_id="a")), None), twin.now)
    # of the last turn only the cursor that it owes a record for
    owed = [row for row in effects.cursors.values() if row is not None]
    twin.database.close()
    twin.database = Tables(twin.path)
    stored, other = twin.database.begin_term(), twin.memory.begin_term()
    assert stored.pauses == other.pauses == {"a": Pause(by="user:ann", at=format_time(BEGIN), reason="ünwell")}
    assert stored.since == other.since == to_micros(BEGIN - timedelta(hours=1))
    assert stored.zones == other.zones == "2025b"
    key: Any = lambda row: (row.job_id, row.key)  # noqa: E731 - sorting alone
    assert sorted(stored.cursors, key=key) == sorted(other.cursors, key=key)
    assert [row.behind for row in stored.cursors if row.job_id == "a"] == [to_micros(BEGIN)]
    assert owed


def test_a_cursor_keeps_why_what_it_left_behind_does_not_run(twin: Twin) -> None:
    from apsis.runs.core.effects import Effects
    from apsis.runs.core.rows import CursorRow

    row = CursorRow(job_id="a", key="s", at=5, behind=1, until=4, why="a is paused by ann")
    twin.database.commit(Effects(cursors={("a", "s"): row}))
    twin.database.close()
    twin.database = Tables(twin.path)
    assert twin.database.begin_term().cursors == [row]


def test_what_was_made_between_and_how_long_runs_took_are_the_same_from_both(twin: Twin) -> None:
    from apsis.messages.requests import CreateRun

    twin.step(JobsLoaded({"a": parse_job("a", JOB), "slow": parse_job("slow", SLOW)}))
    for n in (7, 3, 5):
        twin.ask(CreateRun(job_id="slow", args={"n": str(n)}))
        twin.pass_minutes(1)
    twin.pass_minutes(3)
    until = to_micros(twin.now)
    for after, before in ((0, until), (to_micros(BEGIN + timedelta(minutes=2)), until), (until, until)):
        found = sorted(twin.database.made_between("a", after, before))
        assert found == sorted(twin.memory.made_between("a", after, before))
    assert len(twin.database.made_between("a", 0, until)) == 6
    assert twin.database.run_times("slow", until, 10) == twin.memory.run_times("slow", until, 10) == [5.0, 3.0, 7.0]
    assert twin.database.run_times("slow", until, 2) == [5.0, 3.0]
    assert twin.database.run_times("nobody", until, 10) == []


@pytest.mark.parametrize("query", [tables._MADE_BETWEEN, tables._RUN_TIMES, tables._CURSORS])
def test_no_question_of_the_scheduling_scans_the_runs(twin: Twin, query: str) -> None:
    plan = twin.database._sql.execute(f"EXPLAIN QUERY PLAN {query}", ("0",) * query.count("?")).fetchall()
    steps = [step[3] for step in plan]
    assert not [step for step in steps if step.startswith("SCAN run")], steps
    assert not [step for step in steps if "TEMP B-TREE" in step], steps
