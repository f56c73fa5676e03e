"""A database that was put back from a backup: nothing runs twice, and what hosts know of the lost time is taken in."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from restore_stage import LATER, NEWER, OLD, Restored, ending, held
from runs_stage import BEGIN, World

from apsis.messages.dispatch import (
    Answer,
    Answers,
    Counted,
    HostHello,
    Inventory,
    Known,
    Start,
    Stop,
)
from apsis.messages.events import SysEvent
from apsis.runs.core.inputs import Began, HostSaid
from apsis.runs.core.memo import memo_of
from apsis.runs.states import State
from apsis.times import format_time


@pytest.fixture
def world() -> Restored:
    world = Restored()
    world.greet(Known(journal=OLD, term=1))
    return world


@pytest.mark.parametrize(
    "hello",
    [
        {"known": (Known(journal=OLD, term=9),)},
        {"known": (Known(journal=OLD, term=1, life=77),)},
        {"known": (Known(journal=OLD), Known(journal=4711, claims=1))},
        {"known": (Known(journal=OLD, term=1),), "acked": 5},
    ],
    ids=["a larger term", "another life of the term", "a foreign database", "reports that are not known here"],
)
def test_a_database_that_is_not_the_newest_gets_a_new_number_and_starts_nothing(hello: dict[str, Any]) -> None:
    world = Restored()
    world.core.book.life = 1
    hello = dict(hello)
    world.greet(*hello.pop("known"), **hello)
    assert world.tables.journal != OLD
    assert str(OLD) in world.tables.meta["past"].split()
    assert len(world.orders(Inventory)) == 1
    run = world.create("work", word="x")
    assert (run.state, "before the restore" in run.reason) == (State.WAITING, True)
    assert world.orders(Start) == []
    world.tell()
    assert world.run(run.run_id).state is State.STARTING


def test_a_new_host_and_one_that_comes_again_are_not_asked_for_an_inventory(world: Restored) -> None:
    world.greet(Known(journal=OLD, term=1), acked=0)
    world.crash_without_hosts()
    world.greet(Known(journal=OLD, term=2))
    assert world.tables.journal == OLD
    assert world.orders(Inventory) == []


def test_the_mark_of_a_restore_is_taken_with_the_new_number_in_one_commit(world: Restored) -> None:
    backup = world.backup()
    backup.meta["restored"] = "2026-06-30T12:00:00.000000Z"
    world.tables = backup
    world.begin()
    effects = world.core.step(Began(), world.now)
    assert effects.journal not in {None, OLD}
    assert (effects.meta["journal"], effects.meta["restored"]) == (str(effects.journal), "")
    world.tables.commit(effects)
    world.begin()
    world.step(Began())
    assert world.tables.journal == effects.journal, "once"


def test_the_new_number_goes_with_the_commit_that_gives_it(world: Restored) -> None:
    hello = HostHello(host="local", epoch="e1", boot="b1", seq=0, floor=0, version="1", cores=1, known=[NEWER])
    effects = world.core.step(HostSaid(hello), world.now)
    assert effects.meta["journal"] == str(effects.journal)
    assert next(event.kind for event in effects.events if isinstance(event, SysEvent)) == "journal"


def test_a_scheduled_run_that_ran_in_the_lost_time_gets_its_result_and_does_not_run(world: Restored) -> None:
    due = BEGIN + timedelta(seconds=20)
    made = world.create("work", at=due, word="x")
    world.restore(world.backup())
    world.greet(NEWER)
    world.advance(60)
    assert world.run(made.run_id).state is State.WAITING
    world.tell(held(made.run_id, schedule_time=format_time(due)))
    run = world.run(made.run_id)
    assert (run.state, run.timestamps["starting"], run.host) == ("success", LATER, "local")
    assert made.run_id not in {start.run_id for start in world.orders(Start)}


def test_a_start_that_was_not_answered_is_ordered_anew_only_if_its_host_holds_nothing_of_it(world: Restored) -> None:
    one, two = world.create("work", word="one"), world.create("work", word="two")
    world.restore(world.backup())
    world.greet(NEWER)
    assert world.orders(Start) == []
    world.tell(held(one.run_id, args={"word": "one"}))
    (start,) = world.orders(Start)
    assert (start.run_id, start.journal) == (two.run_id, OLD), "under the number that its claim would have"
    assert world.run(one.run_id).state is State.SUCCESS


@pytest.mark.parametrize("change", [{"epoch": "e2"}, {"boot": "b2"}])
def test_a_start_that_was_bound_to_a_spool_or_boot_that_is_gone_is_not_ordered_anew(
    world: Restored, change: dict[str, str]
) -> None:
    run = world.create("work", word="x")
    world.restore(world.backup())
    world.epoch = change.get("epoch", world.epoch)
    world.greet(NEWER, acked=0, boot=change.get("boot", "b1"))
    world.tell()
    assert world.orders(Start) == []
    assert world.run(run.run_id).state is State.ERROR
    assert "may have started" in world.run(run.run_id).reason


def test_a_running_run_of_which_its_host_holds_nothing_is_lost(world: Restored) -> None:
    run = world.create("work", word="x")
    world.step(HostSaid(Answers(host="local", epoch="e1", boot="b1",
               items=[Answer(dispatch=1, run_id=run.run_id, state="started")])))  # fmt: skip
    world.restore(world.backup())
    world.greet(NEWER)
    world.tell()
    assert (world.run(run.run_id).state, "holds nothing" in world.run(run.run_id).reason) == ("error", True)


def test_a_stop_that_was_under_way_is_ordered_again(world: Restored) -> None:
    run = world.create("work", word="x")
    world.act(run.run_id, "stop")
    world.restore(world.backup())
    world.greet(NEWER)
    assert world.orders(Stop) == []
    world.tell(held(run.run_id, state="started", pid=5))
    assert [stop.run_id for stop in world.orders(Stop)] == [run.run_id]
    assert world.orders(Start) == []


def test_an_end_that_was_known_has_no_second_successor_and_one_that_was_not_has_its_first(world: Restored) -> None:
    world.restore(world.backup())
    world.greet(NEWER)
    memo = {"version": world.core.book.jobs["chain"].version}
    world.tell(held("r700", "chain", memo=memo), held("r701", "chain", told=False, memo=memo))
    assert [run.state for run in (world.run("r700"), world.run("r701"))] == ["success", "success"]
    (after,) = world.runs("after")
    assert after.state is State.STARTING


def test_exit_codes_that_count_as_success_come_back_with_the_run(world: Restored) -> None:
    run = world.create("picky")
    memo = memo_of(world.core.book.rows[run.run_id])
    world.restore(World().tables)
    world.greet(NEWER)
    world.tell(
        held("r1001", "picky", ending=ending("r1001", 3), memo=memo),
        held("r1002", "picky", ending=ending("r1002", 1), memo=memo),
    )
    assert [world.run(run_id).state for run_id in ("r1001", "r1002")] == ["success", "failure"]


def test_lost_and_revoked_runs_are_told_as_such(world: Restored) -> None:
    world.restore(world.backup())
    world.greet(NEWER)
    world.tell(
        held("r1005", state="lost", reason="exit status unknown"),
        held("r1006", state="revoked", start=None),
        held("r1007", "", state="revoked", args={}, start=None),
    )
    assert (world.run("r1005").state, world.run("r1005").reason) == ("error", "exit status unknown")
    assert world.run("r1006").state is State.SKIPPED
    assert world.tables.run("r1007") is None
    assert world.create("work", word="n").run_id == "r1008"


def test_an_inventory_that_was_cut_off_is_asked_for_anew(world: Restored) -> None:
    world.restore(world.backup())
    world.greet(NEWER)
    (first,) = world.orders(Inventory)
    world.report(held("r1050"))
    world.crash_without_hosts()
    world.greet(Known(journal=world.tables.journal, term=world.tables.term), NEWER)
    (second,) = world.orders(Inventory)
    assert second.dispatch > first.dispatch
    world.report(Counted(seq=0, dispatch=first.dispatch, count=1))
    assert world.create("work", word="n").state is State.WAITING
    world.report(held("r1050"), Counted(seq=0, dispatch=second.dispatch, count=1))
    assert world.runs("work", "starting")
    assert [run.run_id for run in world.runs("work", "success")] == ["r1050"]


def test_a_restart_after_a_restore_asks_nothing_more(world: Restored) -> None:
    world.restore(world.backup())
    world.greet(NEWER)
    world.tell()
    journal = world.tables.journal
    world.crash_without_hosts()
    world.greet(Known(journal=journal, term=world.tables.term - 1), NEWER)
    assert (world.tables.journal, world.orders(Inventory)) == (journal, [])


def test_a_report_about_a_run_that_is_not_known_has_its_host_asked(world: Restored) -> None:
    world.report(replace(ending("r1099"), journal=OLD))
    world.tell(held("r1099", told=False))
    assert world.run("r1099").state is State.SUCCESS
    assert world.tables.journal == OLD


def test_a_start_that_was_settled_before_is_not_invented_an_end_but_asked_for(world: Restored) -> None:
    first, run = world.create("work", word="first"), world.create("work", word="x")
    world.report(ending(first.run_id))
    (_, start) = world.orders(Start)
    answer = Answer(dispatch=start.dispatch, run_id=run.run_id, state="settled")
    world.step(HostSaid(Answers(host="local", epoch="e1", boot="b1", items=[answer])))
    assert world.run(run.run_id).state is State.STARTING
    (inventory,) = world.orders(Inventory)
    assert inventory.since == "", "its journal may lie long in the archive"
    world.tell(held(run.run_id, archived=True))
    assert world.run(run.run_id).state is State.SUCCESS


def test_only_what_was_archived_since_the_last_report_is_asked_for(world: Restored) -> None:
    run = world.create("work", word="x")
    world.report(ending(run.run_id))
    heard = world.tables.hosts["local"].heard
    world.advance(3600)
    world.restore(world.backup())
    world.greet(NEWER, acked=1)
    (inventory,) = world.orders(Inventory)
    assert "" < inventory.since < heard


def test_answers_to_commands_of_another_database_settle_nothing(world: Restored) -> None:
    world.create("work", word="x")
    (start,) = world.orders(Start)
    answer = Answer(dispatch=start.dispatch, run_id=start.run_id, state="refused", reason="no")
    world.step(HostSaid(Answers(host="local", epoch="e1", boot="b1", items=[answer], journal=99)))
    assert world.orders(Start) == [start]


def test_nothing_is_sent_to_a_host_that_has_not_greeted_this_life(world: Restored) -> None:
    """Commands that the backup holds open would come before its host could say that they were obeyed long ago."""
    world.create("work", word="x")
    assert world.outbox.due(world.mono)
    world.restore(world.backup())
    world.mono += 60
    assert world.outbox.due(world.mono) == []
    assert world.outbox.next() is None
    world.greet(NEWER)
    ((_, commands),) = world.outbox.due(world.mono)
    assert [type(command) for command in commands.items] == [Inventory]
