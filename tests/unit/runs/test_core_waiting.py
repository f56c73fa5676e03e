"""What runs wait for: dependencies, places, and that a step wakes those alone whom it may let go on."""

import pytest
from runs_stage import SHELL, World

from apsis.messages.requests import Done
from apsis.runs.core.inputs import HostSaid, Tick
from apsis.runs.run import Exit
from apsis.runs.states import State

NO_OP = {"type": "no-op"}
LOAD = {"program": SHELL, "params": ["date"]}
NEXT = {**LOAD, "condition": {"type": "dependency", "job_id": "load"}}
ONE = {"program": SHELL, "condition": {"type": "max_running", "count": 1}}


def test_a_dependency_lets_go_on_when_a_run_with_the_same_args_has_succeeded(world: World) -> None:
    world.load({"load": LOAD, "next": NEXT})
    host = world.host()
    waiting = world.create("next", date="1")
    assert waiting.state is State.WAITING
    assert "load(date=1)" in waiting.reason
    other, right = world.create("load", date="2"), world.create("load", date="1")
    world.settle()
    host.finish(other.run_id, world.now)
    world.settle()
    assert world.run(waiting.run_id).state is State.WAITING
    host.finish(right.run_id, world.now, Exit(code=1))
    world.settle()
    assert world.run(waiting.run_id).state is State.WAITING
    world.act(right.run_id, "mark", state="success")
    world.settle()
    assert world.run(waiting.run_id).state is State.RUNNING


def test_a_dependency_on_a_run_that_is_long_finished_holds_at_once_after_a_restart(world: World) -> None:
    world.load({"load": LOAD, "next": NEXT})
    host = world.host()
    done = world.create("load", date="1")
    world.settle()
    host.finish(done.run_id, world.now)
    world.settle()
    world.crash()
    assert world.create("next", date="1").state is State.STARTING


def test_a_condition_that_was_true_stays_so(world: World) -> None:
    both = {**LOAD, "condition": [{"type": "dependency", "job_id": "load"}, {"type": "dependency", "job_id": "more"}]}
    world.load({"load": LOAD, "more": LOAD, "next": both})
    host = world.host()
    run, load, more = (world.create(job, date="1") for job in ("next", "load", "more"))
    world.settle()
    host.finish(load.run_id, world.now)
    world.settle()
    assert "more" in world.run(run.run_id).reason
    world.act(load.run_id, "mark", state="failure")
    world.crash()
    host.finish(more.run_id, world.now)
    world.settle()
    assert world.run(run.run_id).state is State.RUNNING


def test_a_dependency_that_must_exist_is_an_error_at_once_when_no_run_can_get_there(world: World) -> None:
    exist = {**LOAD, "condition": {"type": "dependency", "job_id": "load", "exist": True}}
    world.load({"load": LOAD, "next": exist})
    host = world.host()
    assert world.create("next", date="1").state is State.ERROR
    load = world.create("load", date="1")
    waiting = world.create("next", date="1")
    assert waiting.state is State.WAITING
    world.settle()
    host.finish(load.run_id, world.now, Exit(code=1))
    world.settle()
    assert world.run(waiting.run_id).state is State.ERROR


def test_max_running_counts_what_starts_and_what_stops(world: World) -> None:
    world.load({"a": ONE})
    host = world.host()
    first, second, third = (world.create("a") for _ in range(3))
    assert [world.run(run.run_id).state for run in (first, second, third)] == ["starting", "waiting", "waiting"]
    world.settle()
    world.act(first.run_id, "stop")
    world.settle()
    assert world.run(first.run_id).state is State.STOPPING
    world.crash()
    assert world.run(second.run_id).state is State.WAITING
    host.finish(first.run_id, world.now, Exit(signal=15), stopped=True)
    world.settle()
    assert [world.run(run.run_id).state for run in (second, third)] == ["running", "waiting"], "in order"


def test_max_running_for_any_args_counts_all_and_else_each_on_its_own(world: World) -> None:
    own = {"program": SHELL, "params": ["x"], "condition": {"type": "max_running"}}
    every = {"program": SHELL, "params": ["x"], "condition": {"type": "max_running", "all": True}}
    world.load({"own": own, "every": every})
    world.host()
    assert [world.create("own", x=x).state for x in "112"] == ["starting", "waiting", "starting"]
    assert [world.create("every", x=x).state for x in "12"] == ["starting", "waiting"]


def test_a_start_by_hand_passes_over_conditions(world: World) -> None:
    world.load({"a": ONE, "load": LOAD, "next": NEXT})
    host = world.host()
    world.create("a")
    second, blocked = world.create("a"), world.create("next", date="1")
    assert isinstance(world.act(second.run_id, "start"), Done)
    assert isinstance(world.act(blocked.run_id, "start"), Done)
    world.settle()
    assert set(host.started) >= {second.run_id, blocked.run_id}
    assert world.tables.runs[2].log[-2].reason == "started by user:ann"


def test_a_run_that_waits_too_long_ends_in_error() -> None:
    world = World(waiting_max=600)
    world.load({"load": LOAD, "next": NEXT})
    run = world.create("next", date="1")
    world.advance(300)
    world.crash()
    world.advance(299)
    assert world.run(run.run_id).state is State.WAITING
    world.advance(2)
    assert world.run(run.run_id).state is State.ERROR
    assert "600 s" in world.run(run.run_id).reason


def test_a_skipped_waiting_run_leaves_its_place_in_the_queue(world: World) -> None:
    world.load({"a": ONE})
    host = world.host()
    first, second, third = (world.create("a") for _ in range(3))
    world.settle()
    world.act(second.run_id, "skip")
    host.finish(first.run_id, world.now)
    world.settle()
    assert [world.run(run.run_id).state for run in (second, third)] == ["skipped", "running"]


@pytest.mark.parametrize("count", [10, 10_000])
def test_a_step_wakes_as_many_with_ten_as_with_ten_thousand_waiting(count: int) -> None:
    assert _looks(count) == (1, 2)


def _looks(count: int) -> tuple[int, int]:
    """Return how many runs are looked at when a dependency comes true for one, and when a place becomes free."""
    world = World(per_core=1_000_000)
    world.load({"load": LOAD, "next": NEXT, "a": ONE})
    host = world.host()
    load, first = world.create("load", date="7"), world.create("a")
    world.settle()
    for number in range(count):
        world.create("next", date=str(number))
    for _ in range(count):
        world.create("a")
    found = []
    for run in (load, first):
        host.finish(run.run_id, world.now)
        before = world.core.looks
        world.settle()
        found.append(world.core.looks - before)
    return found[0], found[1]


def test_successors_and_schedule_actions_are_made_in_the_same_turn(world: World) -> None:
    jobs = {
        "first": {
            "program": SHELL,
            "params": ["date"],
            "successors": ["second"],
            "action": {
                "type": "schedule",
                "job_id": "alarm",
                "args": {"of": "{{ run_id }}"},
                "if": {"states": "failure"},
            },
        },
        "second": LOAD,
        "alarm": {"program": SHELL, "params": ["of"]},
    }
    world.load(jobs)
    host = world.host()
    good, bad = world.create("first", date="1"), world.create("first", date="2")
    world.settle()
    host.finish(good.run_id, world.now)
    host.finish(bad.run_id, world.now, Exit(code=1))
    effects = world.decide(HostSaid(host.said()))
    assert {row.run.job_id for row in effects.runs.values()} == {"first", "second", "alarm"}
    (second,), (alarm,) = world.runs("second"), world.runs("alarm")
    assert second.args == {"date": "1"}
    assert alarm.args == {"of": bad.run_id}
    row = world.tables.run(second.run_id)
    assert row is not None
    assert row.log[0].actor == f"action:{good.run_id}"


def test_a_job_that_is_its_own_successor_does_not_hold_up_the_core(world: World) -> None:
    world.load({"a": {"program": NO_OP, "successors": ["a"]}})
    world.create("a")
    for _ in range(20):
        world.step(Tick())
    assert 5 < len(world.runs("a")) < 50
