"""Numbers after a restore: which run is which, where the lost time gave one number to two, or two to one due time."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from restore_stage import NEWER, OLD, Restored, ending, held
from runs_stage import BEGIN

from apsis.messages.dispatch import (
    Forget,
    Known,
    Start,
    Stop,
)
from apsis.messages.requests import CreateRun, Done, Failed
from apsis.runs.core.rows import RunRow, args_key
from apsis.runs.run import Exit
from apsis.runs.states import State
from apsis.times import format_time


@pytest.fixture
def world() -> Restored:
    world = Restored()
    world.greet(Known(journal=OLD, term=1))
    return world


def test_numbers_after_a_restore_are_above_all_that_a_host_has_seen(world: Restored) -> None:
    backup = world.backup()
    world.restore(backup)
    world.greet(NEWER)
    world.tell(held("r1001"), held("r1041", "chain"))
    assert world.create("work", word="new").run_id == "r1042"
    run = world.run("r1041")
    assert (run.state, run.job_id, run.journal, run.exit, run.elapsed) == ("success", "chain", OLD, Exit(code=0), 2.5)
    assert run.outputs == {"output": 7}
    assert world.orders(Start)[-1].journal == world.tables.journal


def test_a_due_time_that_ran_under_another_number_does_not_run_again(world: Restored) -> None:
    (first, second, *_) = world.runs("timer")
    backup = world.backup()
    for row in list(backup.runs.values()):
        # the backup was made before these were, and they got other numbers then
        assert row.run.state is State.SCHEDULED
    world.restore(backup)
    world.greet(NEWER)
    world.tell(
        held("r901", "timer", schedule_time=first.schedule_time, memo={"expected": True}),
        held("r902", "timer", schedule_time=second.schedule_time, memo={"expected": True}),
    )
    world.advance(150)
    runs = [run for run in world.runs("timer") if run.schedule_time in {first.schedule_time, second.schedule_time}]
    assert sorted((run.run_id, run.state.value) for run in runs) == [("r901", "success"), ("r902", "success")]
    started = {start.run_id for start in world.orders(Start)}
    assert not started & {first.run_id, second.run_id, "r901", "r902"}


def test_a_due_time_that_is_waiting_already_is_skipped_when_it_turns_out_to_have_run(world: Restored) -> None:
    (first, *_) = world.runs("timer")
    world.restore(world.backup())
    world.greet(NEWER)
    world.advance(70)
    assert world.run(first.run_id).state is State.WAITING
    world.tell(held("r901", "timer", schedule_time=first.schedule_time, memo={"expected": True}))
    assert (world.run(first.run_id).state, world.run("r901").state) == ("skipped", "success")
    assert "ran as r901" in world.run(first.run_id).reason


def test_a_run_that_got_the_number_again_is_kept_apart_from_the_one_that_ran(world: Restored) -> None:
    world.restore(world.backup())
    mine = world.create("work", word="mine")
    world.greet(NEWER)
    world.tell(held(mine.run_id, "chain"))
    again = world.run(mine.run_id)
    assert (again.args, again.state, again.journal) == ({"word": "mine"}, "starting", world.tables.journal)
    (other,) = world.runs("chain")
    assert (other.state, other.journal, other.held_as) == ("success", OLD, mine.run_id)
    (start,) = world.orders(Start)
    assert (start.run_id, start.journal) == (mine.run_id, world.tables.journal)


def test_a_run_made_ahead_before_its_number_was_known_to_be_taken_is_made_anew(world: Restored) -> None:
    """The job directory is read before any host has said HELLO, so what was missed may get numbers that are taken."""
    backup = world.backup()
    world.now += timedelta(minutes=150)
    world.restore(backup)
    made = world.runs("timer", "waiting") + world.runs("timer", "scheduled")
    mine = next(run for run in made if int(run.run_id[1:]) > 100)
    world.greet(NEWER)
    world.tell(held(mine.run_id, "chain"))
    assert (world.run(mine.run_id).job_id, world.run(mine.run_id).held_as) == ("chain", "")
    (again,) = [run for run in world.runs("timer") if run.schedule_time == mine.schedule_time]
    assert again.run_id != mine.run_id


def test_the_same_args_by_hand_under_the_same_number_are_two_runs(world: Restored) -> None:
    world.restore(world.backup())
    mine = world.create("work", word="x")
    world.greet(NEWER)
    world.tell(held(mine.run_id, at=format_time(BEGIN - timedelta(seconds=5))))
    assert world.run(mine.run_id).state is State.STARTING
    assert sorted(run.state.value for run in world.runs("work")) == ["starting", "success"]


def test_what_was_found_under_another_number_is_reported_and_stopped_as_its_host_knows_it(world: Restored) -> None:
    world.restore(world.backup())
    mine = world.create("work", word="mine")
    world.greet(NEWER)
    world.tell(held(mine.run_id, "chain", state="started", pid=44))
    (other,) = world.runs("chain")
    assert (other.state, other.pid) == ("running", 44)
    world.act(other.run_id, "stop")
    (stop,) = world.orders(Stop)
    assert (stop.run_id, stop.journal) == (mine.run_id, OLD)
    world.report(replace(ending(mine.run_id, 1), journal=OLD))
    assert (world.run(other.run_id).state, world.run(mine.run_id).state) == ("failure", "starting")
    world.advance(2)
    assert {(forget.journal, *forget.run_ids) for forget in world.orders(Forget)} == {(OLD, mine.run_id)}


def test_a_request_that_ran_in_the_lost_time_and_comes_again_runs_nothing(world: Restored) -> None:
    backup = world.backup()
    deed = CreateRun(job_id="work", args={"word": "x"}, count=2)
    world.ask(deed, "the-key")
    starts = world.orders(Start)
    world.restore(backup)
    world.greet(NEWER)
    world.tell(*(held(start.run_id, memo=start.memo) for start in starts))
    again = world.ask(deed, "the-key")
    assert isinstance(again, Done)
    assert [run["run_id"] for run in again.result["runs"]] == [start.run_id for start in starts]
    assert len(world.runs("work")) == 2
    other = world.ask(CreateRun(job_id="work", args={"word": "y"}), "the-key")
    assert isinstance(other, Failed)


def test_a_hostile_id_is_kept_as_it_is_and_gets_a_number_of_ours(world: Restored) -> None:
    world.restore(world.backup())
    world.greet(NEWER)
    world.tell(
        held("r0007"), held("r99999999999999999999"), held("x-1"), held("r1003", memo={"version": 5, "expected": "?"})
    )
    assert len(world.runs("work")) == 4
    assert world.core.book.last_run < 2000


def test_rows_of_a_first_version_are_claimed_under_the_first_number(world: Restored) -> None:
    run = world.create("work", word="x")
    row = world.core.book.rows[run.run_id]
    old = RunRow(row.num, args_key(run.args), replace(run, journal=0), row.facts, row.log)
    assert world.core.book.journal_of(old) == OLD
    world.greet(NEWER)
    assert world.core.book.journal_of(old) == OLD


def test_a_report_about_a_run_of_the_lost_time_does_not_touch_the_one_that_got_its_number(world: Restored) -> None:
    world.restore(world.backup())
    world.greet(NEWER)
    mine = world.create("work", word="mine")
    world.report(replace(ending(mine.run_id), journal=OLD))
    assert (world.run(mine.run_id).state, world.run(mine.run_id).journal) == ("waiting", world.tables.journal)
    assert "report" in world.kinds()
    world.tell(held(mine.run_id, "chain", told=False))
    assert (world.run(mine.run_id).state, world.runs("chain")[0].state) == ("starting", "success")
