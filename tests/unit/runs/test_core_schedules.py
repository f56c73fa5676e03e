"""Runs made ahead: cursors, stable ids, changes of jobs, and due times that were missed."""

from datetime import timedelta
from typing import Any

import pytest
from runs_stage import BEGIN, SHELL, World

from apsis.messages.requests import Done
from apsis.runs.states import State
from apsis.times import format_time

NO_OP = {"type": "no-op"}


def each(seconds: float, **terms: Any) -> dict[str, Any]:
    return {"type": "interval", "interval": seconds, **terms}


def ids(world: World, job_id: str = "a") -> list[tuple[str, str | None]]:
    return [(run.run_id, run.schedule_time) for run in world.runs(job_id, "scheduled")]


def not_run(world: World) -> list[dict[str, Any]]:
    return [event.detail for event in world.tables.events if getattr(event, "kind", "") == "not_run"]


def test_runs_are_made_ahead_up_to_the_horizon_and_no_more_than_allowed(world: World) -> None:
    world.load({"a": {"program": NO_OP, "schedule": each(3600)}, "b": {"program": NO_OP, "schedule": each(10)}})
    assert len(ids(world, "a")) == 24
    assert len(ids(world, "b")) == 100
    world.advance(3600)
    assert len(ids(world, "a")) == 24
    assert len(world.runs("a", "success")) == 1
    assert len(ids(world, "b")) == 100


def test_in_all_no_more_are_made_than_allowed_but_one_for_each_schedule() -> None:
    world = World(total_ahead=30)
    world.load({f"j{n}": {"program": NO_OP, "schedule": each(60)} for n in range(10)})
    assert sum(len(ids(world, f"j{n}")) for n in range(10)) <= 40
    assert all(ids(world, f"j{n}") for n in range(10))
    world.advance(600)
    assert all(len(world.runs(f"j{n}", "success")) == 10 for n in range(10))


def test_ids_of_future_runs_are_the_same_after_a_restart(world: World) -> None:
    world.load({"a": {"program": NO_OP, "schedule": each(600)}})
    before = ids(world)
    events = len(world.tables.events)
    world.crash()
    assert ids(world) == before
    assert len(world.tables.events) == events
    world.advance(601)
    assert ids(world)[:20] == before[1:21]


def test_a_new_schedule_starts_from_now_and_never_back(world: World) -> None:
    world.load({"a": {"program": NO_OP}})
    world.advance(3600)
    world.load({"a": {"program": NO_OP, "schedule": each(60)}})
    first = world.runs("a")[0]
    assert first.schedule_time == format_time(BEGIN + timedelta(seconds=3660))


def test_a_changed_job_keeps_the_runs_that_are_still_due_and_withdraws_the_others(world: World) -> None:
    world.load({"a": {"program": NO_OP, "schedule": each(600)}})
    before = dict(ids(world))
    world.load({"a": {"program": {"type": "no-op", "duration": 1}, "schedule": each(600)}})
    assert dict(ids(world)) == before, "the same times: the same runs"
    world.load({"a": {"program": NO_OP, "schedule": each(1200)}})
    kept = dict(ids(world))
    assert set(kept.values()) >= {time for n, time in enumerate(sorted(before.values())) if n % 2 == 1}
    assert {run_id: kept[run_id] for run_id in kept if run_id in before}.items() <= before.items()
    withdrawn = [event for event in world.tables.events if getattr(event, "event", "") == "withdrawn"]
    assert [len(event.withdrawn) for event in withdrawn] == [len(before) // 2], "one event lists them all"
    world.load({})
    assert ids(world) == []
    world.advance(3600)
    assert world.runs("a", "success") == []


def test_a_changed_schedule_with_a_name_starts_from_now(world: World) -> None:
    world.load({"a": {"program": NO_OP, "schedule": each(600, name="s")}})
    world.advance(10)
    world.now += timedelta(seconds=1800)
    world.load({"a": {"program": NO_OP, "schedule": each(300, name="s")}})
    times = sorted(str(time) for _, time in ids(world))
    assert times[0] == format_time(BEGIN + timedelta(seconds=2100))


def test_a_scheduled_run_that_was_skipped_is_not_made_again_when_its_job_changes(world: World) -> None:
    world.load({"a": {"program": NO_OP, "schedule": each(600)}})
    first = ids(world)[0]
    assert isinstance(world.act(first[0], "skip"), Done)
    world.load({"a": {"program": NO_OP, "schedule": each(600), "metadata": {"description": "changed"}}})
    assert first[1] not in [time for _, time in ids(world)]
    world.advance(700)
    assert world.runs("a", "success") == []


def test_two_schedules_that_give_the_same_time_and_args_make_one_run(world: World) -> None:
    schedules = [each(600, name="one"), each(1200, name="two")]
    world.load({"a": {"program": NO_OP, "schedule": schedules}})
    times = [time for _, time in ids(world)]
    assert len(times) == len(set(times))
    world.crash()
    world.advance(3600)
    assert len(world.runs("a", "success")) == 6


def test_schedules_with_different_args_make_a_run_each(world: World) -> None:
    schedules = [each(600, args={"host": name}) for name in ("x", "y")]
    world.load({"a": {"program": NO_OP, "params": ["host"], "schedule": schedules}})
    world.advance(600)
    assert sorted(run.args["host"] for run in world.runs("a", "success")) == ["x", "y"]


def test_what_was_missed_is_caught_up_once(world: World) -> None:
    world.load({"a": {"program": NO_OP, "schedule": each(60)}})
    world.advance(60)
    # away for four hours: 100 runs had been made ahead, the others not
    world.now += timedelta(hours=4)
    world.crash()
    world.advance(1)
    assert len(world.runs("a", "success")) == 241
    due = [run.schedule_time for run in world.runs("a", "success")]
    assert len(set(due)) == 241
    world.crash()
    world.advance(1)
    assert len(world.runs("a", "success")) == 241
    assert not_run(world) == []


@pytest.mark.parametrize(
    ("terms", "more"), [({"catch_up": "none"}, 0), ({"catch_up": "last"}, 1), ({"max_age": 1200}, 20)]
)
def test_what_is_not_caught_up_is_recorded_as_one_range(world: World, terms: dict[str, Any], more: int) -> None:
    world.load({"a": {"program": NO_OP, "schedule": each(60, **terms)}})
    world.advance(90)
    world.now += timedelta(hours=4)
    world.crash()
    world.advance(1)
    assert len(world.runs("a", "success")) in (1 + more, 2 + more)
    (detail,) = not_run(world)
    skipped = world.runs("a", "skipped")
    ran = len(world.runs("a", "success"))
    assert detail["count"] + len(skipped) + ran == 241, "each due time has run, or says why not"
    assert all("away" in run.reason for run in skipped)


def test_when_its_runs_cannot_start_a_schedule_is_caught_up_a_hundred_at_a_time(world: World) -> None:
    world.load({"a": {"program": SHELL, "schedule": each(60)}})
    world.now += timedelta(hours=10)
    world.crash()
    assert len(world.runs("a", "waiting")) <= 201
    assert ids(world), "what lies ahead is made all the same"
    host = world.host(cores=100)
    for _ in range(20):
        world.settle()
        for run_id in host.started:
            if host.journals[run_id] == "claimed":
                host.finish(run_id, world.now)
    world.settle()
    assert len(world.runs("a", "success")) == 600


def test_a_schedule_that_is_switched_off_makes_no_runs(world: World) -> None:
    world.load({"a": {"program": NO_OP, "schedule": each(60)}})
    world.load({"a": {"program": NO_OP, "schedule": each(60, enabled=False)}})
    assert ids(world) == []
    world.advance(600)
    world.load({"a": {"program": NO_OP, "schedule": each(60)}})
    assert ids(world)[0][1] == format_time(BEGIN + timedelta(seconds=660))


def test_a_reload_that_would_remove_many_jobs_is_held_until_forced(world: World) -> None:
    jobs = {f"j{n}": {"program": NO_OP, "schedule": each(60)} for n in range(10)}
    world.load(jobs)
    few = {"j0": jobs["j0"]}
    world.load(few)
    assert len(world.tables.jobs) == 10
    assert "9 of 10" in world.core.held
    world.load(few, force=True)
    assert list(world.tables.jobs) == ["j0"]
    assert world.core.held == ""


def test_an_unreadable_directory_removes_nothing(world: World) -> None:
    world.load({"a": {"program": NO_OP, "schedule": each(60)}})
    world.load({}, unreadable="permission denied")
    assert list(world.tables.jobs) == ["a"]
    assert len(ids(world)) == 100


def test_a_broken_file_keeps_the_last_good_version(world: World) -> None:
    world.load({"a": {"program": NO_OP, "schedule": each(60)}})
    world.load({}, broken=frozenset({"a"}), errors=[{"file": "a.yaml", "line": 3, "column": 1, "message": "no"}])
    assert list(world.tables.jobs) == ["a"]
    assert "a.yaml" in world.tables.meta["job_errors"]
    world.advance(60)
    assert world.runs("a", "success")


def test_a_waiting_run_of_a_removed_job_goes_on_with_its_own_version(world: World) -> None:
    world.load({"a": {"program": {"type": "program", "argv": ["/bin/mine"]}}})
    run = world.create("a")
    assert run.state is State.WAITING
    world.load({})
    world.crash()
    host = world.host()
    world.settle()
    assert host.started == [run.run_id]
    assert world.run(run.run_id).program["argv"] == ["/bin/mine"]


def test_a_scheduled_run_takes_the_version_of_the_day_it_starts(world: World) -> None:
    world.load({"a": {"program": NO_OP, "schedule": each(60)}})
    world.load({"a": {"program": {"type": "no-op", "success": False}, "schedule": each(60)}})
    world.advance(60)
    assert [run.state for run in world.runs("a") if run.state is not State.SCHEDULED] == [State.FAILURE]


def test_before_the_jobs_were_read_nothing_becomes_due(world: World) -> None:
    world.load({"a": {"program": NO_OP, "schedule": each(60)}})
    world.now += timedelta(seconds=61)
    world.begin()
    world.advance(1)
    assert world.runs("a", "success") == []
    world.load({})
    world.advance(1)
    assert world.runs("a", "success") != [] or world.runs("a", "error") != []
