"""Reports are numbered once, kept dense, and sent until they are committed."""

from itertools import pairwise

from apsis.messages.dispatch import Started
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.outbox import BATCH, WINDOW, Ledger, Outbox
from apsis_services.supervisor.protocol import KeepAcked, KeepReport
from apsis_services.supervisor.tidings import Told


def tell(outbox: Outbox, count: int) -> list:
    return [
        effect
        for number in range(count)
        for effect in outbox.tell(Key(1, f"r{number}"), Started(seq=0, run_id=f"r{number}", at="t", pid=1))
    ]


def sent(outbox: Outbox, now: float) -> list[int]:
    return [report.seq for effect in outbox.due(now) for report in effect.items]


def test_nothing_is_numbered_before_the_scheduler_has_said_how_far_it_is():
    outbox = Outbox(Ledger(acked=3, last=3))
    assert tell(outbox, 2) == []
    kept = [effect.report.seq for effect in outbox.ack(9) if isinstance(effect, KeepReport)]
    assert kept == [10, 11]


def test_reports_are_sent_again_after_250_ms_doubling_to_5_s():
    outbox = Outbox(Ledger())
    outbox.ack(0)
    tell(outbox, 1)
    times, now = [], 0.0
    for _ in range(8):
        assert sent(outbox, now) == [1]
        times.append(now)
        now = outbox.next_due()
    gaps = [round(later - earlier, 3) for earlier, later in pairwise(times)]
    assert gaps == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_message_has_at_most_64_reports_and_a_window_bounds_what_is_unacked():
    outbox = Outbox(Ledger())
    outbox.ack(0)
    tell(outbox, WINDOW + 10)
    effects = outbox.due(0.0)
    assert {len(effect.items) for effect in effects} == {BATCH}
    assert sum(len(effect.items) for effect in effects) == WINDOW
    outbox.ack(BATCH)
    assert sent(outbox, 0.0) == list(range(WINDOW + 1, WINDOW + 11))


def test_what_is_pending_goes_at_once_when_the_link_is_back():
    outbox = Outbox(Ledger())
    outbox.ack(0)
    tell(outbox, 3)
    assert sent(outbox, 0.0) == [1, 2, 3]
    outbox.shut()
    assert sent(outbox, 9.0) == []
    outbox.ack(1)
    assert sent(outbox, 9.0) == [2, 3]


def test_an_old_ack_is_nothing():
    outbox = Outbox(Ledger(acked=5, last=5))
    outbox.ack(5)
    assert outbox.ack(2) == []
    assert (outbox.acked, outbox.last) == (5, 5)


def test_a_scheduler_that_is_ahead_is_followed_and_nothing_pending_is_lost():
    outbox = Outbox(Ledger())
    outbox.ack(0)
    tell(outbox, 2)
    effects = outbox.ack(40)
    assert effects[0] == KeepAcked(40, 40)
    assert [effect.report.run_id for effect in effects[1:]] == ["r0", "r1"]
    assert sent(outbox, 0.0) == [41, 42]


def test_what_was_told_is_told_once():
    outbox = Outbox(Ledger())
    outbox.ack(0)
    report = Started(seq=0, run_id="r1", at="t", pid=1)
    assert len(outbox.tell(Key(1, "r1"), report, Told.STARTED)) == 1
    assert outbox.tell(Key(1, "r1"), report, Told.STARTED) == []


def test_what_an_ack_leaves_unacked_is_sent_again():
    outbox = Outbox(Ledger())
    outbox.ack(0)
    tell(outbox, 3)
    assert sent(outbox, 0.0) == [1, 2, 3]
    outbox.ack(1)
    assert sent(outbox, 0.1) == []
    assert sent(outbox, outbox.next_due()) == [2, 3]
