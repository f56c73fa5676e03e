"""The ledger: cursor and letters together or not at all, nothing twice, numbers of notes without holes."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from apsis_services.alerts.decisions import Decision
from apsis_services.alerts.ledger import Ledger, Place
from apsis_services.alerts.letters import Letter
from apsis_services.alerts.schema import AlertsRefused


def letter(number: int, target: str = "t") -> Letter:
    return Letter(
        event_id=f"7-{number}-0", origin=f"7-r{number}-0", target=target, shown="t", run_id=f"r{number}", job_id="j",
        action={"type": "webhook", "url": "https://example.com"}, facts={"ended": ""},
    )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db" / "alerts.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path, 100.0)
    yield ledger
    ledger.close()


def decide(ledger: Ledger, place: Place, *letters: Letter) -> None:
    ledger.decide(Decision(letters=list(letters)), [False] * len(letters), place, 100.0)


def test_cursor_and_letters_are_one_transaction(ledger: Ledger, path: Path) -> None:
    decide(ledger, Place(7, 5, "t5"), letter(1))
    other = sqlite3.connect(path)
    other.execute("CREATE TRIGGER no BEFORE INSERT ON letter BEGIN SELECT RAISE(ABORT, 'no'); END")
    other.close()
    with pytest.raises(sqlite3.Error):
        decide(ledger, Place(7, 6, "t6"), letter(2))
    again = Ledger(path, 200.0)
    assert again.place == Place(7, 5, "t5")
    assert again.made == 100.0
    assert again.epoch == ledger.epoch
    assert again.counts()[0] == 1
    again.close()


def test_what_was_decided_is_not_decided_again(ledger: Ledger) -> None:
    decide(ledger, Place(7, 5), letter(1))
    decide(ledger, Place(7, 5), letter(1), letter(2))
    assert ledger.counts()[0] == 2


def test_letters_of_a_target_come_in_order_and_a_failed_one_makes_way(ledger: Ledger) -> None:
    decide(ledger, Place(7, 5), letter(1), letter(2), letter(3, "other"))
    first = ledger.next("t", 100.0)
    assert first is not None
    assert first.letter.run_id == "r1"
    ledger.failed(first, "no", "note", 110.0, 100.0, None)
    second = ledger.next("t", 100.0)
    assert second is not None
    assert second.letter.run_id == "r2"
    ledger.delivered(second, "yes", "note", 101.0)
    assert ledger.next("t", 109.0) is None
    assert ledger.targets() == [("other", 100.0), ("t", 110.0)]


def test_notes_are_numbered_without_holes_also_after_all_were_acknowledged(ledger: Ledger, path: Path) -> None:
    decide(ledger, Place(7, 5), letter(1), letter(2))
    for _ in range(2):
        waiting = ledger.next("t", 100.0)
        assert waiting is not None
        ledger.delivered(waiting, "yes", f"{waiting.letter.run_id} is told", 101.0)
    assert [(note.seq, note.text) for note in ledger.notes()] == [(1, "r1 is told"), (2, "r2 is told")]
    ledger.acknowledge(2)
    assert ledger.notes() == []
    again = Ledger(path, 200.0)
    decide(again, Place(7, 6), letter(3))
    waiting = again.next("t", 200.0)
    assert waiting is not None
    again.failed(waiting, "no", "r3 is lost", None, 200.0, None)
    assert [note.seq for note in again.notes()] == [3]
    assert [each.run_id for each, *_ in again.dead(10)] == ["r3"]
    assert again.revive(["7-3-0"], 300.0) == 1
    assert again.revive([], 300.0) == 0
    again.close()


def test_a_summary_takes_the_place_of_what_was_gathered_and_tells_each_run(ledger: Ledger) -> None:
    letters = [letter(1), letter(2)]
    ledger.decide(Decision(letters=letters), [True, True], Place(7, 5), 100.0)
    assert ledger.gathering() == ["t"]
    assert ledger.gathered("t") == letters
    one = Letter(event_id="s", origin="s", target="t", shown="t", run_id="", job_id="", action={"type": "x"}, facts={})
    ledger.sum_up(letters, one, 160.0)
    assert ledger.gathering() == []
    waiting = ledger.next("t", 160.0)
    assert waiting is not None
    ledger.delivered(waiting, "yes", "told", 161.0)
    assert [(note.run_id, note.text) for note in ledger.notes()] == [
        ("r1", "told, in a summary"),
        ("r2", "told, in a summary"),
    ]


def test_a_file_of_a_newer_version_or_none_at_all_is_refused_with_a_remedy(path: Path) -> None:
    Ledger(path, 1.0).close()
    sql = sqlite3.connect(path)
    sql.execute("PRAGMA user_version = 99")
    sql.close()
    with pytest.raises(AlertsRefused, match="schema 99"):
        Ledger(path, 1.0)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(AlertsRefused, match="cannot be used"):
        Ledger(path, 1.0)


def test_what_was_done_with_long_ago_is_forgotten_and_dead_letters_are_not(ledger: Ledger) -> None:
    decide(ledger, Place(7, 5), letter(1), letter(2))
    done, dead = ledger.next("t", 100.0), None
    assert done is not None
    ledger.delivered(done, "yes", "n", 100.0)
    dead = ledger.next("t", 100.0)
    assert dead is not None
    ledger.failed(dead, "no", "n", None, 100.0, None)
    ledger.tidy(100.0 + 30 * 86_400)
    assert len(ledger.dead(10)) == 1
    decide(ledger, Place(7, 6), letter(1), letter(2))
    assert ledger.counts()[:2] == (1, 1)
