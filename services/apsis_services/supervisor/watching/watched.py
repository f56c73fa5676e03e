"""A run that is watched by its journal, and who is told of it."""

from dataclasses import dataclass
from typing import Protocol

from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.zygote.journal import JournalState


class Hears(Protocol):
    """Who is told what the journals say."""

    def journal_seen(self, key: Key, state: JournalState) -> None:
        """A journal is in a phase that it was not known to be in."""

    def run_missing(self, key: Key, reason: str) -> None:
        """What became of a run cannot be known."""

    def run_abandoned(self, key: Key, state: JournalState) -> None:
        """The program has ended and nobody is left to end its leftovers and to write `done`."""


@dataclass(slots=True)
class Watched:
    """One run that has a journal here."""

    state: JournalState
    #: monotonic seconds since when nobody holds it; None: it is held
    free_since: float | None = None
    #: pidfd of what is left of it, while that lives without a holder
    pidfd: int | None = None
    #: that is the program itself, and not only something that it left
    is_program: bool = False
    over: bool = False
