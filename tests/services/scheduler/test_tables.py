"""The tables: what a turn costs in statements, and that no question scans a table."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from apsis.jobs.parse import parse_job
from apsis.messages.dispatch import Answer, Answers, Finished, Held, HostHello, Known, Reports, Started
from apsis.messages.requests import CreateRun, Request
from apsis.runs.core.inputs import Asked, HostSaid, Input, JobsLoaded
from apsis.runs.core.machine import Core
from apsis.runs.core.settings import Settings
from apsis.runs.run import Exit
from apsis.times import format_time
from apsis_services.scheduler import replay, tables
from apsis_services.scheduler.tables import Tables
from apsis_services.scheduler.views import VIEWS

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Tables]:
    found = Tables(tmp_path / "db" / "apsis.db")
    yield found
    found.close()


@pytest.mark.parametrize(
    "query",
    [
        tables._RUN,
        tables._UNFINISHED,
        tables._MADE,
        tables._PREVIOUS,
        tables._FINISHED.format("?, ?"),
        tables._HELD,
        tables._VERSION,
        tables._ANSWER,
        tables._PRUNE_EVENTS,
        replay._EVENTS,
        "SELECT doc FROM v_run WHERE num = ?",
        "SELECT doc FROM v_run ORDER BY time_key DESC, num DESC LIMIT 100",
        "SELECT doc FROM v_run WHERE job_id = ? ORDER BY time_key DESC LIMIT 100",
        "SELECT body FROM v_event WHERE run_id = ? ORDER BY id",
    ],
)
def test_no_question_scans_a_table(opened: Tables, query: str) -> None:
    plan = opened._sql.execute(f"EXPLAIN QUERY PLAN {query}", ("0",) * query.count("?")).fetchall()
    steps = [step[3] for step in plan]
    assert not [step for step in steps if step.startswith("SCAN") and "USING" not in step], steps
    if "ORDER BY time_key" in query:
        assert not [step for step in steps if "TEMP B-TREE" in step], steps


def test_every_view_can_be_read(opened: Tables) -> None:
    for view in VIEWS:
        opened._sql.execute(f"SELECT * FROM {view}").fetchall()


def test_an_ordinary_run_costs_a_handful_of_statements(opened: Tables) -> None:
    core = Core(opened.begin_term(), opened, Settings(), parse_job)

    def turn(event: Input) -> None:
        opened.commit(core.step(event, NOW))
        core.committed()

    job = parse_job("a", {"program": {"type": "program", "argv": ["/bin/true"]}})
    turn(JobsLoaded({"a": job}))
    turn(HostSaid(HostHello(host="local", epoch="e", boot="b", seq=0, floor=0, version="", cores=2)))
    seen: list[str] = []
    opened._sql.set_trace_callback(seen.append)
    turn(Asked(Request(request_id="q", actor="user:ann", do=CreateRun(job_id="a")), token=None))
    answer = Answer(dispatch=1, run_id="r1", state="claimed")
    at = format_time(NOW)
    turn(HostSaid(Answers(host="local", epoch="e", boot="b", items=[answer])))
    turn(HostSaid(Reports(host="local", epoch="e", boot="b", items=[Started(seq=1, run_id="r1", at=at, pid=1)])))
    end = Finished(seq=2, run_id="r1", start=at, end=at, elapsed=0.0, exit=Exit(code=0))
    turn(HostSaid(Reports(host="local", epoch="e", boot="b", items=[end])))
    opened._sql.set_trace_callback(None)
    kinds = [statement.split()[0] for statement in seen]
    assert kinds.count("COMMIT") == 4
    assert sum("INTO event" in statement for statement in seen) == 3
    assert sum("INTO run" in statement for statement in seen) == 4
    assert len(seen) <= 30, seen


def test_a_finished_run_is_found_by_the_number_that_its_host_has_after_a_restart(opened: Tables) -> None:
    """Of two runs that were taken over under other numbers one lives; a third only says the word in its args."""
    core = Core(opened.begin_term(), opened, Settings(), parse_job)

    def turn(event: Input) -> None:
        opened.commit(core.step(event, NOW))
        core.committed()

    at = format_time(NOW)
    turn(JobsLoaded({"a": parse_job("a", {"program": {"type": "no-op"}, "params": ["held_as"]})}))
    for _ in range(3):
        deed = CreateRun(job_id="a", args={"held_as": '"held_as":"r9"'})
        turn(Asked(Request(request_id="", actor="user:ann", do=deed), token=None))
    old, known = opened.begin_term().journal, [Known(journal=4711, term=1)]
    turn(HostSaid(HostHello(host="local", epoch="e", boot="b", seq=0, floor=0, version="", cores=2, known=known)))
    end = Finished(seq=0, run_id="r1", start=at, end=at, elapsed=0.0, exit=Exit(code=0))
    there = {"job_id": "b", "schedule_time": None, "args": {}, "journal": old, "at": at, "start": at}
    done = Held(seq=1, run_id="r1", state="done", ending=end, **there)
    turn(HostSaid(Reports(host="local", epoch="e", boot="b", items=[done])))
    lives = Held(seq=2, run_id="r2", state="started", **there)
    turn(HostSaid(Reports(host="local", epoch="e", boot="b", items=[lives])))
    before = core.book.aliases
    assert before == {("local", old, "r1"): "r4", ("local", old, "r2"): "r5"}

    stored = opened.begin_term()

    assert stored.aliases == {("local", old, "r1"): "r4"}
    assert [row.run.run_id for row in stored.runs] == ["r5"]
    assert Core(stored, opened, Settings(), parse_job).book.aliases == before
