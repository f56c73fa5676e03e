"""How a run is brought to its end, step by step, on a clock of our own."""

import pytest

from apsis_services.supervisor.zygote.ladder import (
    KILL_PAUSE_STUCK,
    KILL_SECONDS,
    LEFTOVER_GRACE,
    Course,
    Finish,
    KillAll,
    Policy,
    SignalGroup,
    TermRest,
    Wait,
    accept,
    advance,
    blame,
    decide,
    is_stuck,
)
from apsis_services.supervisor.zygote.orders import SignalOrder, StopOrder

POLICY = Policy(grace=10)
STOP = StopOrder(2, 30, "ann")


def follow(policy, course, now, kin=True):
    """Do what is to be done until there is something to wait for; returns the deeds, the wait and the course."""
    deeds = []
    for _ in range(20):
        action = decide(policy, course, now, kin=kin)
        if isinstance(action, (Wait, Finish)):
            return deeds, action, course
        deeds.append(action)
        course = advance(policy, course, action, now)
    raise AssertionError(f"no end of {deeds}")


def test_a_program_that_nobody_stops_is_waited_for():
    assert follow(POLICY, Course(0), 1e9)[:2] == ([], Wait(None))


def test_stop_signals_once_then_kills_when_the_grace_is_over():
    course = accept(Course(0), STOP, 100)
    deeds, wait, course = follow(POLICY, course, 100)
    assert (deeds, wait) == ([SignalGroup(2, "stop")], Wait(130))
    assert follow(POLICY, course, 129)[:2] == ([], Wait(130))
    deeds, wait, course = follow(POLICY, course, 130)
    assert deeds == [KillAll()]
    assert wait.until > 130
    assert follow(POLICY, course, wait.until)[0] == [KillAll()], "until it is gone"


def test_the_same_order_read_again_changes_nothing():
    course = follow(POLICY, accept(Course(0), STOP, 100), 100)[2]
    assert accept(course, STOP, 120) == course


@pytest.mark.parametrize(("grace", "kill_at"), [(5, 115), (100, 130)])
def test_a_later_order_may_bring_the_kill_nearer_only(grace, kill_at):
    course = follow(POLICY, accept(Course(0), STOP, 100), 100)[2]
    course = accept(course, StopOrder(15, grace, "bob"), 110)
    deeds, wait, course = follow(POLICY, course, 110)
    assert (deeds, wait) == ([SignalGroup(15, "stop")], Wait(kill_at))
    assert course.stopped_at == 100


def test_a_stop_without_grace_kills_at_once():
    course = accept(Course(0), StopOrder(9, 0, "ann"), 100)
    assert follow(POLICY, course, 100)[0] == [SignalGroup(9, "stop"), KillAll()]


def test_a_timeout_signals_once_and_kills_after_the_grace():
    policy = Policy(grace=10, timeout=20, timeout_signal=3)
    assert follow(policy, Course(100), 119)[:2] == ([], Wait(120))
    deeds, wait, course = follow(policy, Course(100), 120)
    assert (deeds, wait) == ([SignalGroup(3, "timeout")], Wait(130))
    assert follow(policy, course, 130)[0] == [KillAll()]


def test_a_timeout_does_not_disturb_a_stop():
    policy = Policy(grace=10, timeout=20)
    course = follow(policy, accept(Course(100), STOP, 119), 119)[2]
    assert follow(policy, course, 121)[:2] == ([], Wait(149))


def test_a_program_that_leaves_nothing_is_finished():
    assert follow(POLICY, Course(0, ended=5), 5, kin=False)[:2] == ([], Finish())


def test_leftovers_get_term_then_kill_and_are_given_up_at_last():
    deeds, wait, course = follow(POLICY, Course(0, ended=5), 5)
    assert (deeds, wait) == ([TermRest()], Wait(5 + LEFTOVER_GRACE))
    now = wait.until
    deeds, wait, course = follow(POLICY, course, now)
    assert deeds == [KillAll()]
    rounds = 0
    while isinstance(wait, Wait):
        assert wait.until > now
        now = wait.until
        deeds, wait, course = follow(POLICY, course, now)
        rounds += len(deeds)
    assert isinstance(wait, Finish)
    assert 5 + LEFTOVER_GRACE + KILL_SECONDS <= now <= 5 + LEFTOVER_GRACE + KILL_SECONDS + 1
    assert 20 < rounds < 100


def test_leftovers_are_left_alone_where_asked_but_not_of_a_stopped_run():
    leave = Policy(grace=10, leave=True)
    assert follow(leave, Course(0, ended=5), 5)[:2] == ([], Finish())
    stopped = follow(leave, accept(Course(0), STOP, 4), 4)[2]
    assert follow(leave, stopped._replace(ended=5), 5)[0] == [TermRest()]
    timed_out = Course(0, ended=5, timed_out_at=4, kill_at=14)
    assert follow(leave, timed_out, 5)[0] == [TermRest()]


def test_leftovers_of_a_stopped_run_have_no_more_than_its_grace():
    course = follow(POLICY, accept(Course(0), StopOrder(15, 3, "ann"), 100), 100)[2]
    deeds, wait, course = follow(POLICY, course._replace(ended=101), 101)
    assert (deeds, wait) == ([TermRest()], Wait(103))


def test_a_stop_that_comes_after_the_program_ended_hastens_its_leftovers():
    course = follow(POLICY, Course(0, ended=5), 5)[2]
    course = accept(course, StopOrder(15, 0, "ann"), 6)
    assert follow(POLICY, course, 6)[0] == [KillAll()]
    assert blame(POLICY, course, None, None) == "", "it had ended by itself"


def test_each_child_that_ends_while_killing_brings_the_next_round_at_once():
    course = Course(0, ended=5, term_at=5, killing_since=10, killed_at=10)
    assert isinstance(decide(POLICY, course, 10.001, kin=True), Wait)
    assert decide(POLICY, course._replace(reaped=True), 10.001, kin=True) == KillAll()


def test_a_program_that_cannot_be_killed_is_waited_for_without_end():
    course = Course(0, kill_at=10, killing_since=10, killed_at=9990)
    assert decide(POLICY, course, 10_000, kin=True) == KillAll()


@pytest.mark.parametrize(
    ("course", "signal", "ordered", "words"),
    [
        (Course(0), None, None, ""),
        (Course(0), 9, None, "signal 9 not sent by apsis"),
        (Course(0), 9, SignalOrder(1, 9, "bob"), "signal 9 by bob"),
        (Course(0), 11, SignalOrder(1, 9, "bob"), "signal 11 not sent by apsis"),
        (Course(0, stop=STOP, stopped_at=1), 9, None, "stop by ann"),
        (Course(0, stop=STOP, stopped_at=1), None, None, "stop by ann"),
        (Course(0, stop=STOP, stop_due=True), 9, None, "signal 9 not sent by apsis"),
        (Course(0, timed_out_at=20), 15, None, "timeout 20s"),
    ],
)
def test_what_ended_it_is_told(course, signal, ordered, words):
    assert blame(Policy(grace=10, timeout=20), course, signal, ordered) == words


def test_one_that_does_not_end_is_killed_more_and_more_rarely():
    course = Course(0, kill_at=10, killing_since=10, killed_at=100)
    assert decide(POLICY, course, 104, kin=True) == Wait(100 + KILL_PAUSE_STUCK)
    assert decide(POLICY, course, 105, kin=True) == KillAll()
    assert is_stuck(course, 15)
    assert not is_stuck(course, 14.9)
    assert not is_stuck(course._replace(ended=11), 100), "leftovers are another matter"
