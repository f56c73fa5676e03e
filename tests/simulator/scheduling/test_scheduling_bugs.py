"""Bugs put into the scheduling, each of which two weeks around some change of the clock must find."""

from pathlib import Path

import pytest
from scheduled_play import Account
from simulated.bugs import Edit, put_in_edits
from two_weeks import ZONES, changes, play

from apsis.runs.core import ahead, book, due, machine, missed, pauses, plans

#: name: (edits, the words with which it may be found)
BUGS: dict[str, tuple[tuple[Edit, ...], tuple[str, ...]]] = {
    "a resumed job starts from when it was paused": (
        ((plans.Plan.let_go, "self.until, self.why = now, why", "self.until, self.why = now, None"),),
        ("paused, and run",),
    ),
    "a restart forgets who is paused": (
        ((book.Book.__init__, "self.pauses = dict(stored.pauses)", "self.pauses = {}"),),
        ("paused, and run", "nothing raises"),
    ),
    "due times of a pause are recorded at each restart": (
        ((missed.record_owed, "plan.caught_up()", "plan.why = None"),),
        ("recorded twice", "paused, and run", "miscounted"),
    ),
    "a cursor is not stored": (
        ((ahead.refill, "keep(turn, plan)", "pass"),),
        ("lost",),
    ),
    "what was due while nobody was there is forgotten": (
        ((plans.Plan.fall_behind, "self.at if self.behind is None", "now if self.behind is None"),),
        ("lost",),
    ),
    "a run begins a second before it is due": (
        (
            (book.Book._arm, "self.due.put(due, run.run_id)", "self.due.put(due - 1_000_000, run.run_id)"),
            (due.begin, " or (due_of(row.run) or 0) > turn.micros", ""),
        ),
        ("early",),
    ),
    "two schedules of one time and args make two runs": (
        ((ahead._make, "if same is not None:", "if False:"), (ahead._make, "if book.archive.made(", "if False and (")),
        ("nothing raises",),
    ),
    "nobody looks again when the horizon comes to a due time": (
        ((machine.Core._refill, "_, key = heappop(book.refills)", "_, key = heappop(book.refills); continue"),),
        ("lost",),
    ),
    "runs that a pause has kept from starting start all the same": (
        ((pauses.holds, "if row.facts.forced or", "if row.run.run_id.endswith('7') or row.facts.forced or"),),
        ("paused, and run", "miscounted"),
    ),
}
#: worlds that are played at most until a bug is found; all of them are kept without it
WORLDS = 24


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_in_the_scheduling_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    edits, words = BUGS[name]
    put_in_edits(monkeypatch, edits)
    for number in range(WORLDS):
        zone = ZONES[number % len(ZONES)]
        try:
            wrong = Account(play(zone, changes(zone)[number % 2])).wrong()
        except (ValueError, AssertionError, KeyError) as error:
            wrong = [f"nothing raises: {error}"]
        if wrong:
            found = {line.partition(":")[0] for line in wrong}
            assert found & set(words), f"it is found otherwise: {wrong[:5]}"
            return
    pytest.fail(f"{WORLDS} worlds do not find it: {name}")


def test_the_table_of_bugs_names_each_of_the_scheduling() -> None:
    table = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    assert [name for name in BUGS if f"| {name} |" not in table] == []
