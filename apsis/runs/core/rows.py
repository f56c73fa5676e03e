"""What the core keeps durable: one struct for each kind of row. How rows are stored is the shell's affair."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from apsis.messages.dispatch import Command, Process
from apsis.runs.run import LogEntry, Run
from apsis.times import parse_time, to_micros


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the core alone needs to know of an unfinished run, beside what everybody sees."""

    #: key of the schedule that made it
    schedule: str | None = None
    #: how many of its conditions, in order, have become true; they stay so
    passed: int = 0
    #: started by hand: conditions are passed over
    forced: bool = False
    #: who gets places, resources and slots first: the higher
    priority: int = 0
    #: how many of each resource it takes, from its start to its end
    resources: dict[str, int] = {}
    #: its program as bound, from when it is due until its start is ordered; None for a no-op
    process: Process | None = None
    #: exit statuses that count as success
    success_codes: tuple[int, ...] = (0,)
    #: exit statuses that say that nothing was carried out: error, not failure
    error_codes: tuple[int, ...] = ()
    #: number of the signal that its own stop policy sends first, and the seconds it then leaves
    own_signal: int = 15
    own_grace: float = 60.0
    #: longest time in `waiting`, seconds; None: no limit
    max_wait: float | None = None
    #: seconds after its due time from which on it counts as late
    late_after: float = 60.0
    #: seconds of run time below and above which it is told to be too fast or to take too long; None: never
    least: float | None = None
    most: float | None = None
    #: who asked for its end: what was ended on purpose is not tried again
    ended_by: str = ""
    #: an action has made it: nobody has asked for it
    automatic: bool = False
    #: number of its start command, and the spool that it is bound to
    dispatch: int | None = None
    epoch: str | None = None
    #: the boot of its host when that was ordered: in a cut of the power a claim may be lost with all that it led to
    booted: str | None = None
    #: the boot that a start was bound to which is not answered, and was taken back with the database's old number
    boot: str | None = None
    #: the host has answered the start: the claim is in place there
    claimed: bool = False
    #: stop asked for, and by whom, while it was not yet known whether the program starts
    stop_by: str | None = None
    stop_signal: int = 15
    stop_grace: float = 60.0
    #: it was ended by force, not asked to end
    killed: bool = False
    #: (id, sha256 of its body) of the request that asked for it
    request: tuple[str, str] | None = None
    #: a no-op ends at this time
    ends: str | None = None


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run with its facts and its log. `num` is the 123 of `r123`; `args_key` its args in one canonical text."""

    num: int
    args_key: str
    run: Run
    facts: Facts
    log: tuple[LogEntry, ...] = ()


class CursorRow(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where runs of one schedule exist, and the range before it that is to be caught up; microseconds."""

    job_id: str
    key: str
    at: int
    #: due times in (behind, until] have neither become runs nor been recorded as not run
    behind: int | None = None
    until: int | None = None
    #: why these will not run either; None: they are to be caught up
    why: str | None = None


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Who has held a job, or everything, since when, and why."""

    by: str
    at: str
    reason: str = ""

    def says(self, job_id: str) -> str:
        """Return it as a sentence; `job_id` is empty for everything."""
        why = f": {self.reason}" if self.reason else ""
        return f"{job_id or 'everything'} is paused by {self.by} since {self.at}{why}"


class HostRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one supervisor: its spool, its boot, the last report applied, the last command numbered."""

    host: str
    epoch: str = ""
    boot: str = ""
    seq: int = 0
    dispatch: int = 0
    cores: int = 1
    #: finished and committed runs whose journals the host may archive; sent as `Forget` in batches
    forget: list[str] = []
    #: number of the database for which this host has told all that it holds; nothing is dispatched to it before
    journal: int = 0
    #: the clock when the last report was applied: what the host archived long before it is known here
    heard: str = ""
    #: ends that were acknowledged before it was known here whose they are, `JOURNAL:ID`: what follows from them is due
    owed: list[str] = []


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A command that is not yet answered, bound for ever to (host, epoch, boot)."""

    host: str
    dispatch: int
    run_id: str
    epoch: str
    boot: str
    command: Command


@dataclass(frozen=True, slots=True)
class JobRow:
    """A loaded job: its version (content hash), its definition, and what REST shows of it."""

    job_id: str
    version: str
    doc: dict[str, Any]
    #: when this version was taken over, microseconds; None: it was there before
    at: int | None = None


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A request that was done: the same one again gets the same answer. `answer` is the encoded `Done`."""

    request_id: str
    #: sha256 of what was asked, hex
    body_hash: str
    at: int
    answer: bytes


@dataclass(slots=True)
class Stored:
    """Everything the core starts from: what was committed before."""

    journal: int
    term: int
    head: int = 0
    last_run: int = 0
    #: microseconds of the last commit's clock
    latest: int = 0
    runs: list[RunRow] = field(default_factory=list)
    #: findings of the last reading of the job directory
    errors: list[dict[str, Any]] = field(default_factory=list)
    #: job id: version, and file below the job directory
    jobs: dict[str, tuple[str, str]] = field(default_factory=dict)
    cursors: list[CursorRow] = field(default_factory=list)
    hosts: list[HostRow] = field(default_factory=list)
    commands: list[CommandRow] = field(default_factory=list)
    #: (host, journal, id there): finished runs that go by another number here, and that number
    aliases: dict[tuple[str, int, str], str] = field(default_factory=dict)
    #: random number of this start of the scheduler; 0: lives of one term are not told apart
    life: int = 0
    #: numbers that this database had before, and of others whose runs it has taken over
    past: tuple[int, ...] = ()
    #: epoch and number of the last note on alerts; empty: there was none
    alerts: str = ""
    #: when it was put back from a backup, which nobody has minded yet; empty: it was not
    restored: str = ""
    #: job id, or "" for everything: who holds it
    pauses: dict[str, Pause] = field(default_factory=dict)
    #: due times before this do not run, as was said at a start; microseconds
    since: int = 0
    #: version of the rules of the time zones by which the runs ahead were made; empty: not known
    zones: str = ""


def due_of(run: Run) -> int | None:
    """Return when a run is to start, in microseconds; None: whenever it was asked for."""
    text = run.not_before or run.schedule_time
    return to_micros(parse_time(text)) if text else None


def args_key(args: dict[str, str]) -> str:
    """Return args in one canonical text, by which equal args are found."""
    if not args:
        return "{}"
    return msgspec.json.encode(dict(sorted(args.items()))).decode()
