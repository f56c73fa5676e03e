"""A run whose host cannot be reached: marked, never started elsewhere, and ended only by a person who gives it up."""

from typing import Any

import pytest
from runs_stage import SHELL, World

from apsis.messages.dispatch import Finished, HostHello, Known, Reports, Revoke, Start, Started, Stop
from apsis.messages.events import RunEvent
from apsis.messages.requests import Done, Failed
from apsis.runs.core.inputs import HostLost, HostSaid
from apsis.runs.run import Exit
from apsis.runs.states import State
from apsis.times import format_time

JOBS: dict[str, dict[str, Any]] = {"work": {"program": SHELL}, "one": {"program": SHELL, "successors": ["work"]}}


@pytest.fixture
def world() -> World:
    world = World()
    world.load(JOBS)
    world.host()
    return world


def orders(world: World, kind: Any) -> list[Any]:
    return [row.command for row in world.tables.commands.values() if isinstance(row.command, kind)]


def lose(world: World) -> None:
    world.wired = False
    world.step(HostLost("local"))
    world.advance(11)


def test_a_run_whose_host_is_there_is_not_abandoned(world: World) -> None:
    run = world.create("work")
    world.settle()
    failed = world.act(run.run_id, "abandon")
    assert isinstance(failed, Failed)
    assert (failed.code, "can be reached" in failed.message) == ("conflict", True)
    assert world.run(run.run_id).state is State.RUNNING


@pytest.mark.parametrize("prepare", ["finished", "waiting"])
def test_only_what_may_run_is_abandoned(world: World, prepare: str) -> None:
    run = world.create("work")
    world.settle()
    if prepare == "finished":
        world.hosts["local"].finish(run.run_id, world.now)
        world.settle()
    lose(world)
    failed = world.act(run.run_id if prepare == "finished" else world.create("work").run_id, "abandon")
    assert isinstance(failed, Failed)
    assert failed.code == "conflict"


def test_an_abandoned_run_ends_in_error_and_its_host_is_ordered_to_revoke_it(world: World) -> None:
    run = world.create("one")
    world.settle()
    lose(world)
    assert not world.run(run.run_id).reachable
    assert isinstance(world.act(run.run_id, "abandon"), Done)
    ended = world.run(run.run_id)
    assert (ended.state, ended.reachable, ended.pid) == ("error", True, None)
    assert "abandoned by user:ann" in ended.reason
    (revoke,) = orders(world, Revoke)
    assert (revoke.run_id, revoke.journal) == (run.run_id, 1)


def test_what_had_not_reached_its_host_is_taken_back(world: World) -> None:
    """A start that still waits in the queue would start what nobody waits for any more."""
    world.wired = False
    run = world.create("work")
    world.act(run.run_id, "stop")
    world.step(HostLost("local"))
    world.advance(11)
    assert (len(orders(world, Start)), len(orders(world, Stop))) == (1, 1)
    world.act(run.run_id, "abandon")
    assert orders(world, Start) + orders(world, Stop) == []
    assert len(orders(world, Revoke)) == 1


def test_the_true_result_of_an_abandoned_run_stands_in_its_log_beside_the_state(world: World) -> None:
    run = world.create("one")
    world.settle()
    lose(world)
    world.act(run.run_id, "abandon")
    after = world.runs("work")
    world.wired = True
    world.step(HostSaid(world.hosts["local"].hello()))
    world.hosts["local"].finish(run.run_id, world.now, Exit(code=3))
    world.settle()
    assert world.run(run.run_id).state is State.ERROR
    (refused,) = [event for event in world.tables.events if isinstance(event, RunEvent) and event.event == "refused"]
    assert "exit 3" in refused.reason
    assert world.runs("work") == after, "nothing follows from it twice"
    world.advance(2)
    assert run.run_id in world.hosts["local"].forgotten


@pytest.mark.parametrize("report", ["started", "finished", "unknown host"])
def test_a_report_that_the_table_refuses_is_written_down_and_acknowledged(world: World, report: str) -> None:
    run = world.create("work")
    world.settle()
    host = world.hosts["local"]
    host.finish(run.run_id, world.now)
    world.settle()
    text = format_time(world.now)
    late: Any = Started(seq=host.seq + 1, run_id=run.run_id, at=text, pid=9)
    name, seq = "local", host.seq + 1
    if report == "finished":
        late = Finished(seq=seq, run_id=run.run_id, start=text, end=text, elapsed=0.1, exit=Exit(signal=9))
    elif report == "unknown host":
        name, seq = "other", 1
        world.host("other")
        late = Started(seq=1, run_id=run.run_id, at=text, pid=9)
    before = world.run(run.run_id)
    effects = world.decide(HostSaid(Reports(host=name, epoch="e1", boot="b1", items=[late])))
    assert effects.acks == {name}
    assert world.tables.hosts[name].seq == seq
    after = world.run(run.run_id)
    assert (after.state, after.exit, after.rev) == (before.state, before.exit, before.rev + 1)
    assert world.events(run.run_id)[-1] == "refused"


def test_a_hello_of_a_spool_that_counts_on_asks_for_nothing(world: World) -> None:
    """`acked` and numbers that we know ourselves are no sign of a restore."""
    run = world.create("work")
    world.settle()
    world.hosts["local"].finish(run.run_id, world.now)
    world.settle()
    seq = world.tables.hosts["local"].seq
    known = [Known(journal=1, term=1)]
    world.step(HostSaid(HostHello(host="local", epoch="e1", boot="b1", seq=seq, acked=seq, floor=1, version="1",
                                  cores=4, known=known)))  # fmt: skip
    assert world.tables.journal == 1
