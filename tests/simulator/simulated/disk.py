"""A host's disk: the spool as it lies there whoever is killed, and what a cut of the power takes from it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Protocol

from apsis.messages.dispatch import Stop
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.outbox import Ledger
from apsis_services.supervisor.spool import reports
from apsis_services.supervisor.zygote.journal import JournalState, state_of
from apsis_services.supervisor.zygote.records import Record


class Holds(Protocol):
    """Who may hold a journal's lock."""

    @property
    def alive(self) -> bool:
        """Whether it still does."""
        ...


@dataclass
class Journal:
    """A run's journal: its lines, when each was written, and who holds it."""

    lines: list[tuple[float, Record]] = field(default_factory=list)
    holder: Holds | None = None

    def add(self, now: float, *records: Record) -> None:
        """Add lines."""
        self.lines += [(now, record) for record in records]

    @property
    def state(self) -> JournalState:
        """What it says."""
        locked = self.holder is not None and self.holder.alive
        return state_of([record for _, record in self.lines], locked=locked)


class Disk:
    """What survives the supervisor."""

    def __init__(self, chance: random.Random) -> None:
        self._random = chance
        self.wiped(0)

    def wiped(self, now: float) -> None:
        """Begin with an empty spool, which has another epoch."""
        self.epoch = f"e{self._random.getrandbits(24):06x}"
        self.journals: dict[Key, Journal] = {}
        #: settled journals, and when they were moved there
        self.archive: dict[Key, tuple[float, Journal]] = {}
        #: number of the last command that any of them can have been meant by
        self._last_order: dict[Key, int] = {}
        self.stops: dict[Key, Stop] = {}
        self._log: list[tuple[float, bytes]] = []
        self._floors: list[tuple[float, dict[int, tuple[int, ...]]]] = [(now, {})]

    # The log of reports

    def write(self, now: float, data: bytes) -> None:
        """Add whole lines to the log."""
        self._log.append((now, data))

    def ledger(self) -> Ledger:
        """Read the log; what is torn is rewritten without its end, as the real one is."""
        data = b"".join(part for _, part in self._log)
        ledger, whole = reports._replay(data)
        if whole < len(data):
            at = self._log[-1][0]
            self._log = [(at, data[:whole])]
        return ledger

    # Floors

    @property
    def floors(self) -> dict[int, tuple[int, ...]]:
        """Term and floor of each database."""
        return dict(self._floors[-1][1])

    def keep_floor(self, now: float, journal: int, term: int, floor: int, life: int) -> None:
        """Replace the file of floors."""
        self._floors.append((now, {**self.floors, journal: (term, floor, life)}))

    # Journals

    def is_taken(self, key: Key) -> bool:
        """Say whether a run has a journal, here or in the archive."""
        return key in self.journals or key in self.archive

    def move_to_archive(self, now: float, key: Key, last_order: int) -> None:
        """Archive a journal; no command above `last_order` was made for its run."""
        self._last_order[key] = last_order
        journal = self.journals.pop(key, None)
        if journal is not None:
            self.archive[key] = (now, journal)

    def clean_archive(self) -> int:
        """Delete archived journals whose commands can come no more: the floor is above them."""
        gone = [key for key in self.archive if self._last_order[key] <= self.floors.get(key.journal, (0, 0))[1]]
        for key in gone:
            del self.archive[key]
        return len(gone)

    def cut(self, since: float) -> set[Key]:
        """Lose what was written after a moment, as a cut of the power does; return whose journals lost something.

        The last lines of the log may be torn. The epoch is older than any of it.
        """
        lost: set[Key] = set()
        for key, (moved, journal) in list(self.archive.items()):
            if moved > since:
                del self.archive[key]
                self.journals[key] = journal
        for key, journal in list(self.journals.items()):
            kept = [line for line in journal.lines if line[0] <= since]
            if len(kept) < len(journal.lines):
                lost.add(key)
            journal.lines, journal.holder = kept, None
            if not kept:
                del self.journals[key]
        self.stops.clear()
        kept_log = [part for part in self._log if part[0] <= since]
        if len(kept_log) < len(self._log):
            at, data = self._log[len(kept_log)]
            kept_log.append((at, data[: int(len(data) * self._random.random())]))
        self._log = kept_log
        self._floors = [kept for kept in self._floors if kept[0] <= since] or [(since, {})]
        return lost
