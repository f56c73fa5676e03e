"""Keeping one running program to its end: obeys orders, climbs the ladder, writes `result` and `done`.

The same for a shim, whose whole family the run is, and for a zygote that has adopted the program of a
killed shim; they differ in how they find the family. What to do is decided in `ladder`; here it is done.
"""

# The zygote does not load pathlib.
# ruff: noqa: PTH116, PTH208

import os
import signal
import time
from typing import Final, NamedTuple, Protocol

from apsis_services.supervisor.zygote import cgroup
from apsis_services.supervisor.zygote.causes import limit_reached
from apsis_services.supervisor.zygote.identity import read_stat
from apsis_services.supervisor.zygote.journal import run_key
from apsis_services.supervisor.zygote.journal_file import JournalFile
from apsis_services.supervisor.zygote.ladder import (
    Course,
    Finish,
    KillAll,
    Policy,
    SignalGroup,
    TermRest,
    Wait,
    accept,
    advance,
    blame,
    decide,
    is_stuck,
)
from apsis_services.supervisor.zygote.linux import Outcome
from apsis_services.supervisor.zygote.log import say
from apsis_services.supervisor.zygote.orders import STOP, SignalOrder, read_stop, take_signals
from apsis_services.supervisor.zygote.records import Claim, Record
from apsis_services.supervisor.zygote.request import LEAVE, MERGED
from apsis_services.supervisor.zygote.stamps import stamp_now
from apsis_services.supervisor.zygote.usage import Usage

_TERM: Final = int(signal.SIGTERM)


class Family(Protocol):
    """The descendants of a program that are in reach of whoever keeps it."""

    def any(self) -> bool:
        """Whether one lives, the program itself aside."""
        ...

    def signal(self, number: int) -> None:
        """Signal all that live, the program included."""
        ...

    def count(self) -> int:
        """Return how many live."""
        ...


class Program(NamedTuple):
    """The main program of a run, once it has begun."""

    pid: int
    #: UTC text
    began_at: str
    #: seconds on the monotonic clock
    began: float
    #: the least `maxrss` that can be seen, in bytes; see `records.Result`
    maxrss_floor: int = 0


def policy_of(claim: Claim) -> Policy:
    """Return what the claim says about stopping, timeout and leftovers."""
    timeout = claim["timeout"]
    leave = claim["leftovers"] == LEAVE
    if timeout is None:
        return Policy(claim["stop"]["grace"], None, _TERM, leave)
    return Policy(claim["stop"]["grace"], timeout["duration"], timeout["signal"], leave)


def group_of(claim: Claim) -> str | None:
    """Return the path of the run's control group; None: it has none, or what the claim names is another's."""
    path = claim.get("group", "")
    key = run_key(claim["journal"], claim["run_id"])
    return path if path and cgroup.is_group_of(path, claim["epoch"], key) else None


def output_lengths(directory: str, streams: str) -> dict[str, int]:
    """Return the lengths of a run's output files as they are now; a file that was never made is left out."""
    lengths = {}
    for name in ("output",) if streams == MERGED else ("stdout", "stderr"):
        try:
            lengths[name] = os.stat(f"{directory}/{name}").st_size
        except FileNotFoundError:
            continue
    return lengths


class Keeper:
    """Sees one program to its end. Whoever uses it tells it of ended children and calls `turn`."""

    __slots__ = (
        "_claim",
        "_course",
        "_group",
        "_policy",
        "_signalled",
        "_told_stuck",
        "directory",
        "family",
        "finished",
        "journal",
        "program",
        "tree",
    )

    def __init__(
        self, journal: JournalFile, claim: Claim, directory: str, program: Program, family: Family, *, tree: Usage
    ) -> None:
        self.journal = journal
        self.directory = directory
        self.program = program
        self.family = family
        #: what the ended ones of the family used
        self.tree = tree
        self.finished = False
        self._claim = claim
        self._policy = policy_of(claim)
        self._course = Course(program.began)
        self._signalled: SignalOrder | None = None
        self._group = group_of(claim) if "group" in claim else None
        self._told_stuck = ""

    @property
    def ended(self) -> bool:
        """Whether the program itself has ended; its leftovers may live."""
        return self._course.ended is not None

    def read_orders(self) -> None:
        """Obey what stands in the run's folder. An order that cannot be read is logged and passed over."""
        run_id = self._claim["run_id"]
        try:
            names = os.listdir(self.directory)
            order = read_stop(self.directory) if STOP in names else None
            if order is not None:
                self._course = accept(self._course, order, time.monotonic())
            for signalled in take_signals(self.directory, names):
                if not self.ended:
                    self._signalled = signalled
                    self._signal_group(signalled.signal)
        except (OSError, ValueError, KeyError) as error:
            say("WARNING", "order_unreadable", f"run {run_id}: an order cannot be read: {error}", run_id)

    def program_ended(self, outcome: Outcome) -> None:
        """Write down how the program ended; with `done`, if nothing of it is left. Before it is reaped."""
        now = time.monotonic()
        at = stamp_now()
        usage = outcome.usage or Usage()
        limit = "" if outcome.signal is None else self._limit_reached(outcome.signal, usage)
        result: Record = {
            "e": "result",
            "code": outcome.code,
            "signal": outcome.signal,
            "error": "",
            "killed_by": blame(self._policy, self._course, outcome.signal, self._signalled, limit),
            "stopped": self._course.stopped_at is not None,
            "timed_out": self._course.timed_out_at is not None,
            "start": self.program.began_at,
            "end": at,
            "elapsed": round(now - self.program.began, 6),
            "rusage": usage._asdict(),
            "maxrss_floor": self.program.maxrss_floor,
        }
        self._course = self._course._replace(ended=now)
        if self._kin():
            self.journal.append(result)
        else:
            self.journal.append(result, self._done(at, self.tree.plus(usage)))
            self.finished = True

    def status_unknown(self, reason: str) -> None:
        """Write down that how the program ended cannot be known, and why."""
        at = stamp_now()
        now = time.monotonic()
        self.journal.append(
            {
                "e": "result",
                "code": None,
                "signal": None,
                "error": reason,
                "killed_by": "",
                "stopped": False,
                "timed_out": False,
                "start": self.program.began_at,
                "end": at,
                "elapsed": round(now - self.program.began, 6),
                "rusage": {},
                "maxrss_floor": 0,
            }
        )
        self._course = self._course._replace(ended=now)

    def already_ended(self) -> None:
        """Take up a run whose result is written: only its leftovers are to be ended."""
        self._course = self._course._replace(ended=time.monotonic())

    def child_reaped(self, usage: Usage) -> None:
        """Add what a member of the family used; its own children, if any, have come to light."""
        self.tree = self.tree.plus(usage)
        self._course = self._course._replace(reaped=True)

    def turn(self) -> float | None:
        """Do what is due, and return when (monotonic) something will be next; None: not before something happens."""
        while not self.finished:
            now = time.monotonic()
            action = decide(self._policy, self._course, now, kin=self.ended and self._kin())
            match action:
                case Wait(until):
                    return until
                case SignalGroup(number, _):
                    self._signal_group(number)
                    self._signal_group(signal.SIGCONT)  # a stopped program would never see it
                case TermRest():
                    self.family.signal(signal.SIGTERM)
                case KillAll():
                    self._kill(now)
                case Finish():
                    self.journal.append(self._done(stamp_now(), self.tree))
                    self.finished = True
            self._course = advance(self._policy, self._course, action, now)
        return None

    def _kin(self) -> bool:
        """Whether somebody of the run lives, the program itself aside: a descendant, or one in its control group."""
        return self.family.any() or (self._group is not None and cgroup.is_populated(self._group))

    def _kill(self, now: float) -> None:
        if not self.ended:
            self._signal_group(signal.SIGKILL)
            if is_stuck(self._course, now):
                self._tell_stuck()
        if self._group is not None:
            cgroup.kill(self._group)
        self.family.signal(signal.SIGKILL)

    def _tell_stuck(self) -> None:
        """Write down that the program does not end, and in which state it is; once for each state."""
        stat = read_stat(self.program.pid)
        if stat is not None and stat.living and stat.state != self._told_stuck:
            self._told_stuck = stat.state
            self.journal.append({"e": "stuck", "pid": stat.pid, "state": stat.state, "at": stamp_now()})

    def _limit_reached(self, number: int, usage: Usage) -> str:
        """Return which limit of the run ended its program; only runs that have any are looked into."""
        if self._group is None and "limits" not in self._claim:
            return ""
        kills = 0 if self._group is None else cgroup.oom_kills(self._group)
        return limit_reached(self._claim, number, usage.utime + usage.stime, kills)

    def leave(self) -> None:
        """Remove what the run had of the kernel's beside its processes, when all is written."""
        if self._group is not None:
            cgroup.remove(self._group)

    def _signal_group(self, number: int) -> None:
        """Signal the program's group. The program is a child of ours and not reaped, so its pid is nobody else's."""
        assert self.program.pid > 1
        assert not self.ended
        try:
            os.killpg(self.program.pid, number)
        except ProcessLookupError:
            return
        except PermissionError:
            run_id = self._claim["run_id"]
            say("WARNING", "signal_refused", f"run {run_id}: its program may not be signalled by us", run_id)

    def _done(self, at: str, tree: Usage) -> Record:
        left = 0
        if self._course.ended is not None and self._kin():
            left = max(self.family.count(), 1)
        alone = self._policy.leave and self._course.killing_since is None
        return {
            "e": "done",
            "at": at,
            "rusage": tree._asdict(),
            "leftovers": 0 if alone else left,
            "left": left if alone else 0,
            "outputs": output_lengths(self.directory, self._claim["streams"]),
        }
