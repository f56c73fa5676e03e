"""A run that cannot be ended stays stopping, and says which process and in which state."""

from runs_stage import SHELL, World

from apsis.messages.dispatch import Stuck
from apsis.messages.requests import Done
from apsis.runs.run import Exit
from apsis.runs.states import State
from apsis.times import format_time


def test_an_unkillable_run_stays_stopping_with_process_and_state_as_its_reason(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    run = world.create("a")
    world.settle()
    assert isinstance(world.act(run.run_id, "kill"), Done)
    world.settle()
    host.report(Stuck, run_id=run.run_id, at=format_time(world.now), pid=4711, state="D")
    world.settle()
    stuck = world.run(run.run_id)
    assert stuck.state is State.STOPPING
    assert "killed by" in stuck.reason
    assert "process 4711 was killed and waits for the kernel, which no signal interrupts (state D)" in stuck.reason
    assert host.forgotten == [], "its journal is still needed"
    host.finish(run.run_id, world.now, Exit(signal=9, killed_by="stop by user:ann"), stopped=True)
    world.settle()
    assert world.run(run.run_id).state is State.FAILURE


def test_one_that_was_reported_stuck_too_late_changes_nothing(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    run = world.create("a")
    world.settle()
    host.finish(run.run_id, world.now)
    world.settle()
    before = world.run(run.run_id)
    host.report(Stuck, run_id=run.run_id, at=format_time(world.now), pid=4711, state="D")
    world.settle()
    after = world.run(run.run_id)
    assert (after.state, after.reason) == (before.state, before.reason)
