"""A scheduler that is killed while it takes over what a host holds, or after: nothing is lost or made twice."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from restore_stage import LATER, NEWER, OLD, Restored, ending, held
from runs_stage import SimHost

from apsis.messages.dispatch import (
    Answer,
    Answers,
    Counted,
    Held,
    HostHello,
    Inventory,
    Known,
    Lost,
    Reports,
    Revoked,
    Start,
)
from apsis.runs.core.inputs import HostLost, HostSaid
from apsis.runs.run import LogEntry


@pytest.fixture
def world() -> Restored:
    world = Restored()
    world.greet(Known(journal=OLD, term=1))
    return world


def killed(world: Restored, **fields: Any) -> None:
    """Kill the scheduler, start it, and have its host, which knows it as it was, say HELLO."""
    known = [Known(journal=world.tables.journal, term=world.core.book.term)]
    if world.tables.journal != OLD:
        known.append(NEWER)
    world.crash_without_hosts()
    world.greet(*known, acked=world.seq, **fields)


def log(world: Restored, run_id: str) -> tuple[LogEntry, ...]:
    row = world.tables.run(run_id)
    assert row is not None
    return row.log


def far_tells(world: Restored, *runs: Held) -> None:
    """Have another host say HELLO, which knows of what came after the backup, and tell what it holds."""
    world.hosts["far"] = SimHost("far")
    hello = HostHello(host="far", epoch="f1", boot="b1", seq=0, floor=0, version="1", cores=4, known=[NEWER])
    world.step(HostSaid(hello))
    (inventory,) = [row.command for row in world.tables.commands.values() if row.host == "far"]
    said = [*runs, Counted(seq=0, dispatch=inventory.dispatch, count=len(runs))]
    items = [replace(report, seq=number) for number, report in enumerate(said, 1)]
    world.step(HostSaid(Reports(host="far", epoch="f1", boot="b1", items=items)))


def found_under_another_number(world: Restored, **fields: Any) -> tuple[str, str]:
    """Have a run of the lost time taken over whose number was given again; return its id on its host, and its id."""
    world.restore(world.backup())
    mine = world.create("work", word="mine")
    world.greet(NEWER)
    world.tell(held(mine.run_id, "chain", **fields))
    (other,) = world.runs("chain")
    assert other.held_as == mine.run_id
    return mine.run_id, other.run_id


# What goes by another number here than on its host


def test_a_finished_run_that_goes_by_another_number_is_not_taken_over_again_after_a_restart(world: Restored) -> None:
    there, _ = found_under_another_number(world, told=False)
    killed(world)
    world.greet(Known(journal=world.tables.journal, term=world.core.book.term), boot="b2", acked=world.seq)
    killed(world, boot="b2")
    world.report(replace(ending("r99"), journal=OLD))  # of a run that is not known: all is asked for
    world.tell(held(there, "chain", archived=True))
    assert [run.state.value for run in world.runs("chain")] == ["success"]
    assert len(world.runs("after")) == 1, "its successors are not made a second time"


def test_a_true_end_is_told_beside_the_run_that_its_host_means_also_after_a_restart(world: Restored) -> None:
    there, here = found_under_another_number(world, state="started", pid=44)
    world.report(Lost(seq=0, run_id=there, at=LATER, reason="nobody knows", journal=OLD))
    assert world.run(here).state == "error"
    killed(world)
    world.report(replace(ending(there, 3), journal=OLD))
    assert "report" not in world.kinds(), "it is a run that is known"
    assert world.orders(Inventory) == []
    assert "exit 3" in log(world, here)[-1].reason
    assert world.run(there).state == "starting", "and not the one that has its number here"


def test_two_hosts_may_hold_one_name_for_two_runs(world: Restored) -> None:
    """A host that knew nothing was given the number again before the one that knows better said HELLO."""
    mine = world.create("work", word="mine")
    far_tells(world, held(mine.run_id, "chain", state="started", pid=44))
    (other,) = world.runs("chain")
    assert (other.host, other.held_as) == ("far", mine.run_id)
    world.report(replace(ending(mine.run_id), journal=OLD))
    assert (world.run(mine.run_id).state, world.run(other.run_id).state) == ("success", "running")


# Ends that are acknowledged before it is known whose they are


@pytest.mark.parametrize("kill", [False, True], ids=["", "killed in between"])
@pytest.mark.parametrize("archived", [False, True], ids=["held", "archived"])
def test_an_end_that_comes_before_the_run_is_known_has_its_successors(
    world: Restored, kill: bool, archived: bool
) -> None:
    """It is acknowledged as it comes, so its host tells it as acknowledged once; nothing followed from it by then."""
    world.restore(world.backup())
    world.greet(NEWER)
    world.report(replace(ending("r901"), journal=OLD))
    if kill:
        killed(world)
    world.tell(held("r901", "chain", told=True, archived=archived))
    assert (world.run("r901").state, len(world.runs("after"))) == ("success", 1)
    killed(world)
    world.report(replace(ending("r99"), journal=OLD))
    world.tell(held("r901", "chain", told=True))
    assert len(world.runs("after")) == 1


@pytest.mark.parametrize("kill", [False, True], ids=["", "killed in between"])
def test_an_end_of_a_run_that_counts_as_not_begun_has_its_successors(world: Restored, kill: bool) -> None:
    world.step(HostLost("local"))
    run = world.create("chain")
    assert run.state == "waiting"
    world.restore(world.backup())
    world.greet(NEWER)
    world.report(replace(ending(run.run_id), journal=OLD))
    if kill:
        killed(world)
    world.tell(held(run.run_id, "chain", told=True))
    assert (world.run(run.run_id).state, len(world.runs("after"))) == ("success", 1)


@pytest.mark.parametrize("report", [Lost(seq=0, run_id="", at=LATER, reason="x"), Revoked(seq=0, run_id="", at=LATER)])
def test_a_report_of_the_lost_time_does_not_end_a_run_that_has_not_begun_and_may_be_another(
    world: Restored, report: Any
) -> None:
    world.step(HostLost("local"))
    mine = world.create("work", word="mine")
    world.restore(world.backup())
    world.greet(NEWER)
    world.report(replace(report, run_id=mine.run_id, journal=OLD))
    assert world.run(mine.run_id).state == "waiting"
    assert world.tables.hosts["local"].forget == [], "its host is to tell of it first"
    world.tell(held(mine.run_id, "chain", state="lost", reason="nobody knows", told=True))
    assert (world.run(mine.run_id).state, world.runs("chain")[0].state) == ("starting", "error")


def test_an_end_that_the_lost_database_has_acknowledged_has_no_second_successors(world: Restored) -> None:
    world.restore(world.backup())
    world.greet(NEWER)
    killed(world)
    world.tell(held("r901", "chain", told=True))
    assert (world.run("r901").state, world.runs("after")) == ("success", [])


def test_what_is_owed_to_ends_that_a_host_does_not_hold_any_more_is_not_remembered_for_ever(world: Restored) -> None:
    world.report(*(replace(ending(f"r{number}"), journal=OLD) for number in (901, 902, 901)))
    assert world.tables.hosts["local"].owed == [f"{OLD}:r901", f"{OLD}:r902"]
    world.tell()
    assert world.tables.hosts["local"].owed == []


# Killed in the middle of an inventory


def test_killed_between_the_pages_of_an_inventory_it_asks_again_and_makes_each_successor_once(world: Restored) -> None:
    world.restore(world.backup())
    world.greet(NEWER)
    world.report(held("r901", "chain", told=False))
    killed(world)
    world.tell(held("r901", "chain", told=True), held("r902", "chain", told=False))
    assert [run.state.value for run in world.runs("chain")] == ["success", "success"]
    assert len(world.runs("after")) == 2


@pytest.mark.parametrize("answered", [False, True], ids=["", "the inventory is answered"])
def test_a_start_that_was_settled_before_is_lost_or_found_also_if_it_is_killed_while_its_host_tells(
    world: Restored, answered: bool
) -> None:
    first, run = world.create("work", word="first"), world.create("work", word="x")
    world.report(ending(first.run_id))
    (start,) = [start for start in world.orders(Start) if start.run_id == run.run_id]
    settled = Answer(dispatch=start.dispatch, run_id=run.run_id, state="settled")
    world.step(HostSaid(Answers(host="local", epoch="e1", boot="b1", items=[settled])))
    (inventory,) = world.orders(Inventory)
    assert inventory.since == ""
    if answered:
        over = Answer(dispatch=inventory.dispatch, run_id="", state="settled")
        world.step(HostSaid(Answers(host="local", epoch="e1", boot="b1", items=[over])))
    killed(world)
    (again,) = world.orders(Inventory)
    assert again.since == "", "its end may have been archived long ago"
    world.tell()
    assert (world.run(run.run_id).state, "holds nothing" in world.run(run.run_id).reason) == ("error", True)


def test_a_start_that_is_settled_while_its_host_tells_of_its_last_days_has_all_of_its_archive_asked_for(
    world: Restored,
) -> None:
    first, run = world.create("work", word="first"), world.create("work", word="x")
    world.report(ending(first.run_id), replace(ending("r901"), journal=OLD))
    (inventory,) = world.orders(Inventory)
    assert inventory.since != ""
    (start,) = [start for start in world.orders(Start) if start.run_id == run.run_id]
    settled = Answer(dispatch=start.dispatch, run_id=run.run_id, state="settled")
    world.step(HostSaid(Answers(host="local", epoch="e1", boot="b1", items=[settled])))
    world.tell(held("r901"))
    (again,) = world.orders(Inventory)
    assert (again.since, world.run(run.run_id).state) == ("", "starting")
    world.tell(held("r901"), held(run.run_id, args={"word": "x"}, archived=True))
    assert world.run(run.run_id).state == "success"
    assert world.orders(Inventory) == []


# Killed after an end


@pytest.mark.parametrize("clock", ["right", "far behind"])
def test_an_end_and_what_follows_from_it_are_one_commit_and_come_again_they_are_not_made_again(
    world: Restored, clock: str
) -> None:
    """So there is no moment, before the acknowledgement or after it, at which a kill could part them."""
    run = world.create("chain")
    if clock == "far behind":
        world.now -= timedelta(hours=3)
    end = replace(ending(run.run_id), seq=1)
    effects = world.core.step(HostSaid(Reports(host="local", epoch="e1", boot="b1", items=[end])), world.now)
    assert [row.run.job_id for row in effects.runs.values()] == ["chain", "after"]
    assert effects.hosts["local"].seq == 1
    world.tables.commit(effects)  # and it is killed: nothing of that is acknowledged
    world.crash_without_hosts()
    world.greet(Known(journal=OLD, term=1))
    again = world.step(HostSaid(Reports(host="local", epoch="e1", boot="b1", items=[end])))
    assert again.acks == {"local"}
    assert (world.run(run.run_id).state, len(world.runs("after"))) == ("success", 1)
