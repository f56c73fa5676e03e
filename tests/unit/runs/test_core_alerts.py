"""What the core does of alerts: each note once into its run's log; `schedule` it follows itself, the rest it keeps."""

from typing import Any

import pytest
from runs_stage import World

from apsis.actions import ScheduleAction, When
from apsis.messages.alerts import AlertNote, AlertNotes, AlertsNoted
from apsis.runs.core.inputs import AlertsSaid
from apsis.runs.states import State

HOOK = {"type": "webhook", "url": "https://example.com/"}
FAILS = {"program": {"type": "no-op", "success": False}}
JOBS: dict[str, dict[str, Any]] = {
    "told": {**FAILS, "action": [HOOK, {"type": "schedule", "job_id": "next"}, {"type": "email", "to": "a@b.c"}]},
    "next": {"program": {"type": "no-op"}},
    "unfit": {"params": ["n"], "program": {"type": "no-op", "duration": "{{ 1 / (n | int) }}"}, "action": HOOK},
}


@pytest.fixture
def world() -> World:
    world = World()
    world.load(JOBS)
    return world


def say(world: World, *numbers: int, run_id: str = "r1", epoch: str = "e", after: int | None = None) -> int:
    """Tell these notes, and return up to where they are acknowledged."""
    items = [AlertNote(seq=number, run_id=run_id, text=f"note {number}") for number in numbers]
    world.step(AlertsSaid(AlertNotes(epoch=epoch, after=numbers[0] - 1 if after is None else after, items=items), "me"))
    answer: Any = world.replies[-1]
    assert isinstance(answer, AlertsNoted)
    assert answer.epoch == epoch
    return answer.seq


def notes(world: World, run_id: str = "r1") -> list[str]:
    row = world.tables.run(run_id)
    assert row is not None
    return [entry.reason for entry in row.log if entry.actor == "alerts"]


def test_each_note_is_written_once_however_often_it_comes_and_whoever_is_killed(world: World) -> None:
    world.create("told")
    assert say(world, 1, 2) == 2
    assert say(world, 1, 2, 3) == 3
    world.crash()
    assert say(world, 2, 3) == 3
    assert say(world, 4) == 4
    assert notes(world) == ["note 1", "note 2", "note 3", "note 4"]


def test_a_note_after_a_gap_is_not_written_before_what_is_missing(world: World) -> None:
    world.create("told")
    assert say(world, 1, 3, after=0) == 1
    assert notes(world) == ["note 1"]
    assert say(world, 2, 3) == 3


def test_a_scheduler_that_was_put_back_goes_on_from_what_was_acknowledged(world: World) -> None:
    world.create("told")
    assert say(world, 8, 9, after=7) == 9
    assert notes(world) == ["note 8", "note 9"]


def test_a_new_file_of_alerts_begins_anew(world: World) -> None:
    world.create("told")
    say(world, 1, 2)
    assert say(world, 1, epoch="f") == 1
    assert notes(world) == ["note 1", "note 2", "note 1"]


def test_a_note_about_a_run_that_is_not_there_is_acknowledged_all_the_same(world: World) -> None:
    assert say(world, 1, run_id="r999") == 1


def test_a_note_follows_nothing_and_the_run_keeps_its_state(world: World) -> None:
    run = world.create("told")
    made = len(world.runs("next"))
    say(world, 1)
    assert world.run(run.run_id).state is State.FAILURE
    assert made == len(world.runs("next")) == 1


def test_of_a_runs_actions_the_core_carries_out_schedule_alone_and_binds_all(world: World) -> None:
    run = world.create("told")
    assert [action["type"] for action in run.actions] == ["webhook", "schedule", "email"]
    assert len(world.runs("next")) == 1


def test_a_run_that_does_not_bind_still_has_whom_to_tell(world: World) -> None:
    run = world.create("unfit", n="0")
    assert run.state is State.ERROR
    assert run.actions == [HOOK]


def test_a_schedule_action_of_the_config_follows_every_end_but_its_own() -> None:
    world = World(actions=(ScheduleAction(job_id="next", when=When()),))
    world.load({"a": FAILS, "next": JOBS["next"]})
    world.create("a")
    assert len(world.runs("next")) == 1
