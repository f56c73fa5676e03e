"""A claim that a stop has taken: what that says of a run depends on whether it had begun."""

import pytest
from msgspec.structs import replace
from runs_stage import SHELL, World

from apsis.messages.dispatch import Reports, Revoked, Started
from apsis.runs.core.inputs import HostSaid
from apsis.times import format_time


@pytest.fixture
def world(world: World) -> World:
    world.wired = False
    world.load({"work": {"program": SHELL}})
    world.host()
    return world


def say(world: World, *reports: Started | Revoked) -> None:
    items = [replace(report, seq=world.tables.hosts["local"].seq + at) for at, report in enumerate(reports, 1)]
    world.step(HostSaid(Reports(host="local", epoch="e1", boot="b1", items=items)))


def test_a_run_whose_claim_was_taken_before_its_start_is_skipped(world: World) -> None:
    run = world.create("work")
    world.act(run.run_id, "stop")
    say(world, Revoked(seq=0, run_id=run.run_id, at=format_time(world.now)))
    assert world.run(run.run_id).state == "skipped"


@pytest.mark.parametrize("stopping", [True, False], ids=["stopping", "running"])
def test_a_run_that_had_begun_and_whose_claim_could_be_taken_again_is_lost(world: World, stopping: bool) -> None:
    """A cut of the power took its journal, and the stop that came then found none: no more will ever be heard of it."""
    run = world.create("work")
    say(world, Started(seq=0, run_id=run.run_id, at=format_time(world.now), pid=44))
    if stopping:
        world.act(run.run_id, "stop")
    say(world, Revoked(seq=0, run_id=run.run_id, at=format_time(world.now)))
    found = world.run(run.run_id)
    assert (found.state, found.pid) == ("error", None)
    assert found.exit is not None
    assert "has lost its journal" in found.exit.error
    assert world.tables.hosts["local"].forget != []
