"""The order to start one program, as the supervisor gives it to the zygote, and the claim made of it."""

import os
from typing import Any, NamedTuple

from apsis_services.supervisor.zygote.identity import Identity
from apsis_services.supervisor.zygote.journal import run_directory, run_key
from apsis_services.supervisor.zygote.journal_file import take_claim
from apsis_services.supervisor.zygote.notation import decode, encode
from apsis_services.supervisor.zygote.records import VERSION, Claim, Record, StopFacts, TimeoutFacts

MERGED = "merged"
SPLIT = "split"
KILL = "kill"
LEAVE = "leave"
#: the name in the program's environment that, with APSIS_RUN_ID, tells its descendants from others
EPOCH = "APSIS_SPOOL"
RUN = "APSIS_RUN_ID"
JOURNAL = "APSIS_JOURNAL"


class StartRequest(NamedTuple):
    """All that a shim needs to start a program and to see it to its end; checked by who makes it."""

    journal: int
    run_id: str
    dispatch: int
    job_id: str
    schedule_time: str | None
    args: dict[str, str]
    args_hash: str
    argv: list[str]
    #: the program's whole environment: nothing is added, nothing inherited
    env: dict[str, str]
    stop: StopFacts
    #: None: `/`
    cwd: str | None = None
    #: name or number; None: the zygote's own
    user: str | None = None
    #: name or number; None: the user's own groups
    group: str | None = None
    #: `merged` (both to `output`) or `split` (`stdout`, `stderr`)
    streams: str = MERGED
    timeout: TimeoutFacts | None = None
    #: what becomes of descendants when the program has ended: `kill` or `leave`
    leftovers: str = KILL
    umask: int = 0o022
    #: kept in the claim, and not looked into
    memo: dict[str, Any] | None = None
    #: bytes of output kept, head and tail; None: all. Carried by the claim: it outlives the supervisor
    max_bytes: int | None = None
    #: how long the output is kept, as the store is told it
    keep: dict[str, Any] | None = None
    #: the text of standard input, or the file it is read from; None: `/dev/null`
    stdin: str | None = None
    stdin_file: str | None = None
    #: added to the niceness
    nice: int | None = None
    #: fields of `apsis.messages.dispatch.Limits` that are set
    limits: dict[str, int] | None = None
    #: fields of `apsis.messages.dispatch.Cgroup`; None: no control group of its own
    cgroup: dict[str, float | None] | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the files that the program's output goes to."""
        return ("output",) if self.streams == MERGED else ("stdout", "stderr")

    @property
    def key(self) -> str:
        """The run's name on this host."""
        return run_key(self.journal, self.run_id)

    def directory(self, spool: str) -> str:
        """Return the run's folder."""
        return run_directory(spool, self.journal, self.run_id)

    def encode(self) -> bytes:
        """Return the request as JSON: its values in their order, for a zygote of the same version."""
        return encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "StartRequest":
        """Return the request that `encode` made.

        Raises:
            ValueError, TypeError: it is none.
        """
        return cls(*decode(data))

    def claim(self, who: Identity, boot: str, at: str) -> Claim:
        """Return the claim of this run by a process."""
        claim: Claim = {
            "e": "claim",
            "v": VERSION,
            "journal": self.journal,
            "run_id": self.run_id,
            "dispatch": self.dispatch,
            "job_id": self.job_id,
            "schedule_time": self.schedule_time,
            "args": self.args,
            "args_hash": self.args_hash,
            "epoch": self.env.get(EPOCH, ""),
            "streams": self.streams,
            "stop": self.stop,
            "timeout": self.timeout,
            "leftovers": self.leftovers,
            "memo": self.memo or {},
            "max_bytes": self.max_bytes,
            "keep": self.keep,
            "boot": boot,
            "pid": who.pid,
            "ticks": who.ticks,
            "at": at,
        }
        if self.limits:
            claim["limits"] = self.limits
        if self.cgroup is not None:
            claim["group_limits"] = self.cgroup
        return claim


def unstarted(error: str, at: str) -> tuple[Record, Record]:
    """Return `result` and `done` of a run whose program never ran, for a reason."""
    result: Record = {
        "e": "result",
        "code": None,
        "signal": None,
        "error": error,
        "killed_by": "",
        "stopped": False,
        "timed_out": False,
        "start": None,
        "end": at,
        "elapsed": 0.0,
        "rusage": {},
        "maxrss_floor": 0,
    }
    return result, {"e": "done", "at": at, "rusage": {}, "leftovers": 0, "left": 0, "outputs": {}}


def settle(
    spool: str | os.PathLike[str], request: StartRequest, error: str, *, who: Identity, boot: str, at: str
) -> bool:
    """Write the whole journal of a run that cannot be started: claim, result, done; False: there is one already.

    Raises:
        OSError: it could not be made, or not in the spool that the request is for; nothing is claimed.
    """
    records = [dict(request.claim(who, boot, at)), *unstarted(error, at)]
    epoch = request.env.get(EPOCH, "")
    taken = take_claim(os.fspath(spool), request.journal, request.run_id, records, epoch=epoch)
    if taken is None:
        return False
    taken.close()
    return True
