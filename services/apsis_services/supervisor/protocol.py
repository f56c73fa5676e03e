"""What goes into the core (events) and what comes out of it (effects): plain values."""

from dataclasses import dataclass

from apsis.messages.dispatch import Ack, Answer, Commands, Report, Signal, Start, Stop
from apsis_services.supervisor.facts import Facts, Key


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The hub is reached, for the first time or again."""


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The hub is gone; nothing that is sent now arrives."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The scheduler's heartbeat: which database and which of its lives."""

    journal: int
    term: int


@dataclass(frozen=True, slots=True)
class Ordered:
    """Commands came. `archived`: the ids among their runs whose journal lies in the archive."""

    commands: Commands
    archived: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Acked:
    """The scheduler has committed reports."""

    ack: Ack


@dataclass(frozen=True, slots=True)
class Claimed:
    """The zygote has put the journal of a start in place."""

    key: Key


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The zygote could not be reached or refused; it claimed nothing that it knows of."""

    key: Key
    reason: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A journal was read."""

    key: Key
    facts: Facts


@dataclass(frozen=True, slots=True)
class Missing:
    """Nobody holds the journal and the program is not found: what became of the run cannot be known."""

    key: Key
    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class Tick:
    """The end of a turn of the loop, or the time that `next_tick` names: what is due is sent."""


Event = LinkUp | LinkDown | Heard | Ordered | Acked | Claimed | StartFailed | Seen | Missing | Tick


@dataclass(frozen=True, slots=True)
class SendHello:
    """Say HostHello: number of the last report made, of the last acked, and the floor."""

    seq: int
    acked: int
    floor: int


@dataclass(frozen=True, slots=True)
class SendAnswers:
    """Send at most 64 answers."""

    items: list[Answer]


@dataclass(frozen=True, slots=True)
class SendReports:
    """Send at most 64 consecutive reports."""

    items: list[Report]


@dataclass(frozen=True, slots=True)
class StartProgram:
    """Hand a start to the zygote; `Claimed`, `Seen` or `StartFailed` comes back."""

    key: Key
    start: Start


@dataclass(frozen=True, slots=True)
class SettleStart:
    """Write the journal of a run that cannot be started: claim and done at once; `Seen` comes back."""

    key: Key
    start: Start
    reason: str


@dataclass(frozen=True, slots=True)
class TakeClaim:
    """Revoke: make a journal that says so, unless there is one; `Seen` comes back either way."""

    key: Key
    dispatch: int


@dataclass(frozen=True, slots=True)
class OrderStop:
    """Write the stop file, signal the shim, and see that it obeys."""

    key: Key
    stop: Stop


@dataclass(frozen=True, slots=True)
class SendSignal:
    """Send one signal to the program's group."""

    key: Key
    signal: Signal


@dataclass(frozen=True, slots=True)
class Archive:
    """Move these journals to the archive; their folders go once the store has their output."""

    keys: list[Key]


@dataclass(frozen=True, slots=True)
class KeepReport:
    """Write a numbered report into the log, before it is sent."""

    key: Key
    report: Report


@dataclass(frozen=True, slots=True)
class KeepAcked:
    """Write into the log that reports up to `seq` are committed; the next made is above `last`."""

    seq: int
    last: int


@dataclass(frozen=True, slots=True)
class KeepFloor:
    """Write the floor and term of a database."""

    journal: int
    term: int
    floor: int


Effect = (
    SendHello
    | SendAnswers
    | SendReports
    | StartProgram
    | SettleStart
    | TakeClaim
    | OrderStop
    | SendSignal
    | Archive
    | KeepReport
    | KeepAcked
    | KeepFloor
)
