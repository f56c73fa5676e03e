"""All services together: the order in which they start and stop, and the word for their state."""

from apsis_services.manager.fleet import MODULES, Action, Fleet
from apsis_services.manager.member import Adopted, Deed, Died, Phase, Ready, Spawned

OTHERS = [name for name in MODULES if name != "hub"]


def running():
    fleet = Fleet()
    fleet.advance(0)
    fleet.hear("hub", Ready(), 1)
    for name in OTHERS:
        fleet.hear(name, Ready(), 2)
    return fleet


def test_the_hub_is_started_first_then_all_others_at_once():
    fleet = Fleet()
    assert fleet.advance(0) == [Action(Deed.START, "hub")]
    assert fleet.hear("hub", Spawned(1), 0.1) == []
    assert fleet.state == "starting"
    assert fleet.hear("hub", Ready(), 0.2) == [Action(Deed.START, name) for name in OTHERS]
    assert fleet.advance(1) == []


def test_a_hub_that_cannot_start_does_not_hold_up_the_others():
    fleet = Fleet()
    fleet.advance(0)
    assert fleet.hear("hub", Died(3), 0.1) == [Action(Deed.START, name) for name in OTHERS]
    assert fleet.state == "degraded"


def test_they_stop_one_by_one_in_reverse_order_and_the_hub_last():
    fleet = running()
    assert fleet.state == "ok"
    stopped = []
    actions = fleet.stop(10)
    while actions:
        (action,) = actions
        assert action.deed is Deed.TERMINATE
        stopped.append(action.name)
        assert fleet.advance(10) == [], "the next waits until this one is down"
        actions = fleet.hear(action.name, Died(0), 10)
    assert stopped == [*reversed(MODULES)]
    assert fleet.is_down
    assert fleet.state == "stopped"


def test_one_that_does_not_end_is_killed_after_its_grace_and_the_next_is_stopped():
    fleet = running()
    (first,) = fleet.stop(10)
    assert fleet.advance(fleet.next_due()) == [Action(Deed.KILL, first.name)]
    assert fleet.hear(first.name, Died(-9), 16)[0].deed is Deed.TERMINATE


def test_what_dies_while_all_are_stopped_is_not_started_again():
    fleet = running()
    fleet.hear("store", Died(3), 9)
    fleet.hear("store", Died(3), 9)
    fleet.stop(10)
    assert fleet.hear("scheduler", Died(-9), 10) == []
    assert fleet.members["scheduler"].phase is Phase.DOWN
    assert Deed.START not in [action.deed for action in fleet.advance(100)]


def test_what_runs_already_is_not_started():
    fleet = Fleet()
    for name in MODULES:
        assert Action(Deed.START, name) not in fleet.hear(name, Adopted(1, ready=True), 0)
    assert fleet.advance(1) == []
    assert fleet.state == "ok"


def test_a_crash_shows_as_degraded_until_it_is_ready_again():
    fleet = running()
    assert fleet.hear("web", Died(-9), 50) == [Action(Deed.START, "web")]
    assert fleet.state == "degraded"
    fleet.hear("web", Ready(), 51)
    assert fleet.state == "ok"
    assert fleet.members["web"].phase is Phase.RUNNING
