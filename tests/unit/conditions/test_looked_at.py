"""Conditions that are looked at outside of the core: what is asked, what is kept, and what is told."""

from asked_stage import NO_OP, AskedWorld
from runs_stage import SHELL

from apsis.runs.core.inputs import HostLost, RoomSeen
from apsis.runs.states import State

FILE = {"type": "file", "path": "/data/a"}
OTHER = {"type": "command", "command": "true"}
BOTH = {"program": NO_OP, "condition": [FILE, OTHER]}
WAITS = "waiting until /data/a is there"


def test_conditions_are_asked_in_order_one_at_a_time(world: AskedWorld) -> None:
    world.load({"a": BOTH})
    run = world.create("a")
    assert world.asked[run.run_id].index == 0
    world.say(run, "holds")
    assert world.asked[run.run_id].index == 1
    assert world.run(run.run_id).reason == "waiting until `true` ends with 0"
    world.say(run, "holds")
    assert world.states(run) == ["success"]
    assert world.asked == {}


def test_what_was_found_once_stays_over_a_restart_and_the_rest_is_asked_again(world: AskedWorld) -> None:
    world.load({"a": BOTH})
    run = world.create("a")
    world.say(run, "holds")
    world.crash()
    assert [question.index for question in world.asked.values()] == [1]
    world.say(run, "holds", index=0)
    assert world.states(run) == ["waiting"], "an old answer is no answer to this question"
    world.say(run, "holds")
    assert world.states(run) == ["success"]


def test_it_stays_true_while_the_run_waits_for_something_else(world: AskedWorld) -> None:
    world.load({"a": {"program": SHELL, "condition": FILE}})
    run = world.create("a")
    world.say(run, "holds")
    assert "whose supervisor is away" in world.run(run.run_id).reason
    world.crash()
    assert world.asked == {}
    world.host()
    assert world.states(run) == ["starting"]


def test_an_answer_that_comes_too_late_changes_nothing(world: AskedWorld) -> None:
    world.load({"a": {"program": SHELL, "condition": FILE}})
    world.host()
    started, skipped = world.create("a"), world.create("a")
    world.act(started.run_id, "start")
    world.act(skipped.run_id, "skip")
    assert world.asked == {}
    before = world.tables.events[-1].id
    for run in (started, skipped):
        for what in ("holds", "waits", "fails"):
            world.step_said(run.run_id, what)
    assert world.states(started, skipped) == ["starting", "skipped"]
    assert world.tables.events[-1].id == before


def test_what_is_found_is_the_reason_and_is_not_told_each_time(world: AskedWorld) -> None:
    world.load({"a": {"program": NO_OP, "condition": FILE}})
    run = world.create("a")
    assert run.reason == WAITS
    world.say(run, "waits", "it has 1 bytes\nso far")
    assert world.run(run.run_id).reason == f"{WAITS}: it has 1 bytes so far"
    before = len(world.tables.events)
    for size in range(1000):
        world.advance(1)
        world.say(run, "waits", f"it has {size} bytes")
    assert len(world.tables.events) - before < 10
    world.crash()
    assert world.run(run.run_id).reason.startswith(f"{WAITS}: it has ")
    assert len(world.tables.events) - before < 12


def test_a_condition_that_cannot_be_looked_at_ends_its_run_and_no_other(world: AskedWorld) -> None:
    world.load({"a": {"program": NO_OP, "condition": FILE}})
    run, other = world.create("a"), world.create("a")
    world.say(run, "fails", "it raised ValueError: no such day (/opt/ready.py:12)")
    assert world.states(run, other) == ["error", "waiting"]
    reason = "its condition /data/a is there: it raised ValueError: no such day (/opt/ready.py:12)"
    assert world.run(run.run_id).reason == reason


def test_one_that_was_asked_and_then_has_to_wait_for_the_clock_is_asked_again(world: AskedWorld) -> None:
    from datetime import timedelta

    world.load({"a": {"program": NO_OP, "condition": FILE}})
    run = world.create("a")
    world.now -= timedelta(hours=2)
    world.crash()
    assert world.asked == {}
    world.now += timedelta(hours=2)
    world.advance(61)
    assert world.asked[run.run_id].index == 0


def test_a_disk_without_room_does_not_hold_up_the_looking(world: AskedWorld) -> None:
    world.load({"a": {"program": NO_OP, "condition": FILE}})
    world.step(RoomSeen("", "it is full"))
    run = world.create("a")
    assert run.run_id in world.asked
    world.say(run, "holds")
    assert "room on a disk" in world.run(run.run_id).reason
    world.step(HostLost("nobody"))
    world.step(RoomSeen("", ""))
    world.settle()
    assert world.states(run) == ["success"]


def test_a_start_by_hand_passes_over_them_all(world: AskedWorld) -> None:
    conditions = [FILE, {"type": "const", "value": False}, {"type": "skip_duplicate"}, {"type": "max_running"}]
    world.load({"a": {"program": SHELL, "condition": conditions, "resources": {"db": 1}}})
    world.host()
    first, second = world.create("a"), world.create("a")
    for run in (first, second):
        world.act(run.run_id, "start")
    assert world.states(first, second) == ["starting", "starting"]
    assert world.run(first.run_id).state is State.STARTING
