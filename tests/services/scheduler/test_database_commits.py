"""The group commit: one transaction a turn whatever came in, few rows a run; and what is kept for seven days."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apsis.jobs.parse import parse_job
from apsis.messages.dispatch import Answer, Answers, Finished, HostHello, Reports, Started
from apsis.messages.requests import ActOnRun, CreateRun, Done, Failed, Request
from apsis.runs.core.effects import Effects
from apsis.runs.core.inputs import Asked, HostSaid, Input, JobsLoaded
from apsis.runs.core.machine import Core
from apsis.runs.core.settings import Settings
from apsis.runs.run import Exit
from apsis.times import format_time, to_micros
from apsis_services.scheduler import tables as tables_module
from apsis_services.scheduler.tables import Tables

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
RUNS = 100


class Desk:
    """A core over real tables, whose statements are counted."""

    def __init__(self, path: Path) -> None:
        self.tables = Tables(path)
        self.core = Core(self.tables.begin_term(), self.tables, Settings(), parse_job)
        self.seen: list[str] = []
        self.tables._sql.set_trace_callback(self.seen.append)

    def turn(self, *events: Input, now: datetime = NOW) -> Effects:
        """Decide many inputs and commit them as one, as the scheduler's turn does."""
        effects = Effects()
        for event in events:
            effects.add(self.core.step(event, now))
        self.tables.commit(effects)
        self.core.committed()
        return effects

    def ask(self, deed: Any, request_id: str, now: datetime = NOW) -> Done | Failed:
        asked = Asked(Request(request_id=request_id, actor="user:ann", do=deed), token=None)
        (reply,) = self.turn(asked, now=now).replies
        return reply.body

    def count(self, table: str) -> int:
        return int(self.tables._sql.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path / "db" / "apsis.db")
    found.turn(JobsLoaded({"a": parse_job("a", {"program": {"type": "program", "argv": ["/bin/true"]}})}))
    found.turn(HostSaid(HostHello(host="local", epoch="e", boot="b", seq=0, floor=0, version="", cores=100)))
    found.seen.clear()
    yield found
    found.tables.close()


def test_what_one_turn_collected_is_one_transaction_and_a_run_has_three_events(desk: Desk) -> None:
    asked = [
        Asked(Request(request_id=f"q{number}", actor="user:ann", do=CreateRun(job_id="a")), token=None)
        for number in range(RUNS)
    ]
    at = format_time(NOW)
    ids = [f"r{number}" for number in range(1, RUNS + 1)]
    answers = [Answer(dispatch=number, run_id=run_id, state="claimed") for number, run_id in enumerate(ids, 1)]
    began = [Started(seq=number, run_id=run_id, at=at, pid=1) for number, run_id in enumerate(ids, 1)]
    over = [
        Finished(seq=RUNS + number, run_id=run_id, start=at, end=at, elapsed=0.0, exit=Exit(code=0))
        for number, run_id in enumerate(ids, 1)
    ]
    before = desk.count("event")
    desk.turn(*asked)
    desk.turn(HostSaid(Answers(host="local", epoch="e", boot="b", items=answers)))
    desk.turn(HostSaid(Reports(host="local", epoch="e", boot="b", items=began)))
    desk.turn(HostSaid(Reports(host="local", epoch="e", boot="b", items=over)))
    kinds = [statement.split()[0] for statement in desk.seen]
    assert (kinds.count("BEGIN"), kinds.count("COMMIT")) == (4, 4)
    assert desk.count("event") - before == 3 * RUNS
    assert desk.tables._sql.execute("SELECT count(*) FROM run WHERE state = 'success'").fetchone() == (RUNS,)
    assert desk.count("command WHERE run_id <> ''") == 0, "answered ones go; what is left are the batches of Forget"
    # what is not for each run: four transactions, and the host's one row in each
    assert len(desk.seen) <= 12 * RUNS + 40, len(desk.seen)


def test_a_turn_that_cannot_be_committed_leaves_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {table: desk.count(table) for table in ("run", "event", "command", "request")}

    def spoilt(*_: object) -> None:
        raise OSError("the disk went away")

    asked = Asked(Request(request_id="q", actor="user:ann", do=CreateRun(job_id="a")), token=None)
    effects = desk.core.step(asked, NOW)
    with monkeypatch.context() as patch:
        patch.setattr(tables_module.s, "command_values", spoilt)
        with pytest.raises(OSError, match="went away"):
            desk.tables.commit(effects)
    assert {table: desk.count(table) for table in before} == before
    desk.tables.commit(effects)
    assert desk.count("run") == before["run"] + 1


def test_a_request_is_answered_the_same_for_seven_days_and_then_forgotten(desk: Desk) -> None:
    first = desk.ask(CreateRun(job_id="a"), "mine")
    assert isinstance(first, Done)
    other = desk.ask(ActOnRun(run_id="r1", action="stop"), "mine", NOW + WEEK - timedelta(seconds=1))
    assert isinstance(other, Failed)
    assert other.code == "conflict"
    for at in (NOW + timedelta(days=1), NOW + WEEK - timedelta(seconds=1)):
        desk.tables.prune(to_micros(at))
        assert desk.ask(CreateRun(job_id="a"), "mine", at) == first
    assert desk.count("run") == 1, "run now, sent many times, runs once"
    desk.tables.prune(to_micros(NOW + WEEK + timedelta(seconds=1)))
    assert desk.tables.answer("mine") is None
    again = desk.ask(CreateRun(job_id="a"), "mine", NOW + WEEK + timedelta(seconds=2))
    assert again != first
    assert desk.count("run") == 2


def test_pruning_goes_some_rows_at_a_time_and_leaves_the_journal_dense(desk: Desk) -> None:
    rows = [(f"old{number}", "", to_micros(NOW), b"{}") for number in range(450)]
    desk.tables._sql.executemany("INSERT INTO request VALUES (?, ?, ?, ?)", rows)
    late = to_micros(NOW + 2 * WEEK)
    counts = []
    while desk.tables.prune(late):
        counts.append(desk.count("request"))
    assert counts[:2] == [250, 50]
    assert desk.count("request") == 0
    number, first, last = desk.tables._sql.execute("SELECT count(*), min(id), max(id) FROM event").fetchone()
    assert number == last - first + 1 == 1, "the last event stays: from it the next number is known"


def test_the_end_before_a_runs_own_is_found_without_sorting_all_ends(desk: Desk) -> None:
    plan = desk.tables._sql.execute(f"EXPLAIN QUERY PLAN {tables_module._PREVIOUS}", ("a", "{}", 5)).fetchall()
    assert any("run_ended" in step[3] for step in plan)
    assert not any("TEMP B-TREE" in step[3] for step in plan)
