"""What the core is told: one class for each kind of input."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apsis.jobs.job import Job
from apsis.messages.dispatch import Answers, HostHello, Reports
from apsis.messages.requests import Request


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Began:
    """The scheduler has started."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Someone wants something; `token` comes back with the reply."""

    request: Request
    token: object


@dataclass(frozen=True, slots=True)
class JobsLoaded:
    """The job directory was read. Jobs whose version is known need not be parsed: `same` names them."""

    #: new or changed jobs
    jobs: Mapping[str, Job]
    #: ids of jobs whose file says what it said
    same: frozenset[str] = frozenset()
    #: ids of known jobs whose file is there and broken: the last good version stays
    broken: frozenset[str] = frozenset()
    #: `{file, line, column, message}` of each error
    errors: list[dict[str, Any]] = field(default_factory=list)
    #: apply it even if many jobs would go
    force: bool = False
    #: why the directory could not be read at all, or ""
    unreadable: str = ""
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
class Noted:
    """Something happened to the installation that everybody is to be told."""

    #: last part of the topic
    kind: str
    detail: dict[str, Any]


Input = Tick | Began | Asked | JobsLoaded | HostSaid | HostLost | RoomSeen | Noted
