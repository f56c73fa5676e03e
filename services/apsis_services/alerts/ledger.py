"""The database of the alerts: how far events were read, what is to be delivered, and what became of it.

Cursor and letters are written in one transaction: after a kill, an event was either read and all that follows from it
stands here, or it is read again.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apsis.messages.alerts import AlertNote
from apsis.messages.body import decode, encode
from apsis_services.alerts.decisions import Decision, Series
from apsis_services.alerts.letters import Letter
from apsis_services.alerts.schema import AlertsRefused, prepare

#: seconds for which it is remembered what was delivered, so that it is not decided anew after a snapshot
REMEMBERED: Final = 14 * 86_400.0
#: notes in one message to the scheduler
NOTES: Final = 64
#: rows that one tidying removes
_TIDIED: Final = 500

_ADD: Final = """
    INSERT OR IGNORE INTO letter (event_id, origin, target, run_id, state, made, due, body)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
#: numbered on from the last, else from the last that was acknowledged
_ADD_NOTE: Final = "INSERT INTO note (seq, run_id, text) VALUES ((SELECT coalesce(max(seq), ?) FROM note) + 1, ?, ?)"
_TARGETS: Final = "SELECT target, min(due) FROM letter WHERE state = 'waiting' GROUP BY target"
_NEXT: Final = """
    SELECT id, attempts, made, body FROM letter
    WHERE state = 'waiting' AND target = ? AND due <= ? ORDER BY due, id LIMIT 1
"""
_OVER: Final = "SELECT id, attempts, body FROM letter WHERE state = 'waiting' AND target = ? AND made <= ? LIMIT 500"
_DEAD: Final = "SELECT attempts, done, why, body FROM letter WHERE state = 'dead' ORDER BY id DESC LIMIT ?"
_COUNTS: Final = """
    SELECT count(*) FILTER (WHERE state IN ('waiting', 'gathered')), count(*) FILTER (WHERE state = 'dead'),
        min(made) FILTER (WHERE state IN ('waiting', 'gathered')) FROM letter WHERE done IS NULL OR state = 'dead'
"""


@dataclass(frozen=True, slots=True)
class Place:
    """How far events were read: the last one of a journal, and when it happened (a time)."""

    journal: int
    cursor: int
    at: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter whose turn has come."""

    id: int
    attempts: int
    made: float
    letter: Letter


class Ledger:
    """The open file. Times are seconds since the epoch."""

    def __init__(self, path: Path, now: float) -> None:
        """Open it, made or migrated where needed.

        Raises:
            AlertsRefused: it cannot be used.
        """
        self.path = path
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._sql = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -256", "temp_store = MEMORY"):
                self._sql.execute(f"PRAGMA {pragma}")
            prepare(self._sql, str(path), now)
            path.chmod(0o640)
            meta = {str(key): str(value) for key, value in self._sql.execute("SELECT key, value FROM meta")}
        except (sqlite3.Error, OSError) as error:
            hint = "make room, or mend its file system; move the file away only if what is not delivered may be lost"
            raise AlertsRefused(f"{path} cannot be used: {error}", hint=hint) from None
        self.epoch = meta["epoch"]
        self.made = float(meta["made"])
        self.noted = int(meta["noted"])
        self.place = Place(int(meta.get("journal", "0")), int(meta.get("cursor", "0")), meta.get("at", ""))

    def close(self) -> None:
        """Close it."""
        self._sql.close()

    # Deciding

    def is_failing(self, series: Series) -> bool:
        """Say whether the last run of a series has ended badly, as far as is known."""
        row = self._sql.execute("SELECT 1 FROM failing WHERE job_id = ? AND series = ?", series).fetchone()
        return row is not None

    def decide(self, decision: Decision, gathered: Sequence[bool], place: Place | None, now: float) -> None:
        """Write down what follows from events, and up to where they were read (None: no further than before).

        `gathered` says of each letter whether it is kept for a summary.

        Raises:
            sqlite3.OperationalError: it cannot be written; nothing was.
        """
        with _Transaction(self._sql):
            self._sql.executemany("DELETE FROM failing WHERE job_id = ?", [(job_id,) for job_id in decision.removed])
            for series, bad in decision.failing.items():
                verb = "INSERT OR IGNORE INTO failing VALUES (?, ?)"
                self._sql.execute(verb if bad else "DELETE FROM failing WHERE job_id = ? AND series = ?", series)
            for letter, kept in zip(decision.letters, gathered, strict=True):
                self._add(letter, "gathered" if kept else "waiting", now)
            if place is not None:
                values = [("journal", str(place.journal)), ("cursor", str(place.cursor)), ("at", place.at)]
                self._sql.executemany("REPLACE INTO meta (key, value) VALUES (?, ?)", values)
        self.place = place or self.place

    def add(self, letter: Letter, now: float) -> None:
        """Have one more delivered."""
        with _Transaction(self._sql):
            self._add(letter, "waiting", now)

    def _add(self, letter: Letter, state: str, now: float) -> None:
        row = (letter.event_id, letter.origin, letter.target, letter.run_id, state, now, now, encode(letter))
        self._sql.execute(_ADD, row)

    def gathering(self) -> list[str]:
        """Return the targets for which letters are kept for a summary."""
        return [str(row[0]) for row in self._sql.execute("SELECT DISTINCT target FROM letter WHERE state = 'gathered'")]

    def gathered(self, target: str) -> list[Letter]:
        """Return the letters that are kept for the summary to a target, in order."""
        rows = self._sql.execute(
            "SELECT body FROM letter WHERE state = 'gathered' AND target = ? ORDER BY id", (target,)
        )
        return [decode(Letter, body) for (body,) in rows]

    def sum_up(self, letters: Sequence[Letter], one: Letter, now: float) -> None:
        """Put one letter in the place of several."""
        with _Transaction(self._sql):
            self._add(one, "waiting", now)
            self._sql.executemany(
                "UPDATE letter SET state = 'summed', summary = ?, done = ?, body = '' WHERE event_id = ?",
                [(one.event_id, now, letter.event_id) for letter in letters],
            )

    # Delivering

    def targets(self) -> list[tuple[str, float]]:
        """Return each target for which something waits, and when the first of it is due."""
        return [(str(target), float(due)) for target, due in self._sql.execute(_TARGETS)]

    def next(self, target: str, now: float) -> Waiting | None:
        """Return what is delivered next to a target; None: nothing is due."""
        row = self._sql.execute(_NEXT, (target, now)).fetchone()
        return None if row is None else Waiting(row[0], row[1], row[2], decode(Letter, row[3]))

    def over(self, target: str, before: float) -> list[Waiting]:
        """Return what waits for a target and was decided before a time: it is to be given up."""
        rows = self._sql.execute(_OVER, (target, before)).fetchall()
        return [Waiting(number, attempts, before, decode(Letter, body)) for number, attempts, body in rows]

    def delivered(self, waiting: Waiting, why: str, note: str, now: float) -> None:
        """A letter has arrived; with it all that it tells of."""
        with _Transaction(self._sql):
            told = [(waiting.letter.run_id, note)]
            if not waiting.letter.run_id:
                summed = self._sql.execute("SELECT run_id FROM letter WHERE summary = ?", (waiting.letter.event_id,))
                told = [(str(run_id), f"{note}, in a summary") for (run_id,) in summed.fetchall()]
            self._sql.execute(
                "UPDATE letter SET state = 'done', attempts = attempts + 1, done = ?, why = ?, body = '' WHERE id = ?",
                (now, why, waiting.id),
            )
            self._note(told)

    def failed(self, waiting: Waiting, why: str, note: str, due: float | None, now: float, left: Letter | None) -> None:
        """An attempt has failed: again at `due`, or never (None). `left`: a part of it has arrived, this has not."""
        state, done = ("dead", now) if due is None else ("waiting", None)
        with _Transaction(self._sql):
            self._sql.execute(
                "UPDATE letter SET state = ?, attempts = attempts + 1, due = ?, done = ?, why = ? WHERE id = ?",
                (state, due or now, done, why, waiting.id),
            )
            if left is not None:
                self._sql.execute("UPDATE letter SET body = ? WHERE id = ?", (encode(left), waiting.id))
            self._note([(waiting.letter.run_id, note)])

    def revive(self, event_ids: Sequence[str], now: float) -> int:
        """Have dead letters tried again, for as long as new ones; empty: all. Return how many."""
        statement = "UPDATE letter SET state = 'waiting', due = ?, made = ?, done = NULL WHERE state = 'dead'"
        with _Transaction(self._sql):
            if not event_ids:
                return self._sql.execute(statement, (now, now)).rowcount
            return sum(
                self._sql.execute(f"{statement} AND event_id = ?", (now, now, each)).rowcount for each in event_ids
            )

    # What is told of it

    def counts(self) -> tuple[int, int, float | None]:
        """Return how many wait, how many are dead, and when the oldest that waits was decided."""
        waiting, dead, oldest = self._sql.execute(_COUNTS).fetchone()
        return int(waiting), int(dead), oldest

    def dead(self, limit: int) -> list[tuple[Letter, int, float, str]]:
        """Return dead letters with their attempts, the time when each was given up, and why; the newest first."""
        rows = self._sql.execute(_DEAD, (limit,)).fetchall()
        return [(decode(Letter, body), attempts, done, why) for attempts, done, why, body in rows]

    def _note(self, notes: Sequence[tuple[str, str]]) -> None:
        for run_id, text in notes:
            if run_id:
                self._sql.execute(_ADD_NOTE, (self.noted, run_id, text))

    def notes(self) -> list[AlertNote]:
        """Return the next notes that the scheduler has not acknowledged."""
        rows = self._sql.execute("SELECT seq, run_id, text FROM note ORDER BY seq LIMIT ?", (NOTES,))
        return [AlertNote(seq=seq, run_id=run_id, text=text) for seq, run_id, text in rows]

    def acknowledge(self, seq: int) -> None:
        """All notes up to this one stand in their logs."""
        with _Transaction(self._sql):
            self._sql.execute("DELETE FROM note WHERE seq <= ?", (seq,))
            self._sql.execute("UPDATE meta SET value = ? WHERE key = 'noted'", (str(seq),))
        self.noted = seq

    def tidy(self, now: float) -> bool:
        """Forget what was done with long ago, some of it; True: there is more."""
        before = now - REMEMBERED
        statement = "DELETE FROM letter WHERE id IN (SELECT id FROM letter WHERE done < ? AND state <> 'dead' LIMIT ?)"
        with _Transaction(self._sql):
            return self._sql.execute(statement, (before, _TIDIED)).rowcount == _TIDIED


class _Transaction:
    """All or nothing; also where the disk is full."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        self._sql = sql

    def __enter__(self) -> None:
        self._sql.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._sql.execute("COMMIT" if kind is None else "ROLLBACK")
        except sqlite3.Error:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise
