"""What the core holds in memory of each database and of each run."""

from dataclasses import dataclass, field

from apsis.messages.dispatch import Lost, Start
from apsis_services.supervisor.deeds import RunCommand
from apsis_services.supervisor.facts import Facts, Phase


@dataclass(slots=True)
class Order:
    """How far one database has come with this host."""

    term: int = 0
    floor: int = 0


@dataclass(slots=True)
class Run:
    """One run that this host has a journal of, or is about to."""

    phase: Phase = Phase.NONE
    facts: Facts | None = None
    #: the start in flight
    start: Start | None = None
    attempts: int = 0
    retry_at: float | None = None
    #: commands to be obeyed when what is in flight is answered, by dispatch
    waiting: dict[int, RunCommand] = field(default_factory=dict)
    #: why the last attempt failed
    failure: str = ""
    #: database and dispatch of the last stop or signal carried out: a resent one is answered alone
    acted: tuple[int, int] = (0, 0)
    #: told when nothing could be found of it; a true end may still come
    lost: Lost | None = None
