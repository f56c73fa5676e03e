"""What the core holds in memory of each database, of each run, and of an inventory."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from apsis.messages.dispatch import Known, Lost, Start
from apsis_services.supervisor.deeds import RunCommand
from apsis_services.supervisor.facts import Facts, Key, Phase


@dataclass(slots=True)
class Order:
    """How far one database has come with this host."""

    term: int = 0
    floor: int = 0
    #: random number of its scheduler's life in that term; 0: not known
    life: int = 0

    def is_past(self, term: int, life: int) -> bool:
        """Say whether a message is of an earlier life; of two that share a term nobody knows, and neither is obeyed."""
        return term < self.term or (term == self.term and 0 not in (life, self.life) and life != self.life)


@dataclass(slots=True)
class Count:
    """An inventory under way, or the last one: who asked for it, and what is still to be told."""

    journal: int
    dispatch: int
    told: int = 0
    #: in flight when it was asked for: told when their journal is there
    owed: set[Key] = field(default_factory=set)
    #: the archive is not read to its end
    reading: bool = True
    over: bool = False


@dataclass(slots=True)
class Run:
    """One run that this host has a journal of, or is about to."""

    phase: Phase = Phase.NONE
    facts: Facts | None = None
    #: the start in flight
    start: Start | None = None
    attempts: int = 0
    retry_at: float | None = None
    #: commands to be obeyed when what is in flight is answered, by database and dispatch
    waiting: dict[tuple[int, int], RunCommand] = field(default_factory=dict)
    #: why the last attempt failed
    failure: str = ""
    #: database and dispatch of the last stop or signal carried out: a resent one is answered alone
    acted: tuple[int, int] = (0, 0)
    #: told when nothing could be found of it; a true end may still come
    lost: Lost | None = None


def known_of(orders: Mapping[int, Order], runs: Iterable[Key], newest: int | None) -> tuple[Known, ...]:
    """Return every database that we have heard of or hold runs of; the newest heard of comes first."""
    claims = Counter(key.journal for key in runs)
    found = []
    for journal in sorted({*orders, *claims}, key=lambda journal: journal != newest):
        order = orders.get(journal, Order())
        found.append(Known(journal=journal, term=order.term, life=order.life, claims=claims[journal]))
    return tuple(found)
