"""What becomes of missed due times: each catch-up policy, `max_age`, `--since`, and the record of the rest."""

from datetime import timedelta
from typing import Any

import pytest
from runs_stage import BEGIN, World

from apsis.messages.events import SysEvent
from apsis.runs.core.inputs import Began, Tick
from apsis.runs.states import State
from apsis.times import format_time, to_micros

NO_OP = {"type": "no-op"}


def each(seconds: float, **terms: Any) -> dict[str, Any]:
    return {"program": NO_OP, "schedule": {"type": "interval", "interval": seconds, "name": "s", **terms}}


def at(seconds: float) -> str:
    return format_time(BEGIN + timedelta(seconds=seconds))


def away(world: World, seconds: float, **began: Any) -> None:
    """Let the scheduler be away, and come again; nothing has been done yet but reading the jobs."""
    world.now += timedelta(seconds=seconds)
    world.begin()
    world.step(Began(**began))
    world.load(world.jobs)


def ran(world: World, job_id: str = "a") -> list[str]:
    return sorted(str(run.schedule_time) for run in world.runs(job_id) if run.state is State.SUCCESS)


def skipped(world: World) -> dict[str | None, str]:
    return {run.schedule_time: run.reason for run in world.runs("a", "skipped")}


def not_run(world: World) -> list[dict[str, Any]]:
    return [event.detail for event in world.tables.events if isinstance(event, SysEvent) and event.kind == "not_run"]


def test_catch_up_all_runs_each_due_time_that_was_missed(world: World) -> None:
    world.load({"a": each(60, catch_up="all")})
    away(world, 3600 * 3)
    world.advance(0)
    assert ran(world) == [at(60 * n) for n in range(1, 181)]
    assert not_run(world) == []


def test_catch_up_last_runs_the_last_one_and_records_the_others(world: World) -> None:
    world = World(max_ahead=10)
    world.load({"a": each(60, catch_up="last")})
    away(world, 3600 * 3)
    world.advance(0)
    assert ran(world) == [at(10_800)]
    assert list(skipped(world)) == [at(60 * n) for n in range(1, 11)], "they had been made before"
    assert all("catch_up: last, and a later one is due too" in reason for reason in skipped(world).values())
    (record,) = not_run(world)
    assert (record["first"], record["last"], record["count"]) == (at(660), at(10_740), 169)
    assert record["reason"] == "the scheduler was away when they were due; catch_up: last"


def test_catch_up_none_runs_nothing_and_records_all(world: World) -> None:
    world = World(max_ahead=10)
    world.load({"a": each(600, catch_up="none")})
    away(world, 3600 * 3 + 120)
    world.advance(0)
    assert ran(world) == []
    assert len(skipped(world)) == 10
    assert all("catch_up: none" in reason for reason in skipped(world).values())
    (record,) = not_run(world)
    assert (record["first"], record["last"], record["count"]) == (at(6600), at(10_800), 8)
    assert record["reason"] == "the scheduler was away when they were due; catch_up: none"
    world.advance(600)
    assert ran(world) == [at(11_400)], "and goes on"


@pytest.mark.parametrize("policy", ["all", "last", "none"])
def test_what_is_late_by_less_than_a_minute_was_not_missed(world: World, policy: str) -> None:
    world.load({"a": each(600, catch_up=policy)})
    away(world, 630)
    world.advance(0)
    assert ran(world) == [at(600)]


@pytest.mark.parametrize("where", ["schedule", "config"])
def test_max_age_leaves_out_what_was_due_longer_ago(where: str) -> None:
    world = World(max_ahead=10, max_age=3600 if where == "config" else None)
    world.load({"a": each(600, **({"max_age": 3600} if where == "schedule" else {}))})
    away(world, 3600 * 3 + 1)
    world.advance(0)
    assert ran(world) == [at(7800 + 600 * n) for n in range(6)]
    assert all("max_age is 3600 s" in reason for reason in skipped(world).values())
    (record,) = not_run(world)
    assert (record["first"], record["last"], record["count"]) == (at(6600), at(7200), 2)
    assert record["reason"] == "the scheduler was away when they were due; max_age is 1h"


def test_since_leaves_out_what_was_due_before_it(world: World) -> None:
    world = World(max_ahead=5)
    world.load({"a": each(600)})
    away(world, 3600 * 3 + 1, since=to_micros(BEGIN + timedelta(hours=2)))
    world.advance(0)
    assert ran(world) == [at(7200 + 600 * n) for n in range(7)], "what was due at that very moment runs"
    assert all("given with --since" in reason for reason in skipped(world).values())
    (record,) = not_run(world)
    assert (record["first"], record["last"], record["count"]) == (at(3600), at(6600), 6)
    assert record["reason"] == "they were due before 2026-06-30T14:00:00.000000Z, given with --since"
    started = [event.detail for event in world.tables.events if isinstance(event, SysEvent) and event.kind == "started"]
    assert started == [{"term": 2, "since": at(7200)}]


def test_since_holds_also_when_the_scheduler_is_killed_before_it_has_read_the_jobs(world: World) -> None:
    world.load({"a": each(600)})
    world.now += timedelta(hours=3, seconds=1)
    world.begin()
    world.step(Began(since=to_micros(world.now)))
    away(world, 0)
    world.advance(0)
    assert ran(world) == []
    world.advance(600)
    assert ran(world) == [at(3600 * 3 + 600)]


def test_an_earlier_since_does_not_bring_back_what_a_later_one_has_left_out(world: World) -> None:
    world.load({"a": each(600)})
    away(world, 3600, since=to_micros(BEGIN + timedelta(hours=1)))
    away(world, 0, since=to_micros(BEGIN))
    world.advance(0)
    assert ran(world) == [at(3600)]


def test_each_range_of_missed_due_times_has_its_own_reason(world: World) -> None:
    world = World(max_ahead=1)
    world.load({"a": each(600, catch_up="last", max_age=3600)})
    away(world, 3600 * 3 + 1, since=to_micros(BEGIN + timedelta(hours=1)))
    world.advance(0)
    assert ran(world) == [at(10_800)]
    reasons = {record["reason"].rpartition("; ")[2].split(",")[-1]: record["count"] for record in not_run(world)}
    assert reasons == {" given with --since": 4, "max_age is 1h": 7, "catch_up: last": 5}
    ends = [(record["first"], record["last"]) for record in not_run(world)]
    assert ends == [(at(1200), at(3000)), (at(3600), at(7200)), (at(7800), at(10_200))]


def test_a_hundred_at_a_time_are_caught_up_after_what_is_due_now(world: World) -> None:
    world.load({"a": each(10), "now": each(3600)})
    world.now += timedelta(hours=3)
    world.begin()
    effects = world.load(world.jobs)
    began = [row.run for row in effects.runs.values() if row.run.state is State.RUNNING]
    assert [run.job_id for run in began[:103]].count("now") == 3, "what was made ahead is due now, and goes before"
    steps = [len([run for run in began[103:] if run.job_id == "a"])]
    while sum(steps) < 980:
        effects = world.step(Tick())
        steps.append(len([row for row in effects.runs.values() if row.run.state is State.RUNNING]))
        assert len(steps) < 30
    assert max(steps) == 100
    world.advance(0)
    assert ran(world) == sorted(at(10 * n) for n in range(1, 1081))


def test_the_rest_waits_while_as_many_as_may_be_made_ahead_wait_already(world: World) -> None:
    world = World(max_ahead=10)
    program = {"type": "program", "argv": ["/bin/true"]}
    world.load({"a": {**each(60), "program": program}})
    away(world, 3600)
    world.advance(0)
    assert len(world.runs("a", "waiting")) == 10, "those that were made ahead"
    host = world.host()
    world.settle()
    for _ in range(10):
        for run_id in list(host.started):
            if host.journals[run_id] != "done":
                host.finish(run_id, world.now)
        world.settle()
    assert len(host.started) == 60


def test_what_is_missed_after_its_stop_time_does_not_run(world: World) -> None:
    world = World(max_ahead=2)
    schedule = {
        "start": {"type": "interval", "interval": 600, "name": "s"},
        "stop": {"type": "duration", "duration": 300},
    }
    world.load({"a": {"program": NO_OP, "schedule": schedule}})
    away(world, 3600 + 60)
    world.advance(0)
    assert ran(world) == [at(3600)]
    assert all("had passed before it could start" in reason for reason in skipped(world).values())
    (record,) = not_run(world)
    assert (record["first"], record["last"], record["count"]) == (at(1800), at(3000), 3)
    assert "the time to stop them has passed" in record["reason"]


def test_what_is_missed_of_a_schedule_that_changes_meanwhile_is_on_record(world: World) -> None:
    world = World(max_ahead=2)
    world.load({"a": each(600)})
    world.jobs = {"a": each(900)}
    away(world, 3600 + 60)
    world.advance(0)
    (record,) = not_run(world)
    assert (record["first"], record["last"], record["count"]) == (at(1800), at(3600), 4)
    assert record["reason"] == "the scheduler was away when they were due, and its schedule has changed since"
    assert ran(world) == [at(600), at(1200)], "what was made before runs"


def test_a_catching_up_that_is_killed_goes_on_where_it_was(world: World) -> None:
    world.load({"a": each(10)})
    away(world, 3600 * 3)
    for _ in range(4):
        world.step(Tick())
    away(world, 0)
    world.advance(0)
    assert ran(world) == sorted(at(10 * n) for n in range(1, 1081))
