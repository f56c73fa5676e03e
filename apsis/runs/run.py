"""What is known of a run, in the one form that the database keeps, the bus carries and REST shows."""

from typing import Any

import msgspec

from apsis.runs.states import State


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended; exactly one of `code`, `signal` and `error` is set, or none if it is not known."""

    #: exit status, 0-255
    code: int | None = None
    #: number of the signal that ended it
    signal: int | None = None
    #: why it could not be started, or why its status is not known
    error: str = ""
    #: who or what ended it: `stop by ann`, `timeout 20s`, `signal 9 not sent by apsis`
    killed_by: str = ""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a program and its waited-for children used; seconds, bytes and counts, from `wait4`."""

    utime: float = 0.0
    stime: float = 0.0
    maxrss: int = 0
    minflt: int = 0
    majflt: int = 0
    inblock: int = 0
    oublock: int = 0
    nvcsw: int = 0
    nivcsw: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job. Times are UTC strings, `2026-06-30T14:32:07.120000Z` (`apsis.times.format_time`).

    The schedule time is a field of its own and not one of `timestamps`, which hold the moments at
    which the run entered each state.
    """

    run_id: str
    job_id: str
    args: dict[str, str]
    state: State
    #: why it is in this state, for a person: "waiting for etl/load", "exit 3", "stopped by admin"
    reason: str = ""
    schedule_time: str | None = None
    stop_time: str | None = None
    timestamps: dict[str, str] = {}
    labels: list[str] = []
    #: made by a schedule; False: asked for by a person, an action or a rule
    expected: bool = False
    host: str | None = None
    #: False: its host cannot be reached
    reachable: bool = True
    #: the program as bound for this run, secrets by name only
    program: dict[str, Any] = {}
    conditions: list[dict[str, Any]] = []
    actions: list[dict[str, Any]] = []
    #: content hash of the job's definition that this run was bound from
    job_version: str = ""
    rerun_of: str | None = None
    #: the run whose bad end this one makes up for, by the `retry` of its job
    retry_of: str | None = None
    #: which of the retries that rule allows it is; 0: it is none
    attempt: int = 0
    #: what was run again of it: reruns and its retry
    reruns: list[str] = []
    #: a retry or a rerun does not start before; it is due then, whatever its schedule time says
    not_before: str | None = None
    #: `late`, `too_long`, `too_fast`: what was told of it, once each
    raised: list[str] = []
    #: seconds from its due time to its start; null before it has started
    late_by: float | None = None
    #: seconds that the program ran; null until it has ended
    elapsed: float | None = None
    exit: Exit | None = None
    rusage: Usage | None = None
    #: stream: final length in bytes; empty until it has ended
    outputs: dict[str, int] = {}
    #: process id of the program, while it is known
    pid: int | None = None
    #: number of the database under which its host and its output have it; 0: not known
    journal: int = 0
    #: the id under which they have it, where that is not `run_id`; empty: it is
    held_as: str = ""
    #: grows by one with each change of this run
    rev: int = 0


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a run's action log: who moved it, when, from where to where, and why."""

    #: event id
    seq: int
    at: str
    #: `scheduler`, `user:admin`, `token:NAME`, `action:RUN`, `supervisor/HOST`
    actor: str
    #: what happened: the new state, or `refused`, `mark`, `note`, `late`, `too_long`, `too_fast`
    event: str
    old: str = ""
    reason: str = ""
