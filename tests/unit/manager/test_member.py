"""One service under the manager: what follows what, without a process or a clock."""

import pytest

from apsis_services.manager.member import (
    GRACE,
    LONGEST_PAUSE,
    Adopted,
    Deed,
    Died,
    Due,
    Member,
    Order,
    Phase,
    Ready,
    Spawned,
    pause,
    step,
)


def after(*facts, member=None, at=0.0):
    """Return the member after facts, each given as a fact or as (time, fact), and the deeds."""
    member, deeds = member or Member("web"), []
    for fact in facts:
        at, fact = fact if isinstance(fact, tuple) else (at, fact)
        member, deed = step(member, fact, at)
        deeds.append(deed)
    return member, deeds


def test_a_service_that_crashes_after_it_was_ready_is_started_again_at_once():
    member, deeds = after(Order.START, Spawned(7), (1, Ready()), (60, Died(-9)))
    assert deeds == [Deed.START, None, None, Deed.START]
    assert (member.phase, member.restarts, member.pid) == (Phase.STARTING, 1, None)


def test_one_that_dies_before_it_is_ready_waits_longer_each_time_up_to_ten_seconds():
    member, pauses, now = Member("web"), [], 0.0
    member, _ = step(member, Order.START, now)
    for _ in range(9):
        member, deed = step(member, Died(1), now)
        assert (deed, member.phase) == (None, Phase.WAITING)
        pauses.append(member.due - now)
        assert step(member, Due(), member.due - 0.01) == (member, None)
        now = member.due
        member, deed = step(member, Due(), now)
        assert (deed, member.phase) == (Deed.START, Phase.STARTING)
    assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10])
    member, _ = after(Ready(), (now + 100, Died(1)), member=member, at=now)
    assert (member.phase, member.early) == (Phase.STARTING, 0), "a good life forgets the bad ones"


def test_one_that_dies_right_after_it_is_ready_again_and_again_is_not_started_in_a_loop():
    member, now = after(Order.START)[0], 0.0
    deeds = []
    for _ in range(6):
        member, _ = step(member, Ready(), now)
        member, deed = step(member, Died(1), now + 0.1)
        deeds.append(deed)
        if member.phase is Phase.WAITING:
            now = member.due
            member, _ = step(member, Due(), now)
    assert deeds == [Deed.START] * 3 + [None] * 3


def test_one_that_says_it_cannot_start_is_failed_and_tried_again_later_or_when_asked():
    member, deeds = after(Order.START, Died(3))
    assert (member.phase, deeds[-1], member.due) == (Phase.FAILED, None, LONGEST_PAUSE)
    assert step(member, Order.RESTART, 1)[1] is Deed.START
    assert step(member, Due(), LONGEST_PAUSE)[1] is Deed.START
    stopped, deed = step(member, Order.STOP, 1)
    assert (stopped.phase, deed) == (Phase.DOWN, None)


def test_a_stop_is_followed_by_a_kill_after_its_grace_and_by_nothing_once_it_has_ended():
    member, deeds = after(Order.START, Ready(), (10, Order.STOP))
    assert (member.phase, deeds[-1]) == (Phase.STOPPING, Deed.TERMINATE)
    assert step(member, Due(), 10 + GRACE - 0.1)[1] is None
    killed, deed = step(member, Due(), 10 + GRACE)
    assert deed is Deed.KILL
    assert step(killed, Due(), 100) == (killed, None)
    for last in (member, killed):
        down, deed = step(last, Died(0), 20)
        assert (down.phase, deed, down.wanted) == (Phase.DOWN, None, False)


def test_a_restart_stops_it_and_starts_it_and_is_no_crash():
    member, deeds = after(Order.START, Ready(), (10, Order.RESTART), (11, Died(0)))
    assert deeds[-2:] == [Deed.TERMINATE, Deed.START]
    assert (member.phase, member.restarts) == (Phase.STARTING, 0)


def test_a_process_from_before_is_adopted_and_not_started():
    member, deeds = after(Adopted(7, ready=True), Order.START)
    assert (member.phase, member.pid, deeds) == (Phase.RUNNING, 7, [None, None])
    member, deeds = after((5, Died(None)), member=member)
    assert (member.phase, deeds) == (Phase.STARTING, [Deed.START])


def test_one_whose_lock_another_process_holds_is_looked_for_and_not_counted_as_a_crash():
    member, deeds = after(Order.START, Died(75))
    assert (deeds[-1], member.phase, member.restarts) == (Deed.ADOPT, Phase.WAITING, 0)
    member, _ = step(member, Adopted(9, ready=False), 1)
    assert (member.phase, member.pid, member.due) == (Phase.STARTING, 9, None)


@pytest.mark.parametrize("phase", Phase)
def test_no_phase_is_left_waiting_for_nothing(phase):
    """From each phase an order to stop ends in DOWN, by a death if there is a process."""
    member = Member("web", wanted=True, phase=phase, pid=7)
    member, deed = step(member, Order.STOP, 0)
    if deed is None and member.phase is not Phase.STOPPING:
        assert member.phase is Phase.DOWN
    member, _ = step(member, Died(0), 1)
    assert member.phase is Phase.DOWN


def test_pauses_double():
    assert [pause(n) for n in (1, 2, 3)] == [0.2, 0.4, 0.8]
