"""The auto-rerun rule: which ends are tried again, when, how often, and the chain that is left behind."""

from datetime import timedelta
from typing import Any

import pytest
from runs_stage import BEGIN, SHELL, World

from apsis.messages.requests import Done, PauseJobs
from apsis.runs.core.inputs import ClockSet
from apsis.runs.run import Exit, Run
from apsis.runs.states import State
from apsis.times import format_time

BAD = {"type": "no-op", "success": False}
ERROR = {"type": "no-op", "success": None}


def job(program: dict[str, Any] = BAD, **rule: Any) -> dict[str, Any]:
    return {"program": program, "retry": {"count": 2, **rule}}


def chain(world: World, job_id: str = "a") -> list[Run]:
    return world.runs(job_id)


def test_row_retry_a_failure_is_tried_again_so_often_and_no_more(world: World) -> None:
    world.load({"a": job()})
    world.create("a")
    world.advance(1)
    assert [(run.attempt, run.state) for run in chain(world)] == [(n, State.FAILURE) for n in range(3)]
    assert "all 2 retries are used up" in world.tables.runs[3].log[-1].reason


def test_the_chain_is_shown_both_ways(world: World) -> None:
    world.load({"a": job()})
    world.create("a")
    world.advance(1)
    first, second, third = chain(world)
    assert (first.retry_of, second.retry_of, third.retry_of) == (None, first.run_id, second.run_id)
    assert (first.reruns, second.reruns, third.reruns) == ([second.run_id], [third.run_id], [])


def test_the_delay_grows_by_the_backoff_up_to_its_limit(world: World) -> None:
    world.load({"a": job(count=4, delay=10, backoff=3, max_delay=60)})
    world.create("a")
    world.advance(300)
    at = [(run.not_before or format_time(BEGIN), run.timestamps[State.RUNNING]) for run in chain(world)]
    assert all(due == began for due, began in at), "neither early nor late"
    began = [world.run(run.run_id).timestamps[State.RUNNING] for run in chain(world)]
    waits = [10, 30, 60, 60]
    assert began == [format_time(BEGIN + timedelta(seconds=sum(waits[:n]))) for n in range(5)]


def test_a_delay_of_a_century_and_more_is_no_error(world: World) -> None:
    world.load({"a": job(count=100_000, delay="1000 days", backoff=1e200)})
    world.create("a")
    for _ in range(3):
        world.advance(1000 * 86_400)
    assert [run.state for run in chain(world)] == [State.FAILURE, State.FAILURE, State.SCHEDULED]


def test_a_success_is_not_tried_again_and_ends_the_chain(world: World) -> None:
    world.load({"a": {"program": SHELL, "retry": {"count": 5, "delay": 5}, "successors": "b"}, "b": {"program": BAD}})
    host = world.host()
    world.create("a")
    world.settle()
    host.finish("r1", world.now, Exit(code=1))
    world.advance(5)
    assert world.runs("b") == [], "a failure that is tried again has no successors"
    host.finish("r2", world.now)
    world.advance(60)
    assert [run.state for run in chain(world)] == [State.FAILURE, State.SUCCESS]
    assert len(world.runs("b")) == 1, "the success of a retry has"


@pytest.mark.parametrize(("on", "program", "times"), [("failure", BAD, 3), ("failure", ERROR, 1), ("error", ERROR, 3)])
def test_only_the_outcomes_that_the_rule_names_are_tried_again(
    world: World, on: str, program: dict[str, Any], times: int
) -> None:
    world.load({"a": job(program, on=on)})
    world.create("a")
    world.advance(1)
    assert len(chain(world)) == times


@pytest.mark.parametrize(("code", "times"), [(75, 2), (1, 1)])
def test_only_the_exit_codes_that_the_rule_names_are_tried_again(world: World, code: int, times: int) -> None:
    world.load({"a": {"program": SHELL, "retry": {"count": 1, "exit_codes": [75]}}})
    host = world.host()
    world.create("a")
    world.settle()
    host.finish("r1", world.now, Exit(code=code))
    world.settle()
    assert len(chain(world)) == times


@pytest.mark.parametrize("verb", ["stop", "kill"])
def test_what_a_person_has_ended_is_not_tried_again(world: World, verb: str) -> None:
    world.load({"a": {"program": SHELL, "retry": {"count": 3}}})
    host = world.host()
    world.create("a")
    world.settle()
    assert isinstance(world.act("r1", verb), Done)
    world.settle()
    host.finish("r1", world.now, Exit(code=1), stopped=True)
    world.settle()
    assert [run.state for run in chain(world)] == [State.FAILURE]
    assert "not tried again: it was ended by user:ann" in world.tables.runs[1].log[-1].reason


def test_what_was_abandoned_is_not_tried_again(world: World) -> None:
    world.load({"a": {"program": SHELL, "retry": {"count": 3}}})
    world.host()
    world.create("a")
    world.settle()
    world.lose("local")
    world.advance(60)
    assert isinstance(world.act("r1", "abandon"), Done)
    world.advance(60)
    assert len(chain(world)) == 1


def test_what_never_came_to_its_start_is_not_tried_again(world: World) -> None:
    world.load({"a": {"program": {"type": "program", "argv": ["{{ 1 / 0 }}"]}, "retry": {"count": 3}}})
    assert world.create("a").state is State.ERROR
    world.advance(60)
    assert len(chain(world)) == 1


@pytest.mark.parametrize("seconds", [0, 5])
def test_a_retry_is_made_once_whatever_crashes(seconds: float) -> None:
    """Its end and its retry are one commit: whoever comes after finds both or none."""
    world = World()
    world.load({"a": {"program": SHELL, "retry": {"count": 1, "delay": seconds}}})
    host = world.host()
    world.create("a")
    world.settle()
    host.finish("r1", world.now, Exit(code=1))
    world.step_without_sending()
    world.crash()
    world.advance(seconds)
    world.crash()
    world.settle()
    assert [run.run_id for run in chain(world)] == ["r1", "r2"]
    assert host.started == ["r1", "r2"]


def test_a_retry_keeps_the_due_time_that_it_stands_for_and_is_not_late_by_it(world: World) -> None:
    schedule = {"type": "interval", "interval": 3600, "args": {}}
    world.load({"a": {**job(count=1, delay=600), "params": ["time"], "schedule": schedule}})
    world.advance(3600 + 601)
    first, retry = [run for run in chain(world) if run.state is State.FAILURE]
    assert retry.schedule_time == first.schedule_time
    assert retry.args == first.args
    assert retry.late_by == 0
    assert not retry.expected


def test_a_retry_that_waits_takes_the_job_as_it_is_then(world: World) -> None:
    world.load({"a": job(count=1, delay=60)})
    world.create("a")
    world.load({"a": {"program": {"type": "no-op"}}})
    world.advance(60)
    assert [run.state for run in chain(world)] == [State.FAILURE, State.SUCCESS]


def test_no_retry_is_made_for_after_the_stop_time(world: World) -> None:
    schedule = {"start": {"type": "interval", "interval": 3600}, "stop": {"type": "duration", "duration": 100}}
    world.load({"a": {"program": BAD, "schedule": schedule, "retry": {"count": 5, "delay": 60}}})
    world.advance(3700)
    runs = [run for run in chain(world) if run.state is not State.SCHEDULED]
    assert [run.attempt for run in runs] == [0, 1]
    assert runs[0].stop_time == runs[1].stop_time
    row = world.tables.run(runs[1].run_id)
    assert row is not None
    assert "its stop time" in row.log[-1].reason


def test_a_retry_of_a_paused_job_does_not_start(world: World) -> None:
    world.load({"a": job(delay=60)})
    world.create("a")
    assert isinstance(world.ask(PauseJobs(job_id="a", reason="broken feed")), Done)
    world.advance(61)
    assert [run.state for run in chain(world)] == [State.FAILURE, State.SKIPPED]
    assert "paused by user:ann" in chain(world)[1].reason


def test_skipping_a_retry_ends_the_chain(world: World) -> None:
    world.load({"a": job(delay=60)})
    world.create("a")
    assert isinstance(world.act("r2", "skip"), Done)
    world.advance(600)
    assert len(chain(world)) == 2


@pytest.mark.parametrize("by", [-1800.0, 7200.0])
def test_a_clock_that_is_set_changes_nothing_about_how_long_a_retry_waits(world: World, by: float) -> None:
    world.load({"a": job(count=1, delay=600), "n": {"program": {"type": "no-op", "duration": 600}}})
    world.create("a")
    world.create("n")
    world.advance(60)
    world.now += timedelta(seconds=by)
    world.step(ClockSet(by))
    world.crash()
    world.advance(539)
    assert [run.state for run in chain(world)] == [State.FAILURE, State.SCHEDULED]
    assert world.runs("n")[0].state is State.RUNNING
    world.advance(1)
    assert [run.state for run in chain(world)] == [State.FAILURE, State.FAILURE]
    assert world.runs("n")[0].state is State.SUCCESS
