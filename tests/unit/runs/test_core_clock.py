"""Clocks that are set, either way: no due time is lost or made twice, and nothing starts early."""

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest
from runs_stage import SHELL, SimHost, World

from apsis.runs.core.inputs import Tick
from apsis.times import parse_time

MINUTELY = {"a": {"program": SHELL, "schedule": {"type": "interval", "interval": 60}}}
HOUR = timedelta(hours=1)


def set_clock(world: World, by: timedelta) -> None:
    """Set the wall clock as a person does; the alarm rings, and the monotonic clock goes on."""
    world.now += by
    world.step(Tick())
    world.settle()


def flow(world: World, host: SimHost, minutes: int) -> None:
    """Let time pass; each program ends at once, and none was started before its time by the clock."""
    for _ in range(minutes):
        before = set(host.started)
        world.advance(60)
        for run_id in host.started:
            if run_id not in before:
                assert parse_time(world.run(run_id).schedule_time or "") <= world.now
        for run_id, state in list(host.journals.items()):
            if state == "claimed":
                host.finish(run_id, world.now)
        world.settle()


def dues(world: World) -> Counter[str]:
    return Counter(run.schedule_time or "" for run in world.runs("a"))


@pytest.mark.parametrize("by", [-HOUR, -timedelta(minutes=59), timedelta(minutes=59), HOUR, 2 * HOUR])
@pytest.mark.parametrize("crash", [False, True])
def test_a_clock_that_is_set_makes_each_due_time_once_and_starts_each_program_once(
    world: World, by: timedelta, crash: bool
) -> None:
    host = world.host()
    world.load(MINUTELY)
    flow(world, host, 30)
    set_clock(world, by)
    if crash:
        world.crash()
        world.settle()
    flow(world, host, 90)
    counted = dues(world)
    assert set(counted.values()) == {1}
    assert set(Counter(host.started).values()) == {1}
    passed = [time for time in counted if parse_time(time) <= world.now]
    steps = sorted(parse_time(time) for time in passed)
    assert all(later - earlier == timedelta(seconds=60) for earlier, later in pairwise(steps))
    assert len(host.started) == len(passed), "what was due has run, late perhaps"


def test_a_clock_set_back_by_more_than_an_hour_starts_nothing_until_it_is_right_and_then_everything(
    world: World,
) -> None:
    host = world.host()
    world.load(MINUTELY)
    flow(world, host, 10)
    started = len(host.started)
    set_clock(world, -HOUR - timedelta(minutes=5))
    assert world.core.clock_is_back(world.now)
    asked = world.create("a")
    flow(world, host, 3)
    assert len(host.started) == started
    assert "clock" in world.run(asked.run_id).reason
    set_clock(world, HOUR + timedelta(minutes=5))
    assert not world.core.clock_is_back(world.now)
    flow(world, host, 2)
    assert asked.run_id in host.started
    assert set(dues(world).values()) == {1}
    assert set(Counter(host.started).values()) == {1}


def test_a_clock_set_back_makes_nothing_twice_over_many_steps(world: World) -> None:
    host = world.host()
    world.load(MINUTELY)
    for by in (40, -50, 20, -55, 59, -59, 60, -60):
        flow(world, host, 7)
        set_clock(world, timedelta(minutes=by))
    flow(world, host, 200)
    assert set(dues(world).values()) == {1}
    assert set(Counter(host.started).values()) == {1}


def test_a_clock_that_creeps_back_step_by_step_is_seen_too(world: World) -> None:
    """Each step is below the limit; it is the last commit that counts, not the last look."""
    host = world.host()
    world.load(MINUTELY)
    flow(world, host, 10)
    started = len(host.started)
    for _ in range(3):
        set_clock(world, -timedelta(minutes=25))
        world.create("a")
    assert world.core.clock_is_back(world.now)
    assert len(host.started) <= started + 2, "the third was asked for when the clock was too far behind"
    assert world.run(world.runs("a")[-1].run_id).state == "waiting"
