"""Pausing and resuming a job, or everything: what starts meanwhile, and what is on record of what does not."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from runs_stage import BEGIN, SHELL, World

from apsis.messages.events import SysEvent
from apsis.messages.requests import Done, Failed, PauseJobs, ResumeJobs
from apsis.runs.run import Exit
from apsis.runs.states import State
from apsis.times import format_time

NO_OP = {"type": "no-op"}
HOURLY = {"program": NO_OP, "schedule": {"type": "interval", "interval": 3600, "name": "hourly"}}


def at(hours: float) -> str:
    return format_time(BEGIN + timedelta(hours=hours))


def pause(world: World, job_id: str | None = "a", reason: str = "the feed is broken") -> Done | Failed:
    return world.ask(PauseJobs(job_id=job_id, reason=reason))


def resume(world: World, job_id: str | None = "a") -> Done | Failed:
    return world.ask(ResumeJobs(job_id=job_id), actor="user:bob")


def not_run(world: World) -> list[dict[str, Any]]:
    return [event.detail for event in world.tables.events if isinstance(event, SysEvent) and event.kind == "not_run"]


def ran(world: World, job_id: str = "a") -> list[str | None]:
    return [run.schedule_time for run in world.runs(job_id) if run.state is State.SUCCESS]


def test_scheduled_runs_of_a_paused_job_do_not_start(world: World) -> None:
    world.load({"a": HOURLY, "b": HOURLY})
    world.advance(3600)
    pause(world)
    world.advance(5 * 3600)
    assert ran(world) == [at(1)]
    assert len(ran(world, "b")) == 6, "nothing else is held"


def test_what_was_due_during_a_pause_is_on_record_as_one_range_with_the_reason(world: World) -> None:
    world.load({"a": HOURLY})
    pause(world)
    world.advance(5 * 3600 + 60)
    resume(world)
    world.advance(1)
    (record,) = not_run(world)
    assert (record["job_id"], record["schedule"]) == ("a", "hourly")
    assert (record["first"], record["last"], record["count"]) == (at(1), at(5), 5)
    said = "a is paused by user:ann since 2026-06-30T12:00:00.000000Z: the feed is broken; resumed by user:bob"
    assert record["reason"].startswith(said)


def test_a_resumed_job_starts_from_now_and_never_back(world: World) -> None:
    world.load({"a": HOURLY})
    pause(world)
    world.advance(5 * 3600 + 60)
    resume(world)
    world.advance(2 * 3600)
    assert ran(world) == [at(6), at(7)]


def test_a_pause_survives_a_restart_and_what_is_missed_meanwhile_is_not_caught_up(world: World) -> None:
    world.load({"a": HOURLY})
    pause(world)
    world.advance(3600 + 60)
    world.now += timedelta(hours=100)
    world.crash()
    world.advance(3600)
    assert ran(world) == []
    resume(world)
    world.crash()
    world.advance(3600)
    assert ran(world) == [at(103)]
    (record,) = not_run(world)
    assert (record["first"], record["last"], record["count"]) == (at(1), at(102), 102)


def test_people_may_run_a_paused_job_and_start_what_it_has_scheduled(world: World) -> None:
    world.load({"a": HOURLY})
    pause(world)
    assert world.create("a").state is State.SUCCESS
    first = world.runs("a", "scheduled")[0]
    assert isinstance(world.act(first.run_id, "start"), Done)
    later = world.create("a", BEGIN + timedelta(minutes=10))
    world.advance(3600 * 2)
    assert world.run(first.run_id).state is State.SUCCESS
    assert world.run(later.run_id).state is State.SUCCESS
    assert isinstance(world.act("r1", "skip"), Failed)
    resume(world)
    world.advance(1)
    (record,) = not_run(world)
    assert (record["first"], record["count"]) == (at(2), 1), "the one that was started by hand is no missing one"


def test_what_waits_when_its_job_is_paused_goes_on_when_it_is_resumed(world: World) -> None:
    world.load({"a": {"program": SHELL, "schedule": HOURLY["schedule"]}})
    world.advance(3600)
    (waiting,) = world.runs("a", "waiting")
    pause(world)
    host = world.host()
    world.settle()
    assert host.started == []
    assert "a is paused by user:ann" in world.run(waiting.run_id).reason
    resume(world)
    world.settle()
    assert host.started == [waiting.run_id]


def test_what_runs_when_its_job_is_paused_runs_on(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    run = world.create("a")
    world.settle()
    pause(world)
    host.finish(run.run_id, world.now)
    world.settle()
    assert world.run(run.run_id).state is State.SUCCESS


def test_successors_that_are_paused_are_left_out_and_say_why(world: World) -> None:
    world.load({"up": {"program": NO_OP, "successors": "a"}, "a": HOURLY})
    pause(world)
    world.create("up")
    world.advance(1)
    (run,) = [run for run in world.runs("a") if not run.expected]
    assert run.state is State.SKIPPED
    assert "a is paused by user:ann" in run.reason


def test_everything_can_be_paused_jobs_to_come_too(world: World) -> None:
    world.load({"a": HOURLY})
    pause(world, None, "moving house")
    world.load({"a": HOURLY, "b": HOURLY})
    world.advance(2 * 3600 + 60)
    assert ran(world) == ran(world, "b") == []
    resume(world, None)
    world.advance(3600)
    assert ran(world) == ran(world, "b") == [at(3)]
    assert {(record["job_id"], record["count"]) for record in not_run(world)} == {("a", 2), ("b", 2)}
    assert all("everything is paused by user:ann" in record["reason"] for record in not_run(world))
    kinds = [
        event.kind
        for event in world.tables.events
        if isinstance(event, SysEvent) and event.kind in {"paused", "resumed"}
    ]
    assert kinds == ["paused", "resumed"]


@pytest.mark.parametrize("first", ["a", None])
def test_of_two_pauses_both_must_be_over_and_each_due_time_is_on_record_once(world: World, first: str | None) -> None:
    second = None if first else "a"
    world.load({"a": HOURLY})
    pause(world, first)
    world.advance(2 * 3600)
    pause(world, second)
    world.advance(2 * 3600)
    resume(world, first)
    world.advance(2 * 3600)
    assert ran(world) == []
    resume(world, second)
    world.advance(3600)
    assert ran(world) == [at(7)]
    assert sum(record["count"] for record in not_run(world)) == 6
    assert {record["first"] for record in not_run(world)} == {at(1)}


def test_a_job_that_changes_while_it_is_paused_loses_no_due_time(world: World) -> None:
    world.load({"a": HOURLY})
    pause(world)
    world.advance(2 * 3600 + 1)
    other = {"program": NO_OP, "schedule": {"type": "interval", "interval": 1800, "name": "hourly"}}
    world.load({"a": other})
    world.advance(3600)
    resume(world)
    world.advance(1)
    assert [(record["first"], record["count"]) for record in not_run(world)] == [(at(1), 2), (at(2.5), 2)]
    assert all("paused" in record["reason"] for record in not_run(world))


def test_pausing_twice_and_resuming_what_is_not_paused_is_refused_with_who_did_it(world: World) -> None:
    world.load({"a": HOURLY})
    assert isinstance(resume(world), Failed)
    pause(world)
    again = pause(world)
    assert isinstance(again, Failed)
    assert again.code == "conflict"
    assert "paused by user:ann since" in again.message
    unknown = pause(world, "nobody")
    assert isinstance(unknown, Failed)
    assert unknown.code == "not_found"
    long = pause(world, None, "x" * 1001)
    assert isinstance(long, Failed)
    assert isinstance(pause(world, ""), Failed)


def test_a_job_shows_who_holds_it_since_when_and_why(world: World) -> None:
    world.load({"a": HOURLY})
    answer = pause(world)
    assert isinstance(answer, Done)
    held = {"by": "user:ann", "at": at(0), "reason": "the feed is broken"}
    assert answer.result == {"job_id": "a", "paused": {"job_id": "a", **held}}
    assert world.tables.jobs["a"].doc["paused"] == held
    world.load({"a": {**HOURLY, "metadata": {"description": "new"}}})
    assert world.tables.jobs["a"].doc["paused"] == held, "also after a reload"
    resume(world)
    assert world.tables.jobs["a"].doc["paused"] is None


def test_a_long_pause_of_many_jobs_is_recorded_in_steps_that_a_due_run_can_come_between() -> None:
    world = World()
    fast = {"program": NO_OP, "schedule": {"type": "interval", "interval": 60}}
    world.load({f"j{n}": fast for n in range(20)})
    pause(world, None)
    world.advance(86_400)
    resume(world, None)
    steps: list[datetime] = []
    while len(not_run(world)) < 20:
        effects = world.step(_tick())
        steps.append(world.now)
        assert len(effects.events) < 60
        assert len(steps) < 50
    assert len(steps) >= 3
    assert {record["count"] for record in not_run(world)} == {1440}


def _tick() -> Any:
    from apsis.runs.core.inputs import Tick

    return Tick()


def test_a_pause_does_not_stop_a_retry_that_a_person_asked_for(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    world.create("a")
    world.settle()
    host.finish("r1", world.now, Exit(code=1))
    world.settle()
    pause(world)
    assert isinstance(world.act("r1", "rerun"), Done)
    world.settle()
    assert host.started == ["r1", "r2"]
