"""Scheduler and supervisor: commands, their answers, and reports.

A command carries a dense `dispatch` number for its host and is sent again until it is answered. A
report carries a dense `seq` for its (host, spool epoch) and is sent again until it is acknowledged.
"""

from typing import Any

from apsis.messages.body import Body
from apsis.messages.outputs import KeepPolicy
from apsis.runs.run import Exit, Usage


class StopPolicy(Body, frozen=True, kw_only=True, tag="stop_policy"):
    """How a program is asked to end: `signal` (number) first, KILL after `grace` seconds."""

    signal: int = 15
    grace: float = 60.0


class TimeoutPolicy(Body, frozen=True, kw_only=True, tag="timeout_policy"):
    """After `duration` seconds `signal` (number) is sent once, then the grace period, then KILL."""

    duration: float
    signal: int = 15


class Limits(Body, frozen=True, kw_only=True, tag="limits"):
    """What the kernel lets each process of a run have (`setrlimit`); null: as the supervisor has it."""

    #: seconds of CPU: XCPU then, and KILL five seconds of CPU later
    cpu: int | None = None
    #: bytes of address space
    memory: int | None = None
    open_files: int | None = None
    #: processes and threads of the user, not of the run
    processes: int | None = None
    #: bytes of one file that is written
    file_size: int | None = None


class Cgroup(Body, frozen=True, kw_only=True, tag="cgroup"):
    """A control group of the run's own, and what all of its processes together may have; null: no limit."""

    #: bytes
    memory_max: int | None = None
    #: cores; 0.5 is half of one
    cpu_max: float | None = None
    pids_max: int | None = None


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
    #: how long the output is kept; None: as the store's configuration says
    keep: KeepPolicy | None = None
    #: a file on the host with lines `NAME=value`, read when the program is started
    env_file: str | None = None
    #: whether the supervisor's own environment is passed on, or which names of it
    inherit_env: bool | list[str] = False
    #: variable: name of the secret that the host has for it
    secrets: dict[str, str] = {}
    #: the text that is given on standard input; null: none
    stdin: str | None = None
    #: the file that standard input is read from; null: `stdin`, or nothing
    stdin_file: str | None = None
    #: file mode bits that are taken away
    umask: int = 0o022
    #: added to the niceness; null: nothing
    nice: int | None = None
    #: null: as the supervisor has them
    limits: Limits | None = None
    #: null: the run has no control group of its own
    cgroup: Cgroup | None = None


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
    #: the database under whose number the run is claimed; 0: that of `Commands`
    journal: int = 0
    #: kept in the claim and given back by `Held`: what a scheduler whose database has lost the run must know of it
    memo: dict[str, Any] = {}


class Stop(Body, frozen=True, kw_only=True, tag="stop"):
    """Scheduler orders: end the run by its stop ladder (or at once, with `grace` 0 and signal 9)."""

    dispatch: int
    run_id: str
    signal: int = 15
    grace: float = 60.0
    #: who asked, for "what killed it"
    by: str = "scheduler"
    #: the database under whose number the run is claimed; 0: that of `Commands`
    journal: int = 0


class Signal(Body, frozen=True, kw_only=True, tag="signal"):
    """Scheduler orders: send one signal to the program's process group."""

    dispatch: int
    run_id: str
    signal: int
    by: str
    #: the database under whose number the run is claimed; 0: that of `Commands`
    journal: int = 0


class Revoke(Body, frozen=True, kw_only=True, tag="revoke"):
    """Scheduler orders: take the claim, so that no later start of this run can succeed."""

    dispatch: int
    run_id: str
    #: the database under whose number the run is claimed; 0: that of `Commands`
    journal: int = 0


class Forget(Body, frozen=True, kw_only=True, tag="forget"):
    """Scheduler orders: these runs are settled and committed; archive their journals."""

    dispatch: int
    run_ids: list[str]
    #: the database under whose number they are claimed; 0: that of `Commands`
    journal: int = 0


class Inventory(Body, frozen=True, kw_only=True, tag="inventory"):
    """Scheduler orders: report every run that this host has a journal of, archived ones too.

    Each is told by a `Held`, and their end by `Counted`; only then the command is answered.
    """

    dispatch: int
    #: leave out what was archived before this time; empty: nothing is left out
    since: str = ""


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
    #: random number made at each start of the scheduler; 0: not known
    life: int = 0


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
    #: the database whose commands these are; 0: not known
    journal: int = 0


class Known(Body, frozen=True, kw_only=True, tag="known"):
    """A database that a supervisor has heard of or holds runs of, as its HELLO names it."""

    journal: int
    #: the newest that was heard of it, and which life of its scheduler that was; 0: not known
    term: int = 0
    life: int = 0
    #: runs claimed under its number and not archived
    claims: int = 0


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
    #: every database it knows; the newest heard of comes first. One that is not ours, or newer than we are, says
    #: that our own was put back from a backup
    known: list[Known] = []
    #: random, another one in each life of the supervisor; an `Ack` repeats it
    nonce: int = 0


class Started(Body, frozen=True, kw_only=True, tag="started"):
    """Report: the program runs."""

    seq: int
    run_id: str
    at: str
    pid: int
    #: the database under whose number the run is claimed; 0: the present one
    journal: int = 0


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
    #: of the whole tree; None: nobody is left who was told, or it never started
    rusage: Usage | None = None
    outputs: dict[str, int] = {}
    #: descendants that could not be ended
    leftovers: int = 0
    #: the database under whose number the run is claimed; 0: the present one
    journal: int = 0


class Stuck(Body, frozen=True, kw_only=True, tag="stuck"):
    """Report: the program lives although it was sent KILL again and again; more is tried."""

    seq: int
    run_id: str
    at: str
    pid: int
    #: as the kernel names it in one letter; D: it waits for the kernel, which no signal interrupts
    state: str
    #: the database under whose number the run is claimed; 0: the present one
    journal: int = 0


class Lost(Body, frozen=True, kw_only=True, tag="lost"):
    """Report: what became of the run cannot be known; `reason` says why."""

    seq: int
    run_id: str
    at: str
    reason: str
    #: the database under whose number the run is claimed; 0: the present one
    journal: int = 0


class Revoked(Body, frozen=True, kw_only=True, tag="revoked"):
    """Report: the claim was taken by a revoke or by a stop that overtook its start."""

    seq: int
    run_id: str
    at: str
    #: the database under whose number the run is claimed; 0: the present one
    journal: int = 0


class Held(Body, frozen=True, kw_only=True, tag="held"):
    """Report: one run of an inventory, as its journal has it.

    `state` is `claimed`, `started`, `result`, `done`, `revoked`, or `lost` where nothing of it could be found.
    """

    seq: int
    run_id: str
    #: empty where a stop took the claim before the start had come
    job_id: str
    schedule_time: str | None
    args: dict[str, str]
    journal: int
    state: str
    #: when it was claimed
    at: str = ""
    #: when its program began; None: it has not
    start: str | None = None
    pid: int = 0
    #: how it ended, for `done`
    ending: Finished | None = None
    #: why it is lost, for `lost`
    reason: str = ""
    #: its end was acknowledged once: what follows from it was done then
    told: bool = False
    #: its journal lies in the archive
    archived: bool = False
    #: of its `Start`
    memo: dict[str, Any] = {}


class Counted(Body, frozen=True, kw_only=True, tag="counted"):
    """Report: the inventory that was asked for by `dispatch` is complete; `count` runs were told."""

    seq: int
    dispatch: int
    count: int
    #: none; every report has this field
    run_id: str = ""
    #: the database whose scheduler asked
    journal: int = 0


Report = Started | Stuck | Finished | Lost | Revoked | Held | Counted


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
    #: random number made at each start of the scheduler; 0: not known
    life: int = 0
    #: `nonce` of the HELLO that it knows the host by; one to an earlier life of the supervisor is passed over
    hello: int = 0


class HostRoom(Body, frozen=True, kw_only=True, tag="host_room"):
    """Supervisor asks `scheduler` to take note of its spool's disk; sent again until it is answered by the same."""

    host: str
    #: why nothing new may be started here, as a sentence; empty: there is room
    lack: str = ""


ToSupervisor = Commands | Ack
FromSupervisor = HostRoom | HostHello | Answers | Reports
