"""What a host tells a scheduler that asks for everything it holds. Pure."""

from collections.abc import Mapping
from typing import Final

from apsis.messages.dispatch import Counted, Inventory, Lost
from apsis_services.supervisor.entries import Count, Run
from apsis_services.supervisor.facts import ENDED, IN_FLIGHT, Facts, Key
from apsis_services.supervisor.outbox import Outbox
from apsis_services.supervisor.protocol import Effect, FromArchive, ReadArchive
from apsis_services.supervisor.tidings import held

#: why a run whose journal was archived without an end is lost
LOST_BEFORE: Final = "exit status unknown: it was lost before the database was put back"


class Teller:
    """Tells each run once, those in flight when their journal is there, the archive as it is read; then how many."""

    def __init__(self, outbox: Outbox, runs: Mapping[Key, Run]) -> None:
        self._outbox = outbox
        self._runs = runs
        self._count: Count | None = None

    def is_over(self, journal: int, dispatch: int) -> bool:
        """Say whether all was told to whom asked so."""
        count = self._count
        return count is not None and count.over and (count.journal, count.dispatch) == (journal, dispatch)

    def begin(self, command: Inventory, journal: int) -> list[Effect]:
        """Begin to tell; one that is asked for again goes on, another one takes its place."""
        count = self._count
        if count is not None and (count.journal, count.dispatch) == (journal, command.dispatch):
            return []
        in_flight = {key for key, run in self._runs.items() if run.phase in IN_FLIGHT}
        self._count = Count(journal, command.dispatch, owed=in_flight)
        untold = self._outbox.untold()
        effects: list[Effect] = []
        for key, run in self._runs.items():
            if run.facts is not None and key not in in_flight:
                effects += self._tell(key, run, told=key not in untold)
        return [*effects, ReadArchive(journal, command.dispatch, command.since)]

    def take(self, event: FromArchive) -> list[Effect]:
        """Tell what was read of the archive; the end of a run lies there only once it is committed."""
        count = self._count
        if count is None or (count.journal, count.dispatch) != (event.journal, event.dispatch):
            return []
        effects: list[Effect] = []
        for key, facts in event.items:
            # archived without an end: that was lost, and said so
            lost = None if facts.phase in ENDED else Lost(seq=0, run_id=key.run_id, at=facts.at, reason=LOST_BEFORE)
            effects += self._outbox.tell(key, held(key, facts, lost=lost, told=True, archived=True))
        count.told += len(event.items)
        count.reading = not event.last
        return effects + self._end(count)

    def settle(self, key: Key, run: Run | None) -> list[Effect]:
        """Tell a run that was in flight, now that its journal is there; None: it is archived, and told from there."""
        count = self._count
        if count is None or key not in count.owed:
            return []
        count.owed.discard(key)
        effects = self._tell(key, run, told=False) if run is not None else []
        return effects + self._end(count)

    def _tell(self, key: Key, run: Run, *, told: bool) -> list[Effect]:
        facts: Facts | None = run.facts
        if facts is None or self._count is None:
            return []
        self._count.told += 1
        is_told = told and (facts.phase in ENDED or run.lost is not None)
        return self._outbox.tell(key, held(key, facts, lost=run.lost, told=is_told))

    def _end(self, count: Count) -> list[Effect]:
        if count.reading or count.owed or count.over:
            return []
        count.over = True
        report = Counted(seq=0, dispatch=count.dispatch, count=count.told)
        return self._outbox.tell(Key(count.journal, ""), report)
