"""What the core promises of one command, one journal, one ack."""

import msgspec
import pytest

from apsis.messages.dispatch import (
    Ack,
    Answer,
    Finished,
    Forget,
    Inventory,
    Known,
    Lost,
    Revoke,
    Signal,
    Started,
    Stop,
    Stuck,
)
from apsis.runs.run import Exit
from apsis_services.supervisor import protocol as p
from apsis_services.supervisor.core import START_ATTEMPTS, Core
from apsis_services.supervisor.deeds import TABLE, RunCommand
from apsis_services.supervisor.facts import Ending, Facts, Key, Phase
from apsis_services.supervisor.outbox import Ledger

JOURNAL = 7
KEY = Key(JOURNAL, "r1")
CLAIM = Facts(phase=Phase.CLAIMED, dispatch=1, job_id="etl/load", args_hash="aa", args={"date": "2026-01-01"})
STARTED = Facts(phase=Phase.STARTED, dispatch=1, job_id="etl/load", args_hash="aa", at="t", pid=5)
DONE = Facts(
    phase=Phase.DONE,
    dispatch=1,
    job_id="etl/load",
    args_hash="aa",
    ending=Ending(start="t", end="u", elapsed=1.0, exit=Exit(code=0)),
)


@pytest.fixture
def core() -> Core:
    core = Core("e1", "b1", Ledger(), {})
    core.step(p.LinkUp(), 0.0)
    core.step(p.Tick(), 0.0)
    core.step(p.Acked(Ack(journal=JOURNAL, term=1, epoch="e1", seq=0)), 0.0)
    return core


def answers(core: Core, now: float = 0.0) -> list[Answer]:
    return [item for effect in core.step(p.Tick(), now) if isinstance(effect, p.SendAnswers) for item in effect.items]


def states(core: Core) -> list[str]:
    return [answer.state for answer in answers(core)]


def reports(effects: list[p.Effect]) -> list[object]:
    return [effect.report for effect in effects if isinstance(effect, p.KeepReport)]


def test_a_start_goes_to_the_zygote_once_however_often_it_is_sent(core, order, start):
    effects = [e for _ in range(100) for e in core.step(p.Ordered(order(start(1))), 0.0)]
    assert [e for e in effects if isinstance(e, p.StartProgram)] == [p.StartProgram(KEY, start(1))]


def test_a_start_is_answered_only_when_the_journal_is_in_place(core, order, start):
    core.step(p.Ordered(order(start(1))), 0.0)
    assert states(core) == []
    core.step(p.Claimed(KEY), 0.0)
    assert states(core) == ["claimed"]


def test_a_start_that_comes_again_is_answered_with_the_present_state(core, order, start):
    core.step(p.Seen(KEY, STARTED), 0.0)
    assert core.step(p.Ordered(order(start(1))), 0.0) != [p.StartProgram(KEY, start(1))]
    assert states(core) == ["started"]


@pytest.mark.parametrize("binding", [{"epoch": "other"}, {"boot": "other"}])
def test_a_start_bound_elsewhere_without_a_journal_is_unknown(core, order, start, binding):
    effects = core.step(p.Ordered(order(start(1), **binding)), 0.0)
    assert not any(isinstance(e, p.StartProgram) for e in effects)
    assert states(core) == ["unknown"]


@pytest.mark.parametrize("binding", [{"epoch": "other"}, {"boot": "other"}])
def test_a_start_bound_elsewhere_with_a_journal_is_answered_with_its_state(core, order, start, binding):
    core.step(p.Seen(KEY, DONE), 0.0)
    core.step(p.Ordered(order(start(1), **binding)), 0.0)
    assert states(core) == ["done"]


def test_a_start_at_or_below_the_floor_is_settled(core, order, start):
    effects = core.step(p.Ordered(order(start(1), start(2, "r2"), floor=2)), 0.0)
    assert effects == [p.KeepFloor(JOURNAL, 1, 2)]
    assert states(core) == ["settled", "settled"]


def test_a_start_whose_journal_is_archived_is_settled(core, order, start):
    effects = core.step(p.Ordered(order(start(1)), frozenset({"r1"})), 0.0)
    assert not any(isinstance(e, p.StartProgram) for e in effects)
    assert states(core) == ["settled"]


@pytest.mark.parametrize("change", [{"job_id": "etl/other"}, {"args_hash": "bb"}, {"schedule_time": "t"}])
def test_a_start_that_differs_from_its_claim_is_a_conflict(core, order, start, change):
    core.step(p.Seen(KEY, CLAIM), 0.0)
    core.step(p.Ordered(order(start(1, **change))), 0.0)
    assert states(core) == ["conflict"]


def test_a_restored_backup_that_starts_the_same_run_again_is_told_of_the_first(core, order, start):
    core.step(p.Seen(KEY, DONE), 0.0)
    effects = core.step(p.Ordered(order(start(1, journal=JOURNAL), journal=8)), 0.0)
    assert not any(isinstance(e, p.StartProgram) for e in effects)
    assert states(core) == ["done"]


def test_a_run_of_another_database_that_has_the_same_number_is_another_run(core, order, start):
    core.step(p.Seen(KEY, DONE), 0.0)
    effects = core.step(p.Ordered(order(start(1, journal=8), journal=8), archived=frozenset({KEY})), 0.0)
    assert [e.key for e in effects if isinstance(e, p.StartProgram)] == [Key(8, "r1")]
    core.step(p.Ordered(order(Stop(dispatch=2, run_id="r1", journal=JOURNAL), journal=8)), 0.0)
    assert states(core) == ["done"]


def test_a_stop_that_overtakes_its_start_revokes_it(core, order, start):
    effects = core.step(p.Ordered(order(Stop(dispatch=2, run_id="r1"))), 0.0)
    assert p.TakeClaim(KEY, 2) in effects
    core.step(p.Ordered(order(start(1))), 0.0)
    assert states(core) == []
    core.step(p.Seen(KEY, Facts(phase=Phase.REVOKED, at="t")), 0.0)
    assert states(core) == ["revoked", "revoked"]


def test_a_stop_of_a_start_in_flight_is_ordered_when_the_claim_is_there(core, order, start):
    stop = Stop(dispatch=2, run_id="r1", by="ann")
    core.step(p.Ordered(order(start(1), stop)), 0.0)
    assert core.step(p.Claimed(KEY), 0.0) == [p.OrderStop(KEY, stop)]


def test_a_stop_is_carried_out_once_though_it_comes_again(core, order):
    core.step(p.Seen(KEY, STARTED), 0.0)
    stop = Stop(dispatch=2, run_id="r1")
    effects = [e for _ in range(5) for e in core.step(p.Ordered(order(stop)), 0.0)]
    assert [e for e in effects if isinstance(e, p.OrderStop)] == [p.OrderStop(KEY, stop)]
    harder = Stop(dispatch=3, run_id="r1", signal=9, grace=0)
    assert p.OrderStop(KEY, harder) in core.step(p.Ordered(order(harder)), 0.0)


def test_a_signal_goes_only_to_a_running_program(core, order):
    signal = Signal(dispatch=2, run_id="r1", signal=1, by="ann")
    core.step(p.Ordered(order(signal)), 0.0)
    assert states(core) == ["none"]
    core.step(p.Seen(KEY, STARTED), 0.0)
    assert p.SendSignal(KEY, signal) in core.step(p.Ordered(order(signal)), 0.0)


def test_a_revoke_of_a_running_run_changes_nothing(core, order):
    core.step(p.Seen(KEY, STARTED), 0.0)
    effects = core.step(p.Ordered(order(Revoke(dispatch=2, run_id="r1"))), 0.0)
    assert not any(isinstance(e, p.TakeClaim | p.OrderStop) for e in effects)
    assert states(core) == ["started"]


@pytest.mark.parametrize("past", [{"term": 2, "life": 30}, {"term": 3, "life": 31}])
def test_what_an_older_or_another_life_orders_is_not_obeyed_and_not_answered_and_it_is_told_what_we_know(
    core, order, start, past
):
    core.step(p.Ordered(order(term=3, life=30)), 0.0)
    core.step(p.Acked(Ack(journal=JOURNAL, term=3, life=30, epoch="e1", seq=0)), 0.0)
    assert core.step(p.Ordered(order(start(1), **past)), 0.0) == []
    effects = core.step(p.Tick(), 0.0)
    assert not any(isinstance(e, p.SendAnswers | p.StartProgram) for e in effects)
    (hello,) = (e for e in effects if isinstance(e, p.SendHello))
    assert hello.known == (Known(journal=JOURNAL, term=3, life=30),)
    core.step(p.Acked(Ack(journal=JOURNAL, epoch="e1", seq=0, **past)), 0.0)
    assert any(isinstance(e, p.SendHello) for e in core.step(p.Tick(), 9.0)), "its answer is none"


def test_a_heartbeat_of_an_older_life_is_answered_by_what_we_know(core):
    core.step(p.Heard(JOURNAL, 4, 40), 0.0)
    core.step(p.Acked(Ack(journal=JOURNAL, term=4, life=40, epoch="e1", seq=0)), 0.0)
    core.step(p.Tick(), 0.0)
    core.step(p.Heard(JOURNAL, 4, 40), 1.0)
    assert not any(isinstance(e, p.SendHello) for e in core.step(p.Tick(), 1.0))
    core.step(p.Heard(JOURNAL, 2, 20), 2.0)
    assert any(isinstance(e, p.SendHello) for e in core.step(p.Tick(), 2.0))


def test_hello_names_every_database_that_a_run_is_held_of_the_newest_heard_first(core):
    core.step(p.Seen(Key(9, "r4"), DONE), 0.0)
    core.step(p.Seen(Key(5, "r5"), STARTED), 0.0)
    core.step(p.Heard(8, 2, 20), 0.0)
    (hello,) = (e for e in core.step(p.Tick(), 0.0) if isinstance(e, p.SendHello))
    assert hello.known[0] == Known(journal=8, term=2, life=20)
    assert {(known.journal, known.claims) for known in hello.known} == {(8, 0), (JOURNAL, 0), (9, 1), (5, 1)}


def test_a_run_id_that_could_leave_the_spool_is_refused(core, order, start):
    effects = core.step(p.Ordered(order(start(1, "../../etc/x"))), 0.0)
    assert not any(isinstance(e, p.StartProgram) for e in effects)
    assert states(core) == ["refused"]


def test_a_start_that_fails_is_tried_again_and_then_ends_with_the_reason(core, order, start):
    core.step(p.Ordered(order(start(1))), 0.0)
    now, tried = 0.0, 1
    while True:
        core.step(p.StartFailed(KEY, "no memory"), now)
        now = core.next_tick()
        effects = core.step(p.Tick(), now)
        if p.SettleStart(KEY, start(1), "no memory") in effects:
            break
        assert p.StartProgram(KEY, start(1)) in effects
        tried += 1
    assert tried == START_ATTEMPTS


def test_a_stop_overtakes_a_start_that_waits_for_its_next_attempt(core, order, start):
    core.step(p.Ordered(order(start(1))), 0.0)
    core.step(p.StartFailed(KEY, "no memory"), 0.0)
    assert p.TakeClaim(KEY, 2) in core.step(p.Ordered(order(Stop(dispatch=2, run_id="r1"))), 0.0)
    assert not any(isinstance(e, p.StartProgram) for e in core.step(p.Tick(), 99.0))


def test_only_ended_runs_are_forgotten(core, order):
    core.step(p.Seen(KEY, STARTED), 0.0)
    core.step(p.Seen(Key(JOURNAL, "r2"), DONE), 0.0)
    effects = core.step(p.Ordered(order(Forget(dispatch=3, run_ids=["r1", "r2", "r9"]))), 0.0)
    assert [e for e in effects if isinstance(e, p.Archive)] == [p.Archive([Key(JOURNAL, "r2")])]
    (answer,) = answers(core)
    assert (answer.state, "r1" in answer.reason, "r2" in answer.reason) == ("refused", True, False)


def test_a_forgotten_run_is_not_started_by_an_old_start(core, order, start):
    core.step(p.Seen(KEY, DONE), 0.0)
    core.step(p.Ordered(order(Forget(dispatch=3, run_ids=["r1"]))), 0.0)
    effects = core.step(p.Ordered(order(start(1)), archived=frozenset({"r1"})), 0.0)
    assert not any(isinstance(e, p.StartProgram) for e in effects)


def test_a_short_run_is_reported_once_by_its_end(core):
    (report,) = reports(core.step(p.Seen(KEY, DONE), 0.0))
    assert isinstance(report, Finished)
    assert report.seq == 1


def test_each_phase_is_reported_once(core):
    effects = [e for facts in (CLAIM, STARTED, STARTED, DONE, DONE) for e in core.step(p.Seen(KEY, facts), 0.0)]
    assert [(type(r), r.seq) for r in reports(effects)] == [(Started, 1), (Finished, 2)]


def test_a_lost_run_is_reported_once_and_a_later_truth_after_it(core):
    core.step(p.Seen(KEY, STARTED), 0.0)
    effects = [e for _ in range(2) for e in core.step(p.Missing(KEY, "gone", "t"), 0.0)]
    assert [type(r) for r in reports(effects)] == [Lost]
    assert [type(r) for r in reports(core.step(p.Seen(KEY, DONE), 0.0))] == [Finished]


def inventory(core, order, dispatch=5, journal=8):
    return core.step(p.Ordered(order(Inventory(dispatch=dispatch, since="s"), journal=journal)), 0.0)


def test_an_inventory_tells_every_run_how_it_stands_and_then_how_many(core, order):
    core.step(p.Seen(KEY, DONE), 0.0)
    core.step(p.Seen(Key(JOURNAL, "r2"), STARTED), 0.0)
    core.step(p.Missing(Key(JOURNAL, "r2"), "gone", "t"), 0.0)
    effects = inventory(core, order)
    assert p.ReadArchive(8, 5, "s") in effects
    done, lost = reports(effects)
    assert (done.state, done.journal, done.ending.exit.code, done.start) == ("done", JOURNAL, 0, "t")
    assert (lost.state, lost.reason, lost.pid) == ("lost", "gone", 5)
    assert states(core) == [], "it is answered when all is told"
    assert inventory(core, order) == []
    part = p.FromArchive(8, 5, [(Key(JOURNAL, "r0"), DONE)], last=False)
    (archived,) = reports(core.step(part, 0.0))
    assert (archived.run_id, archived.archived, archived.told) == ("r0", True, True)
    (counted,) = reports(core.step(p.FromArchive(8, 5, [], last=True), 0.0))
    assert (counted.dispatch, counted.count, counted.journal) == (5, 3, 8)
    assert inventory(core, order) == []
    assert states(core) == ["settled"]


def test_an_inventory_waits_for_what_is_in_flight(core, order, start):
    core.step(p.Ordered(order(start(1))), 0.0)
    assert reports(inventory(core, order)) == []
    assert reports(core.step(p.FromArchive(8, 5, [], last=True), 0.0)) == []
    claimed, counted = reports(core.step(p.Claimed(KEY), 0.0))
    assert (claimed.state, claimed.run_id, counted.count) == ("claimed", "r1", 1)
    assert states(core) == [], "the start was of another database"


def test_an_inventory_says_whether_an_end_was_acknowledged(core, order):
    core.step(p.Seen(KEY, DONE), 0.0)
    core.step(p.Acked(Ack(journal=JOURNAL, term=1, epoch="e1", seq=1)), 0.0)
    core.step(p.Seen(Key(JOURNAL, "r2"), DONE), 0.0)
    assert [report.told for report in reports(inventory(core, order))] == [True, False]


def test_what_was_read_for_one_inventory_does_not_end_another(core, order):
    inventory(core, order)
    inventory(core, order, dispatch=6)
    assert core.step(p.FromArchive(8, 5, [], last=True), 0.0) == []
    assert len(reports(core.step(p.FromArchive(8, 6, [], last=True), 0.0))) == 1


def test_answers_for_another_database_are_not_sent(core, order, start):
    core.step(p.Seen(KEY, DONE), 0.0)
    core.step(p.Ordered(order(start(1))), 0.0)
    core.step(p.Heard(8, 1), 0.0)
    assert states(core) == []


def test_hello_is_said_again_until_it_is_answered(core):
    core.step(p.Heard(JOURNAL, 2), 0.0)
    assert any(isinstance(e, p.SendHello) for e in core.step(p.Tick(), 0.0))
    assert not any(isinstance(e, p.SendHello) for e in core.step(p.Tick(), 0.1))
    assert any(isinstance(e, p.SendHello) for e in core.step(p.Tick(), 0.3))
    core.step(p.Acked(Ack(journal=JOURNAL, term=2, epoch="e1", seq=0)), 0.3)
    assert core.next_tick() is None


@pytest.mark.parametrize("kind", RunCommand.__args__)
def test_the_table_knows_every_command_in_every_phase(kind):
    assert {phase for command, phase in TABLE if command is kind} == set(Phase)


def test_a_program_that_cannot_be_killed_is_reported_once_and_its_end_afterwards(core):
    core.step(p.Seen(KEY, STARTED), 0.0)
    stuck = msgspec.structs.replace(STARTED, stuck="D", stuck_at="v")
    told = [report for _ in range(3) for report in reports(core.step(p.Seen(KEY, stuck), 0.0))]
    assert [(type(report), report.pid, report.state, report.at) for report in told] == [(Stuck, 5, "D", "v")]
    assert [type(report) for report in reports(core.step(p.Seen(KEY, DONE), 0.0))] == [Finished]
