"""What the core wants done. All effects of one turn are one commit; replies, acks and commands go out after it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apsis.messages.alerts import AlertsNoted
from apsis.messages.events import Event
from apsis.messages.requests import Done, Failed
from apsis.runs.core.rows import CommandRow, CursorRow, HostRow, JobRow, RequestRow, RunRow
from apsis.runs.core.said import Question


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to an `Asked`, or to an `AlertsSaid`."""

    token: object
    body: Done | Failed | AlertsNoted


@dataclass(slots=True)
class Effects:
    """Rows to write, keyed so that the last version of a turn is the one written; and messages to send after."""

    runs: dict[str, RunRow] = field(default_factory=dict)
    #: numbers of runs that were withdrawn before their time: their rows go
    withdrawn: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    commands: list[CommandRow] = field(default_factory=list)
    #: (host, dispatch) of commands that were answered: their rows go
    settled: list[tuple[str, int]] = field(default_factory=list)
    cursors: dict[tuple[str, str], CursorRow | None] = field(default_factory=dict)
    hosts: dict[str, HostRow] = field(default_factory=dict)
    jobs: dict[str, JobRow | None] = field(default_factory=dict)
    #: version: (job id, definition)
    versions: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    requests: list[RequestRow] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    #: hosts to whom the last applied report is acknowledged
    acks: set[str] = field(default_factory=set)
    #: hosts that have just (re)connected: what is unanswered goes again at once
    greeted: set[str] = field(default_factory=set)
    #: run: the condition that is to be looked at from now on, until it is another; None: none of it is any more
    questions: dict[str, Question | None] = field(default_factory=dict)
    #: the database's new number: all that is sent from this commit on carries it
    journal: int | None = None
    #: when the core wants its next `Tick`; None: not before something happens
    wake: datetime | None = None

    def add(self, later: "Effects") -> None:
        """Take in the effects of a later step, so that both are one commit."""
        for num in later.withdrawn:
            self.runs.pop(f"r{num}", None)
        self.runs.update(later.runs)
        self.withdrawn += later.withdrawn
        self.events += later.events
        self.commands += later.commands
        self.settled += later.settled
        self.cursors.update(later.cursors)
        self.hosts.update(later.hosts)
        self.jobs.update(later.jobs)
        self.versions.update(later.versions)
        self.meta.update(later.meta)
        self.requests += later.requests
        self.replies += later.replies
        self.acks |= later.acks
        self.greeted |= later.greeted
        self.questions.update(later.questions)
        self.journal = later.journal or self.journal
        self.wake = later.wake

    @property
    def durable(self) -> bool:
        """Whether there is anything to commit."""
        return bool(
            self.runs or self.withdrawn or self.events or self.commands or self.settled or self.cursors
            or self.hosts or self.jobs or self.versions or self.meta or self.requests
        )  # fmt: skip
