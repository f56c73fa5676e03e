"""Disks without room: what is due waits and says why, what runs goes on, and all go on when there is room."""

from typing import Any

import pytest
from runs_stage import SHELL, World

from apsis.runs.core.inputs import RoomSeen

LACK = "less than 2.0 GiB is free on the disk of the spool; make room in /spool"


@pytest.mark.parametrize("place", ["", "local"])
def test_without_room_runs_wait_with_that_reason_and_go_on_when_there_is_room(world: World, place: str) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    before = world.create("a")
    world.settle()
    world.step(RoomSeen(place, LACK))
    runs = [world.create("a") for _ in range(3)]
    world.advance(60)
    assert host.started == [before.run_id]
    assert {world.run(run.run_id).state for run in runs} == {"waiting"}
    assert all(LACK in world.run(run.run_id).reason for run in runs)
    host.finish(before.run_id, world.now)
    world.settle()
    assert world.run(before.run_id).state == "success"
    world.step(RoomSeen(place, ""))
    world.settle()
    assert host.started == [before.run_id, *(run.run_id for run in runs)]


def test_a_host_without_room_holds_up_no_other_program(world: World) -> None:
    world.load({"a": {"program": SHELL}, "none": {"program": {"type": "no-op"}}})
    host = world.host()
    world.step(RoomSeen("elsewhere", LACK))
    world.create("a")
    world.settle()
    assert len(host.started) == 1
    world.step(RoomSeen("local", LACK))
    no_op = world.create("none")
    world.advance(1)
    assert world.run(no_op.run_id).state == "success", "it needs no host"
    world.step(RoomSeen("", LACK))
    no_op = world.create("none")
    world.advance(1)
    assert world.run(no_op.run_id).state == "waiting", "but it needs the database"


def test_the_same_word_again_is_no_news(world: World) -> None:
    for lack in (LACK, LACK, "", "", LACK):
        world.step(RoomSeen("local", lack))
    kinds = [(event.kind, event.detail["lack"]) for event in world.tables.events if _is_room(event)]  # type: ignore[union-attr]
    assert kinds == [("room", LACK), ("room", ""), ("room", LACK)]


def test_a_scheduler_that_starts_knows_of_no_lack_until_it_is_told(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    world.step(RoomSeen("local", LACK))
    run = world.create("a")
    world.settle()
    world.crash()
    world.settle()
    assert host.started == [run.run_id]


def _is_room(event: Any) -> bool:
    return getattr(event, "kind", "") == "room"
