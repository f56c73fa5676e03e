"""Events of runs that start late, take too long, or are done too fast: each once, in time, and seen by actions."""

from datetime import timedelta
from typing import Any

import pytest
from runs_stage import BEGIN, SHELL, World

from apsis.messages.events import RunEvent
from apsis.messages.requests import Done
from apsis.runs.core.inputs import Tick
from apsis.runs.run import Exit
from apsis.runs.states import State
from apsis.times import format_time

NO_OP = {"type": "no-op"}
HOURLY = {"type": "interval", "interval": 3600, "name": "s"}


def told(world: World, kind: str) -> list[tuple[str, str]]:
    found = [event for event in world.tables.events if isinstance(event, RunEvent) and event.event == kind]
    return [(event.run_id, event.at) for event in found]


def at(seconds: float) -> str:
    return format_time(BEGIN + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("keys", "terms", "after"),
    [({}, {}, 60), ({"late_after": 300}, {}, 300), ({"late_after": 300}, {"late_after": 20}, 20)],
)
def test_row_late_after_a_run_that_has_not_started_so_long_after_it_was_due_is_late(
    world: World, keys: dict[str, Any], terms: dict[str, Any], after: float
) -> None:
    world.load({"a": {"program": SHELL, "schedule": {**HOURLY, **terms}, **keys}})
    world.advance(3600 + after - 1)
    assert told(world, "late") == []
    world.advance(1)
    assert told(world, "late") == [("r1", at(3600 + after))]
    world.advance(1000)
    world.crash()
    world.advance(1000)
    assert told(world, "late") == [("r1", at(3600 + after))], "once"
    assert world.run("r1").raised == ["late"]
    row = world.tables.run("r1")
    assert row is not None
    (entry,) = [entry for entry in row.log if entry.event == "late"]
    assert "waiting for host local" in entry.reason, "and it says why"


def test_a_run_that_starts_in_time_is_not_late_and_nobody_is_woken_for_it(world: World) -> None:
    world.load({"a": {"program": {**NO_OP, "duration": 600}, "schedule": HOURLY}})
    world.advance(3600)
    assert world.wake == BEGIN + timedelta(seconds=4200), "the next thing is its end"
    world.advance(3000)
    assert told(world, "late") == []


@pytest.mark.parametrize("program", [NO_OP, SHELL], ids=["no-op", "process"])
def test_a_run_that_is_caught_up_is_late_also_where_it_starts_and_ends_at_once(
    world: World, program: dict[str, Any]
) -> None:
    world.load({"a": {"program": program, "schedule": HOURLY}})
    host = world.host()
    world.now += timedelta(seconds=3600 * 2)
    world.crash()
    world.settle()
    for run_id in host.started:
        host.finish(run_id, world.now)
    world.advance(1)
    assert [run.raised for run in world.runs("a") if run.state is State.SUCCESS] == [["late"], []]


def test_a_run_that_nobody_planned_is_never_late(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    world.create("a")
    world.advance(3600)
    assert told(world, "late") == []


def test_row_expect_max_a_run_that_takes_longer_is_told_of_while_it_runs(world: World) -> None:
    world.load({"a": {"program": SHELL, "expect": {"max": 300}}})
    host = world.host()
    world.create("a")
    world.settle()
    world.advance(299)
    assert told(world, "too_long") == []
    world.crash()
    world.advance(1)
    assert told(world, "too_long") == [("r1", at(300))]
    world.advance(1000)
    host.finish("r1", world.now)
    world.settle()
    assert told(world, "too_long") == [("r1", at(300))]
    assert world.run("r1").raised == ["too_long"]


def test_a_run_that_took_too_long_while_the_scheduler_was_away_is_told_of_at_its_end(world: World) -> None:
    world.load({"a": {"program": {**NO_OP, "duration": 600}, "expect": {"max": 300}}})
    world.create("a")
    world.now += timedelta(seconds=700)
    world.crash()
    world.advance(1)
    assert len(told(world, "too_long")) == 1


def test_row_expect_min_a_run_that_is_done_faster_is_told_of(world: World) -> None:
    world.load({"a": {"program": {**NO_OP, "duration": 5}, "expect": {"min": 60}}})
    world.create("a")
    world.advance(5)
    assert told(world, "too_fast") == [("r1", at(5))]
    assert world.run("r1").state is State.SUCCESS


@pytest.mark.parametrize("how", ["failure", "stop"])
def test_what_failed_or_was_stopped_was_not_too_fast(world: World, how: str) -> None:
    world.load({"a": {"program": {**NO_OP, "duration": 5, "success": how == "stop"}, "expect": {"min": 60}}})
    world.create("a")
    if how == "stop":
        assert isinstance(world.act("r1", "stop"), Done)
    world.advance(5)
    assert told(world, "too_fast") == []


def usual(world: World, *times: float) -> None:
    """Let runs of these lengths go by."""
    host = world.hosts["local"]
    for seconds in times:
        run = world.create("a")
        world.settle()
        host.report(_finished(), run_id=run.run_id, **_end(world, seconds))
        host.journals[run.run_id] = "done"
        world.settle()


def _finished() -> Any:
    from apsis.messages.dispatch import Finished

    return Finished


def _end(world: World, seconds: float) -> dict[str, Any]:
    now = format_time(world.now)
    return {"start": now, "end": now, "elapsed": seconds, "exit": Exit(code=0)}


@pytest.mark.parametrize("restarted", [False, True])
def test_without_a_word_too_long_is_twice_the_median_of_the_last_ten_successes(world: World, restarted: bool) -> None:
    world.load({"a": {"program": SHELL}})
    world.host()
    usual(world, *[900.0] * 5, *[10.0] * 4, *[20.0] * 2, *[30.0] * 4)
    if restarted:
        world.crash()
    run = world.create("a")
    world.settle()
    row = world.tables.run(run.run_id)
    assert row is not None
    assert row.facts.most == 40.0
    world.advance(41)
    assert [run_id for run_id, _ in told(world, "too_long") if run_id == run.run_id] == [run.run_id]


def test_with_fewer_than_three_successes_nothing_is_usual_yet(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    world.host()
    usual(world, 10.0, 10.0)
    world.create("a")
    world.advance(86_400)
    assert told(world, "too_long") == []


def test_a_run_of_less_than_a_second_never_takes_too_long(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    world.host()
    usual(world, 0.01, 0.01, 0.01, 0.9)
    assert told(world, "too_long") == []


def test_actions_on_late_runs_follow_only_those(world: World) -> None:
    action = {"type": "schedule", "job_id": "b", "if": {"late": True}}
    world.load({"a": {"program": SHELL, "schedule": HOURLY, "action": action}, "b": {"program": NO_OP}})
    world.advance(3600 + 61)
    host = world.host()
    world.settle()
    host.finish("r1", world.now)
    world.advance(3600)
    host.finish(host.started[-1], world.now)
    world.settle()
    assert len(host.started) == 2
    assert len(world.runs("b")) == 1


def test_no_run_is_looked_at_but_those_whose_time_has_come(world: World) -> None:
    world.load({f"j{n}": {"program": SHELL, "schedule": {**HOURLY, "phase": n}} for n in range(200)})
    world.advance(3600 + 100)
    looks = world.core.looks
    world.advance(50)
    assert len(told(world, "late")) > 50
    assert world.core.looks - looks <= 51, "a look for each that became due, none for those that became late"


def test_a_tick_that_nothing_is_due_at_tells_nothing(world: World) -> None:
    world.load({"a": {"program": SHELL, "schedule": HOURLY}})
    world.advance(3600 + 30)
    assert world.step(Tick()).events == []
