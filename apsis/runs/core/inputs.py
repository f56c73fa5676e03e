"""What the core is told: one class for each kind of input."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apsis.jobs.job import Job
from apsis.messages.alerts import AlertNotes
from apsis.messages.dispatch import Answers, HostHello, Reports
from apsis.messages.requests import Request


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Began:
    """The scheduler has started."""

    #: due times before this do not run, as whoever started it said; microseconds, 0: all do
    since: int = 0
    #: version of the rules of the time zones; empty: not known
    zones: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """Someone wants something; `token` comes back with the reply."""

    request: Request
    token: object


@dataclass(frozen=True, slots=True)
class JobsLoaded:
    """The job directory was read. Jobs whose version is known need not be parsed.

    Either `gone` names the jobs whose files are gone, or `same` those whose files say what they said.
    """

    #: new or changed jobs
    jobs: Mapping[str, Job]
    same: frozenset[str] = frozenset()
    gone: frozenset[str] | None = None
    #: ids of known jobs whose file is there and broken: the last good version stays
    broken: frozenset[str] = frozenset()
    #: `{file, line, column, message}` of each error
    errors: list[dict[str, Any]] = field(default_factory=list)
    #: apply it even if many jobs would go
    force: bool = False
    #: why the directory could not be read at all, or ""
    unreadable: str = ""
    #: that is no fault of the directory: its reader failed, and it is read again
    failed: bool = False
    #: the request that asked for it
    asked: Asked | None = None


@dataclass(frozen=True, slots=True)
class HostSaid:
    """A supervisor has sent a message."""

    message: HostHello | Answers | Reports


@dataclass(frozen=True, slots=True)
class HostLost:
    """A supervisor cannot be reached."""

    host: str


@dataclass(frozen=True, slots=True)
class RoomSeen:
    """Somebody has looked how much room a disk has: that of a host's spool, or of the database (`host` is "")."""

    host: str
    #: why nothing new may be started there, as a sentence; empty: there is room
    lack: str


@dataclass(frozen=True, slots=True)
class ConditionSaid:
    """A condition that a run waits for was looked at. What comes when it waits for something else is passed over."""

    run_id: str
    #: which of its conditions
    index: int
    #: `holds`, `waits` (not yet) or `fails` (it never will: its code is wrong)
    what: str
    #: for a person: what was found
    text: str = ""


@dataclass(frozen=True, slots=True)
class ClockSet:
    """Somebody has set the clock by so many seconds: what lasts a while goes on to last so long."""

    by: float


@dataclass(frozen=True, slots=True)
class Noted:
    """Something happened to the installation that everybody is to be told."""

    #: last part of the topic
    kind: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AlertsSaid:
    """The service for alerts tells of its attempts; `token` comes back with the reply."""

    message: AlertNotes
    token: object


@dataclass(frozen=True, slots=True)
class Copied:
    """Finished runs were copied into an archive, and lie there durably: (number, `rev`) of each."""

    runs: tuple[tuple[int, int], ...]
    path: str
    #: there are others
    more: bool
    #: the request that asked for it
    asked: Asked


Input = (
    ConditionSaid | AlertsSaid | Copied | Tick | Began | Asked | JobsLoaded | HostSaid | HostLost | RoomSeen | ClockSet
    | Noted
)  # fmt: skip
