"""Resources and priority: taken all at once or not at all, in a line, and given back at the end, whatever happens."""

import pytest
from asked_stage import NO_OP, AskedWorld
from runs_stage import SHELL

from apsis.messages.requests import Done
from apsis.runs.core.inputs import HostLost
from apsis.runs.run import Exit
from apsis.runs.states import State


def job(priority: int = 0, **resources: int) -> dict[str, object]:
    return {"program": SHELL, "resources": resources, "priority": priority}


@pytest.fixture
def world() -> AskedWorld:
    return AskedWorld(resources={"db": 4, "tape": 1}, per_core=100)


def taken(world: AskedWorld) -> dict[str, int]:
    return {name: count for name, count in world.core.book.taken.items() if count}


def finish(world: AskedWorld, *runs) -> None:
    for run in runs:
        world.hosts["local"].finish(run.run_id, world.now)
    world.settle()


def test_resources_are_taken_at_the_start_and_given_back_at_the_end(world: AskedWorld) -> None:
    world.load({"a": job(db=2)})
    world.host()
    first, second, third = (world.create("a") for _ in range(3))
    assert world.states(first, second, third) == ["starting", "starting", "waiting"]
    assert third.reason == "waiting for resources: 2 of db, and there is not enough of db"
    assert taken(world) == {"db": 4}
    world.settle()
    finish(world, first)
    assert world.states(first, second, third) == ["success", "running", "running"]
    finish(world, second, third)
    assert taken(world) == {}


def test_all_are_taken_at_once_and_never_a_part(world: AskedWorld) -> None:
    world.load({"both": job(db=3, tape=1), "db": job(db=3), "tape": job(tape=1)})
    world.host()
    tape = world.create("tape")
    both = world.create("both")
    assert "not enough of tape" in both.reason
    assert taken(world) == {"tape": 1}, "it has taken none of db"
    world.settle()
    finish(world, tape)
    assert world.states(both) == ["running"]
    assert taken(world) == {"db": 3, "tape": 1}


def test_one_that_needs_much_is_not_passed_over_by_those_that_need_little(world: AskedWorld) -> None:
    world.load({"big": job(db=4), "small": job(db=1)})
    world.host()
    first = world.create("small")
    big = world.create("big")
    later = [world.create("small") for _ in range(5)]
    assert world.states(big, *later) == ["waiting"] * 6
    world.settle()
    finish(world, first)
    assert world.states(big, *later) == ["running"] + ["waiting"] * 5
    finish(world, big)
    assert world.states(*later) == ["running"] * 4 + ["waiting"]


def test_those_behind_a_big_one_go_on_when_it_waits_no_more(world: AskedWorld) -> None:
    world.load({"big": job(db=4), "small": job(db=1)})
    world.host()
    first, big, small = world.create("small"), world.create("big"), world.create("small")
    assert world.states(first, big, small) == ["starting", "waiting", "waiting"]
    world.act(big.run_id, "skip")
    world.settle()
    assert world.states(small) == ["running"]


def test_one_that_asks_for_more_than_there_is_stands_in_no_line_and_says_why(world: AskedWorld) -> None:
    world.load({"big": job(db=5), "small": job(db=1), "other": job(gpu=1)})
    world.host()
    big, small, other = world.create("big"), world.create("small"), world.create("other")
    assert world.states(big, small, other) == ["waiting", "starting", "waiting"]
    assert "its job asks for 5 of 'db', and there are only 4" in big.reason
    assert "its job asks for the resource 'gpu', which is not in the config" in other.reason
    assert isinstance(world.act(big.run_id, "start"), Done)
    assert taken(world) == {"db": 6}, "a start by hand passes over it, and others wait until it has ended"
    assert world.create("small").state is State.WAITING


def test_the_higher_priority_comes_first_then_the_due_time_then_the_number(world: AskedWorld) -> None:
    world.load({"low": job(-1, db=4), "plain": job(db=4), "high": job(5, db=4)})
    world.host()
    from datetime import timedelta

    holder = world.create("plain")
    waiting = [
        world.create("low"),
        world.create("plain"),
        world.create("plain", at=world.now - timedelta(hours=1)),
        world.create("high"),
    ]
    world.settle()
    order = []
    running = holder
    for _ in range(4):
        finish(world, running)
        (running,) = (run for run in waiting if world.run(run.run_id).state is State.RUNNING)
        order.append(waiting.index(running))
    assert order == [3, 2, 1, 0]


def test_priority_also_orders_who_gets_a_place_and_a_slot() -> None:
    world = AskedWorld(per_core=1)
    one = {"type": "max_running", "job_id": "gate", "all": True}
    gate = {"program": SHELL}
    jobs = {"gate": gate, "low": {**gate, "condition": one}, "high": {**gate, "condition": one, "priority": 1}}
    world.load({**jobs, "busy": gate, "urgent": {**gate, "priority": 9}})
    world.host(cores=1)
    holder = world.create("gate")
    low, high = world.create("low"), world.create("high")
    busy, urgent = world.create("busy"), world.create("urgent")
    world.settle()
    finish(world, holder)
    assert world.states(low, high, busy, urgent) == ["waiting", "waiting", "waiting", "running"]
    finish(world, urgent)
    assert world.states(low, high, busy) == ["waiting", "running", "waiting"]


def test_of_those_that_are_due_in_one_moment_the_higher_priority_starts_first(world: AskedWorld) -> None:
    world.load({"a": job(db=4), "b": job(3, db=4)})
    from datetime import timedelta

    world.host()
    at = world.now + timedelta(seconds=60)
    low, high = world.create("a", at=at), world.create("b", at=at)
    world.advance(61)
    assert world.states(low, high) == ["waiting", "running"]


def test_nothing_is_lost_or_taken_twice_over_a_restart(world: AskedWorld) -> None:
    world.load({"small": job(db=2), "big": job(2, db=4)})
    host = world.host()
    runs = [world.create("small"), world.create("small"), world.create("small"), world.create("big")]
    world.settle()
    for _ in range(3):
        world.crash()
        assert taken(world) == {"db": 4}
    assert world.states(*runs) == ["running", "running", "waiting", "waiting"]
    host.finish(runs[0].run_id, world.now)
    world.settle()
    world.crash()
    world.settle()
    assert world.states(*runs) == ["success", "running", "waiting", "waiting"], "the big one stands first"
    finish(world, runs[1])
    assert world.states(*runs) == ["success", "success", "waiting", "running"]


def test_a_run_that_cannot_be_reached_or_is_being_stopped_keeps_what_it_has(world: AskedWorld) -> None:
    world.load({"a": job(db=4)})
    world.host()
    first = world.create("a")
    second = world.create("a")
    world.settle()
    world.act(first.run_id, "stop")
    world.settle()
    world.wired = False
    world.step(HostLost("local"))
    world.advance(30)
    assert (world.run(first.run_id).state, world.run(first.run_id).reachable) == (State.STOPPING, False)
    assert taken(world) == {"db": 4}
    world.act(first.run_id, "abandon")
    assert taken(world) == {}
    world.wired = True
    world.host()
    assert world.states(first, second) == ["error", "starting"]


def test_a_no_op_takes_resources_too(world: AskedWorld) -> None:
    world.load({"a": {"program": {**NO_OP, "duration": 10}, "resources": {"db": 4}}})
    first, second = world.create("a"), world.create("a")
    assert world.states(first, second) == ["running", "waiting"]
    world.advance(10)
    assert world.states(first, second) == ["success", "running"]


def test_who_waits_for_a_resource_keeps_its_turn_under_max_running(world: AskedWorld) -> None:
    gated = {**job(db=4), "condition": {"type": "max_running", "count": 1}}
    world.load({"gated": gated, "holder": job(db=4)})
    world.host()
    holder = world.create("holder")
    runs = [world.create("gated") for _ in range(50)]
    assert "resources" in world.run(runs[0].run_id).reason
    assert all("fewer than 1 of gated" in world.run(run.run_id).reason for run in runs[1:])
    world.settle()
    done = 0
    running = holder
    before = world.core.looks
    for run in runs:
        finish(world, running)
        assert world.states(run) == ["running"]
        done, running = done + 1, run
    assert world.core.looks - before < 5 * done, "each end wakes a few, not all"


def test_a_failed_start_gives_them_back(world: AskedWorld) -> None:
    world.load({"a": job(db=4)})
    host = world.host()
    first, second = world.create("a"), world.create("a")
    world.settle()
    host.finish(first.run_id, world.now, Exit(error="no such program"))
    world.settle()
    assert world.states(first, second) == ["error", "running"]
