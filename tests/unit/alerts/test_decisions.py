"""What is told of which end: `first_failure` and `recovered` over restarts and reruns, floods, and trying again."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apsis.messages.events import Event, JobEvent, RunEvent
from apsis.runs.run import Exit, Run
from apsis.runs.states import State
from apsis_services.alerts.backoff import LONGEST, is_over, pause
from apsis_services.alerts.decisions import Decider, Ended, Series, ends_in, series_of
from apsis_services.alerts.flood import WINDOW, Flood, summary
from apsis_services.alerts.letters import target_of

HOOK = {"type": "webhook", "url": "https://example.com/"}
AT = "2026-01-01T00:00:00.000000Z"


def run(number: int, state: str, *, job: str = "j", when: Any = None, **more: Any) -> Run:
    actions = [{**HOOK, "if": when or {}}]
    given: dict[str, Any] = {"args": {}, "actions": actions, "journal": 7, "timestamps": {state: AT}}
    return Run(run_id=f"r{number}", job_id=job, state=State(state), **{**given, **more})


def end(number: int, state: str, **more: Any) -> Ended:
    return Ended(run(number, state, **more), f"7-{number * 10}", AT)


class Memory:
    """What a ledger remembers, over as many services as one likes."""

    def __init__(self, everywhere: list[dict[str, Any]] | None = None) -> None:
        self.bad: set[Series] = set()
        self.everywhere = everywhere or []

    def tell(self, *ends: Ended | str) -> list[str]:
        decision = Decider(self.everywhere, lambda: "http://page").decide(ends, self.bad.__contains__)
        for job in decision.removed:
            self.bad = {series for series in self.bad if series[0] != job}
        for series, bad in decision.failing.items():
            (self.bad.add if bad else self.bad.discard)(series)
        return [letter.run_id for letter in decision.letters]


FIRST, AGAIN = {"first_failure": True}, {"recovered": True}


def test_row_if_states_and_exit_codes_and_late_must_all_hold() -> None:
    told = Memory().tell(
        end(1, "success", when={"states": ["failure"]}),
        end(2, "failure", when={"states": ["failure"]}),
        end(3, "failure", when={"exit_codes": [3]}, exit=Exit(code=4)),
        end(4, "failure", when={"exit_codes": [3]}, exit=Exit(code=3)),
        end(5, "success", when={"late": True}),
        end(6, "success", when={"late": True}, raised=["late"]),
        end(7, "success", when={"late": False}, raised=["late"]),
        end(8, "success"),
    )
    assert told == ["r2", "r4", "r6", "r8"]


def test_row_first_failure_is_told_once_until_a_run_ends_well_again() -> None:
    memory = Memory()
    assert memory.tell(end(1, "failure", when=FIRST), end(2, "error", when=FIRST)) == ["r1"]
    assert memory.tell(end(3, "failure", when=FIRST)) == []
    assert memory.tell(end(4, "success", when=FIRST), end(5, "failure", when=FIRST)) == ["r5"]


def test_row_recovered_is_told_once_after_a_run_that_ended_badly() -> None:
    memory = Memory()
    assert memory.tell(end(1, "success", when=AGAIN), end(2, "failure", when=AGAIN)) == []
    assert memory.tell(end(3, "success", when=AGAIN)) == ["r3"]
    assert memory.tell(end(4, "success", when=AGAIN)) == []


def test_a_rerun_that_ends_well_is_a_recovery_and_a_skipped_run_is_neither() -> None:
    memory = Memory()
    memory.tell(end(1, "failure"))
    assert memory.tell(end(2, "skipped", when=AGAIN), end(3, "skipped", when=FIRST)) == []
    assert memory.tell(end(4, "success", when=AGAIN, rerun_of="r1")) == ["r4"]


def test_another_day_is_the_same_series_and_another_region_is_not() -> None:
    memory = Memory()
    monday, tuesday = {"date": "2026-01-05", "region": "eu"}, {"date": "2026-01-06", "region": "eu"}
    assert memory.tell(end(1, "failure", when=FIRST, args=monday)) == ["r1"]
    assert memory.tell(end(2, "failure", when=FIRST, args=tuesday)) == []
    assert memory.tell(end(3, "failure", when=FIRST, args={**tuesday, "region": "us"})) == ["r3"]
    assert memory.tell(end(4, "success", when=AGAIN, args=tuesday)) == ["r4"]


def test_a_job_that_was_removed_has_no_past() -> None:
    memory = Memory()
    memory.tell(end(1, "failure", when=FIRST))
    assert memory.tell("j", end(2, "failure", when=FIRST)) == ["r2"]


@given(st.lists(st.lists(st.sampled_from(["success", "failure", "error", "skipped"]), max_size=5), max_size=8))
def test_first_failures_and_recoveries_take_turns_whatever_the_batches(batches: list[list[str]]) -> None:
    memory, told, number = Memory(), [], 0
    for batch in batches:
        ends = []
        for state in batch:
            number += 1
            ends.append(end(number, state, actions=[{**HOOK, "if": FIRST}, {**HOOK, "if": AGAIN}]))
        states = {each.run.run_id: each.run.state for each in ends}
        told += [states[run_id] for run_id in memory.tell(*ends)]
    assert all((one is State.SUCCESS) != (two is State.SUCCESS) for one, two in pairwise(told))
    assert not told or told[0] is not State.SUCCESS


def test_the_actions_of_the_config_are_held_against_every_run_and_schedule_is_the_cores() -> None:
    memory = Memory(
        [{"type": "schedule", "job_id": "x"}, {"type": "email", "to": ["a@b.c"], "if": {"states": ["error"]}}]
    )
    decision = Decider(memory.everywhere, lambda: "").decide(
        [end(1, "error", actions=[{"type": "schedule", "job_id": "y"}, HOOK])], memory.bad.__contains__
    )
    assert [(letter.event_id, letter.kind) for letter in decision.letters] == [
        ("7-10-1", "webhook"),
        ("7-10-g1", "email"),
    ]
    assert decision.letters[0].origin == "7-r1-1"


def test_only_ends_are_told_and_never_a_note_of_its_own() -> None:
    def event(number: int, name: str, old: str, actor: str = "scheduler") -> RunEvent:
        failed = run(1, "failure")
        return RunEvent(id=number, at=AT, run_id="r1", job_id="j", actor=actor, event=name, old=old, run=failed)

    events: list[Event] = [
        event(1, "starting", "new"),
        event(2, "failure", "starting"),
        event(3, "note", "failure", "alerts"),
        event(4, "mark", "failure", "user:ann"),
        event(5, "refused", "failure"),
        event(6, "success", "failure"),
        JobEvent(id=7, at=AT, job_id="k", actor="scheduler", event="removed"),
    ]
    found = ends_in(events, 7, "")
    assert [each if isinstance(each, str) else each.name for each in found] == ["7-2", "k"]
    assert ends_in(events[:6], 7, "2027") == []


def test_what_may_be_secret_in_an_address_is_not_shown() -> None:
    target, shown = target_of({"type": "webhook", "url": "https://user:pass@hooks.example.com/T0/SECRET?k=v"})
    assert shown == "https://hooks.example.com"
    assert "SECRET" not in target
    assert "pass" not in target


def test_a_flood_passes_up_to_its_limit_and_the_rest_is_one_summary() -> None:
    slack = {**HOOK, "format": "slack"}
    ends = [end(number, "failure", job=f"j{number % 3}", actions=[slack]) for number in range(1, 101)]
    letters = Decider([], lambda: "http://page").decide(ends, lambda _: False).letters
    flood = Flood(10)
    kept = [letter for letter in letters if not flood.lets_pass(letter, 1000.0)]
    assert [letter.run_id for letter in kept] == [f"r{number}" for number in range(11, 101)]
    assert flood.due(1000.0 + WINDOW - 1) == []
    assert flood.due(1000.0 + WINDOW) == [letters[0].target]
    one = summary(kept)
    assert one.facts["reason"] == "90 runs have ended: 90 in failure"
    assert len(one.facts["lines"]) == 51
    assert "40 more" in one.facts["lines"][-1]
    assert one.facts["url"] == "http://page/runs"
    assert flood.lets_pass(letters[0], 1000.0 + WINDOW)


def test_programs_are_told_of_each_end_however_many() -> None:
    letters = Decider([], lambda: "").decide([end(number, "failure") for number in range(99)], lambda _: False).letters
    flood = Flood(1)
    assert all(flood.lets_pass(letter, 0.0) for letter in letters)


def test_the_pauses_double_up_to_an_hour_and_end_after_a_day() -> None:
    pauses = [pause(attempts) for attempts in range(1, 40)]
    assert pauses[:5] == [2, 4, 8, 16, 32]
    assert max(pauses) == LONGEST
    assert pause(1, asked=60) == 60
    assert pause(1, asked=10**9) == LONGEST
    assert not is_over(0, 86_399, 86_400)
    assert is_over(0, 86_400, 86_400)


@pytest.mark.parametrize("name", ["time", "date", "daytime", "calendar", "tz", "sched_date", "schedule_time"])
def test_what_a_schedule_fills_in_makes_no_other_series(name: str) -> None:
    assert series_of(run(1, "failure", args={name: "a"})) == series_of(run(2, "failure", args={name: "b"}))
