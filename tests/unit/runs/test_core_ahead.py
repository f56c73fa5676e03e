"""Runs made ahead: the horizon and its three limits, the refilling, and what new rules of time zones change."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from runs_stage import BEGIN, World

from apsis.messages.events import SysEvent
from apsis.runs.core.inputs import Began
from apsis.runs.states import State
from apsis.times import format_time

NO_OP = {"type": "no-op"}


def each(seconds: float, **terms: Any) -> dict[str, Any]:
    return {"program": NO_OP, "schedule": {"type": "interval", "interval": seconds, **terms}}


def ahead(world: World, job_id: str = "a") -> list[str]:
    return sorted(str(run.schedule_time) for run in world.runs(job_id, "scheduled"))


def at(seconds: float) -> str:
    return format_time(BEGIN + timedelta(seconds=seconds))


def test_limit_horizon_runs_are_made_as_far_ahead_as_it_says_and_with_time_the_next() -> None:
    world = World(horizon=7200)
    world.load({"a": each(600)})
    assert ahead(world) == [at(600 * n) for n in range(1, 13)]
    world.advance(599)
    assert len(ahead(world)) == 12
    world.advance(1)
    assert ahead(world) == [at(600 * n) for n in range(2, 14)]


def test_limit_max_ahead_no_more_are_made_for_a_schedule_and_the_next_when_one_has_started() -> None:
    world = World(max_ahead=3)
    world.load({"a": each(600)})
    assert ahead(world) == [at(600), at(1200), at(1800)]
    world.advance(600)
    assert ahead(world) == [at(1200), at(1800), at(2400)]


def test_limit_max_ahead_is_that_of_each_schedule_of_a_job() -> None:
    world = World(max_ahead=3)
    schedules = [{"type": "interval", "interval": 600, "phase": phase} for phase in (0, 60)]
    world.load({"a": {"program": NO_OP, "schedule": schedules}})
    assert len(ahead(world)) == 6


def test_limit_in_all_no_more_are_made_ahead_and_at_least_one_for_each_schedule() -> None:
    world = World(total_ahead=20)
    world.load({f"j{n}": each(60) for n in range(30)})
    assert [len(ahead(world, f"j{n}")) for n in range(30)] == [20] + [1] * 29
    world.advance(600)
    assert all(len(world.runs(f"j{n}", "success")) == 10 for n in range(30)), "none of them is forgotten for it"


def test_a_schedule_that_is_due_once_a_year_is_made_when_the_horizon_comes_to_it(world: World) -> None:
    world.load({"a": {"program": NO_OP, "schedule": {"type": "cron", "cron": "0 0 1 1 *", "tz": "UTC"}}})
    assert ahead(world) == []
    world.advance((datetime(2026, 12, 31, tzinfo=BEGIN.tzinfo) - BEGIN).total_seconds() - 1)
    world.crash()
    assert ahead(world) == []
    world.advance(1)
    assert ahead(world) == ["2027-01-01T00:00:00.000000Z"]


DAILY = {"program": NO_OP, "schedule": {"type": "daily", "tz": "America/New_York", "daytime": "20:00:00"}}


def test_new_rules_of_time_zones_make_the_runs_ahead_anew(world: World) -> None:
    """As if the rules by which they were made had another offset: the cursor and the run are an hour too late."""
    world.step(Began(zones="2025a"))
    world.load({"a": DAILY, "b": each(3600)})
    before = {run.run_id: run.schedule_time for run in world.runs("b", "scheduled")}
    (run,) = world.runs("a", "scheduled")
    other = format_time(BEGIN + timedelta(hours=13))
    shift_by_an_hour(world, run.run_id, other)
    world.begin()
    world.step(Began(zones="2025b"))
    world.load(world.jobs)
    assert ahead(world) == ["2026-07-01T00:00:00.000000Z"]
    assert {run.run_id: run.schedule_time for run in world.runs("b", "scheduled")} == before, "others keep their ids"
    (event,) = [
        event.detail for event in world.tables.events if isinstance(event, SysEvent) and event.kind == "time_zones"
    ]
    assert event == {"before": "2025a", "now": "2025b"}
    world.advance(86_400)
    assert [run.schedule_time for run in world.runs("a", "success")] == ["2026-07-01T00:00:00.000000Z"]


def shift_by_an_hour(world: World, run_id: str, text: str) -> None:
    from msgspec.structs import replace

    from apsis.runs.core.effects import Effects
    from apsis.runs.core.rows import RunRow

    row = world.tables.run(run_id)
    assert row is not None
    world.tables._drop(row.num)
    moved = replace(row.run, schedule_time=text)
    world.tables.commit(Effects(runs={run_id: RunRow(row.num, row.args_key, moved, row.facts, row.log)}))


@pytest.mark.parametrize("killed", [False, True])
def test_the_rules_are_taken_over_with_the_runs_and_not_before(world: World, killed: bool) -> None:
    world.step(Began(zones="2025a"))
    world.load({"a": DAILY})
    world.begin()
    world.step(Began(zones="2025b"))
    if killed:
        assert world.tables.meta["zones"] == "2025a"
        world.begin()
        world.step(Began(zones="2025b"))
    world.load(world.jobs)
    assert world.tables.meta["zones"] == "2025b"
    kinds = [event.kind for event in world.tables.events if isinstance(event, SysEvent) and event.kind == "time_zones"]
    assert kinds == ["time_zones"]


def test_the_same_rules_change_nothing(world: World) -> None:
    world.step(Began(zones="2025a"))
    world.load({"a": DAILY})
    events = len(world.tables.events)
    world.begin()
    world.step(Began(zones="2025a"))
    world.load(world.jobs)
    assert len(world.tables.events) == events + 1


# Stop schedules


STOP = {"type": "duration", "duration": 600}


def stopping(stop: dict[str, Any], **program: Any) -> dict[str, Any]:
    start = {"type": "daily", "tz": "Europe/Berlin", "daytime": "20:00:00", "name": "s"}
    return {"program": {"type": "no-op", "duration": 86_000, **program}, "schedule": {"start": start, "stop": stop}}


def test_row_stop_duration_a_run_is_stopped_so_long_after_its_due_time(world: World) -> None:
    world.load({"a": stopping(STOP)})
    world.advance(86_400)
    (run,) = world.runs("a", "success")
    assert run.timestamps["stopping"] == run.stop_time == "2026-06-30T18:10:00.000000Z"
    assert run.reason == "stopped by its stop schedule"


def test_row_stop_daytime_a_run_is_stopped_at_the_next_such_time_of_day(world: World) -> None:
    world.load({"a": stopping({"type": "daytime", "daytime": "06:00:00", "tz": "Europe/Berlin"})})
    world.advance(86_400)
    assert [run.timestamps["stopping"] for run in world.runs("a", "success")] == ["2026-07-01T04:00:00.000000Z"]


@pytest.mark.parametrize(
    ("day", "daytime", "stopped"),
    [
        ("2026-03-28", "02:30:00", "2026-03-29T01:00:00.000000Z"),  # in the gap: the first instant after it
        ("2026-10-24", "02:30:00", "2026-10-25T00:30:00.000000Z"),  # in the fold: the first of the two
    ],
)
def test_a_stop_at_a_time_of_day_in_the_gap_and_in_the_fold(day: str, daytime: str, stopped: str) -> None:
    world = World()
    world.now = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    world.begin()
    world.load({"a": stopping({"type": "daytime", "daytime": daytime, "tz": "Europe/Berlin"})})
    world.advance(86_400)
    assert [run.timestamps["stopping"] for run in world.runs("a", "success")] == [stopped]


def test_a_run_that_still_waits_when_it_is_to_be_stopped_is_skipped_and_says_so(world: World) -> None:
    world.load({"a": {**stopping(STOP), "program": {"type": "program", "argv": ["/bin/true"]}}})
    world.advance(86_400)
    (run,) = world.runs("a", "skipped")
    assert run.timestamps["skipped"] == run.stop_time
    assert run.reason.startswith("its stop time, 2026-06-30T18:10:00.000000Z, has come; waiting for host local")


def test_a_stop_that_was_missed_while_the_scheduler_was_away_is_made_up_for(world: World) -> None:
    world.load({"a": stopping(STOP)})
    world.advance(6 * 3600 + 60)
    world.now += timedelta(hours=2)
    world.crash()
    world.advance(1)
    (run,) = world.runs("a", "success")
    assert run.timestamps["stopping"] == format_time(world.now - timedelta(seconds=1))


@pytest.mark.parametrize("as_", ["now", "then"])
def test_a_rerun_after_its_stop_time_gets_a_new_one_of_the_same_length_and_says_so(world: World, as_: str) -> None:
    world.load({"a": stopping(STOP)})
    world.advance(86_400)
    (run,) = world.runs("a", "success")
    world.act(run.run_id, "rerun", as_=as_)
    (again,) = [each for each in world.runs("a") if each.rerun_of == run.run_id]
    assert again.stop_time == format_time(world.now + timedelta(minutes=10))
    assert "the stop time, 2026-06-30T18:10:00.000000Z, has passed: it has a new one, 10m from now" in reasons(
        world, again
    )
    world.advance(86_400)
    assert world.run(again.run_id).timestamps["stopping"] == again.stop_time


def test_a_rerun_before_its_stop_time_keeps_it(world: World) -> None:
    world.load({"a": stopping(STOP, duration=60, success=False)})
    world.advance(6 * 3600 + 120)
    (run,) = world.runs("a", "failure")
    world.act(run.run_id, "rerun", as_="now")
    (again,) = [each for each in world.runs("a") if each.rerun_of == run.run_id]
    assert again.stop_time == run.stop_time


def test_rerun_as_then_takes_the_job_as_it_was_and_as_now_as_it_is(world: World) -> None:
    world.load({"a": {"program": {"type": "no-op", "success": False}, "params": ["x"]}})
    run = world.create("a", x="1")
    world.advance(1)
    world.load({"a": {"program": NO_OP, "params": ["x"]}})
    for as_ in ("then", "now"):
        world.act(run.run_id, "rerun", as_=as_)
    world.advance(1)
    first, then, now = world.runs("a")
    assert (then.state, now.state) == (State.FAILURE, State.SUCCESS)
    assert then.job_version == first.job_version != now.job_version
    assert then.args == now.args == {"x": "1"}
    assert first.reruns == [then.run_id, now.run_id]
    assert [f"with its job as it {word}" in reasons(world, each) for word, each in (("was", then), ("is", now))] == [
        True
    ] * 2


def test_a_rerun_is_not_late_by_the_time_since_the_first_was_due(world: World) -> None:
    world.load({"a": each(3600)})
    world.advance(3600)
    world.now += timedelta(hours=20)
    world.act("r1", "rerun", as_="now")
    (again,) = [run for run in world.runs("a") if run.rerun_of]
    assert again.schedule_time == at(3600)
    assert again.late_by == 0
    assert again.raised == []


def reasons(world: World, run: Any) -> str:
    row = world.tables.run(run.run_id)
    assert row is not None
    return " / ".join(entry.reason for entry in row.log)
