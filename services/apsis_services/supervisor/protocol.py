"""What goes into the core (events) and what comes out of it (effects): plain values."""

from dataclasses import dataclass

from apsis.messages.dispatch import Ack, Answer, Commands, Known, Report, Signal, Start, Stop
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
    life: int = 0


@dataclass(frozen=True, slots=True)
class Ordered:
    """Commands came. `archived`: those among their runs whose journal lies in the archive, by id or by key."""

    commands: Commands
    archived: frozenset[str] | frozenset[Key] = frozenset()


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
class FromArchive:
    """Some of what `ReadArchive` asked for; `last`: there is no more."""

    journal: int
    dispatch: int
    items: list[tuple[Key, Facts]]
    last: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """The end of a turn of the loop, or the time that `next_tick` names: what is due is sent."""


Event = LinkUp | LinkDown | Heard | Ordered | Acked | Claimed | StartFailed | Seen | Missing | FromArchive | Tick


@dataclass(frozen=True, slots=True)
class SendHello:
    """Say HostHello: number of the last report made, of the last acked, the floor, and every database known."""

    seq: int
    acked: int
    floor: int
    known: tuple[Known, ...] = ()
    nonce: int = 0


@dataclass(frozen=True, slots=True)
class SendAnswers:
    """Send at most 64 answers to commands of one database."""

    items: list[Answer]
    journal: int = 0


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
class ReadArchive:
    """Read the archived journals, but for those archived before `since`; `FromArchive` comes back, in parts."""

    journal: int
    dispatch: int
    since: str


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
    """Write the floor, term and life of a database."""

    journal: int
    term: int
    floor: int
    life: int = 0


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
    | ReadArchive
    | KeepReport
    | KeepAcked
    | KeepFloor
)
