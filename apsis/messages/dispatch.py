"""Scheduler and supervisor: commands, their answers, and reports.

A command carries a dense `dispatch` number for its host and is sent again until it is answered. A
report carries a dense `seq` for its (host, spool epoch) and is sent again until it is acknowledged.
"""

from typing import Any

from apsis.messages.body import Body
from apsis.runs.run import Exit, Usage


class StopPolicy(Body, frozen=True, kw_only=True, tag="stop_policy"):
    """How a program is asked to end: `signal` (number) first, KILL after `grace` seconds."""

    signal: int = 15
    grace: float = 60.0


class TimeoutPolicy(Body, frozen=True, kw_only=True, tag="timeout_policy"):
    """After `duration` seconds `signal` (number) is sent once, then the grace period, then KILL."""

    duration: float
    signal: int = 15


class Process(Body, frozen=True, kw_only=True, tag="process"):
    """A program as bound for one run: all that a supervisor needs to start it."""

    argv: list[str]
    #: added to the supervisor's clean environment; null unsets a name
    env: dict[str, str | None] = {}
    cwd: str | None = None
    user: str | None = None
    group: str | None = None
    stop: StopPolicy = StopPolicy()
    timeout: TimeoutPolicy | None = None
    #: `merged` (one stream, `output`) or `split` (`stdout`, `stderr`)
    streams: str = "merged"
    #: what becomes of descendants when the main program has ended: `kill` or `leave`
    leftovers: str = "kill"
    #: bytes of output kept, head and tail; None: all
    max_bytes: int | None = None


class Start(Body, frozen=True, kw_only=True, tag="start"):
    """Scheduler orders, supervisor obeys at most once: start the program of a run."""

    dispatch: int
    run_id: str
    job_id: str
    args: dict[str, str]
    schedule_time: str | None
    #: sha256 of the args, hex; a start that differs from its claim is refused as `conflict`
    args_hash: str
    process: Process


class Stop(Body, frozen=True, kw_only=True, tag="stop"):
    """Scheduler orders: end the run by its stop ladder (or at once, with `grace` 0 and signal 9)."""

    dispatch: int
    run_id: str
    signal: int = 15
    grace: float = 60.0
    #: who asked, for "what killed it"
    by: str = "scheduler"


class Signal(Body, frozen=True, kw_only=True, tag="signal"):
    """Scheduler orders: send one signal to the program's process group."""

    dispatch: int
    run_id: str
    signal: int
    by: str


class Revoke(Body, frozen=True, kw_only=True, tag="revoke"):
    """Scheduler orders: take the claim, so that no later start of this run can succeed."""

    dispatch: int
    run_id: str


class Forget(Body, frozen=True, kw_only=True, tag="forget"):
    """Scheduler orders: these runs are settled and committed; archive their journals."""

    dispatch: int
    run_ids: list[str]


class Inventory(Body, frozen=True, kw_only=True, tag="inventory"):
    """Scheduler orders: report every run that this host has a journal of."""

    dispatch: int


Command = Start | Stop | Signal | Revoke | Forget | Inventory


class Commands(Body, frozen=True, kw_only=True, tag="commands"):
    """Scheduler sends to `supervisor/HOST`: commands bound to one (epoch, boot), in order of dispatch."""

    #: random number made with the database
    journal: int
    #: grows by one at each start of the scheduler
    term: int
    epoch: str
    boot: str
    #: all dispatches at or below are answered and committed
    floor: int
    #: at most 64
    items: list[Command]


class Answer(Body, frozen=True, kw_only=True, tag="answer"):
    """Supervisor's answer to one command.

    `state` is the run's present state on the host: `claimed`, `started`, `result`, `done`, `revoked`,
    `none` (no journal, and the command was not a start), `settled` (at or below the floor),
    `unknown` (bound to another epoch or boot, and no journal here), `conflict`, `refused` (with `reason`).
    """

    dispatch: int
    run_id: str
    state: str
    reason: str = ""


class Answers(Body, frozen=True, kw_only=True, tag="answers"):
    """Supervisor sends to `scheduler`; not resent by itself: the command comes again if this is lost."""

    host: str
    epoch: str
    boot: str
    items: list[Answer]


class HostHello(Body, frozen=True, kw_only=True, tag="host"):
    """Supervisor sends to `scheduler` when either has (re)connected; answered by `Ack`."""

    host: str
    epoch: str
    boot: str
    #: number of the last report made, 0 if none
    seq: int
    #: reports up to here are gone from the spool: a scheduler that has fewer (a restored backup) goes on from here
    acked: int = 0
    floor: int
    version: str
    cores: int
    capabilities: dict[str, Any] = {}


class Started(Body, frozen=True, kw_only=True, tag="started"):
    """Report: the program runs."""

    seq: int
    run_id: str
    at: str
    pid: int


class Finished(Body, frozen=True, kw_only=True, tag="finished"):
    """Report: the program has ended, its leftovers too, and the output's lengths are final."""

    seq: int
    run_id: str
    #: start of the program; None: it never started
    start: str | None
    end: str
    #: seconds on the monotonic clock
    elapsed: float
    exit: Exit
    #: what ended it was the run's own stop ladder
    stopped: bool = False
    timed_out: bool = False
    rusage: Usage = Usage()
    outputs: dict[str, int] = {}
    #: descendants that could not be ended
    leftovers: int = 0


class Lost(Body, frozen=True, kw_only=True, tag="lost"):
    """Report: what became of the run cannot be known; `reason` says why."""

    seq: int
    run_id: str
    at: str
    reason: str


class Revoked(Body, frozen=True, kw_only=True, tag="revoked"):
    """Report: the claim was taken by a revoke or by a stop that overtook its start."""

    seq: int
    run_id: str
    at: str


class Held(Body, frozen=True, kw_only=True, tag="held"):
    """Report: one run of an inventory, as its journal has it."""

    seq: int
    run_id: str
    job_id: str
    schedule_time: str | None
    args: dict[str, str]
    journal: int
    state: str


Report = Started | Finished | Lost | Revoked | Held


class Reports(Body, frozen=True, kw_only=True, tag="reports"):
    """Supervisor sends to `scheduler`: consecutive reports, at most 64."""

    host: str
    epoch: str
    boot: str
    items: list[Report]


class Ack(Body, frozen=True, kw_only=True, tag="ack"):
    """Scheduler sends to `supervisor/HOST`: reports up to `seq` are committed. Also answers `HostHello`."""

    journal: int
    term: int
    epoch: str
    seq: int


ToSupervisor = Commands | Ack
FromSupervisor = HostHello | Answers | Reports
