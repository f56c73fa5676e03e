"""The shim: one small process for each run. Takes the claim, starts the program, waits, writes down how it ended.

Forked from the zygote with everything imported. It holds the journal's lock for as long as it lives,
and all descendants of its program fall to it. It answers no signal but SIGCHLD and SIGUSR1: a TERM
that reaches every process of the machine must not take away the one that writes the result.
"""

# The zygote does not load pathlib.
# ruff: noqa: PTH102, PTH120

import os
import resource
import signal
import time
from typing import Final

from apsis.failpoints import reach
from apsis_services.supervisor.zygote import cgroup
from apsis_services.supervisor.zygote.answers import Asker
from apsis_services.supervisor.zygote.failure import SpawnError
from apsis_services.supervisor.zygote.identity import Identity, start_ticks
from apsis_services.supervisor.zygote.journal import read_whole
from apsis_services.supervisor.zygote.journal_file import JournalFile, take_claim
from apsis_services.supervisor.zygote.keeper import Keeper, Program
from apsis_services.supervisor.zygote.linux import Outcome, look_at_end, set_name, set_subreaper
from apsis_services.supervisor.zygote.processes import descendants, live_stats, signal_all
from apsis_services.supervisor.zygote.request import EPOCH, JOURNAL, RUN, StartRequest, unstarted
from apsis_services.supervisor.zygote.spawn import spawn
from apsis_services.supervisor.zygote.stamps import stamp_now
from apsis_services.supervisor.zygote.usage import NOTHING, Usage

_APPENDING: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
#: exit status of a shim that leaves somebody behind
LEFT: Final = 3
_WAKES: Final = (signal.SIGCHLD, signal.SIGUSR1)


class OwnFamily:
    """All descendants of this process."""

    __slots__ = ()

    def any(self) -> bool:
        """Whether a child lives. In one call: waiting for what can only come from the living says ECHILD otherwise."""
        try:
            os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def signal(self, number: int) -> None:
        """Signal all: children as soon as each is seen, so that one which forks and ends is met, then the others."""
        me = os.getpid()
        stats = []
        for stat in live_stats():
            stats.append(stat)
            if stat.ppid == me:
                signal_all([stat], number)
        signal_all((stat for stat in descendants([me], stats) if stat.ppid != me), number)

    def count(self) -> int:
        """Return how many live."""
        return len(descendants([os.getpid()], live_stats()))


#: it has no state of its own: who asks is whose family it is
FAMILY: Final = OwnFamily()


class Shim:
    """One run, from its claim to its end."""

    __slots__ = ("boot", "directory", "facts", "journal", "request", "spool")

    def __init__(self, spool: str, request: StartRequest, boot: str) -> None:
        self.spool = spool
        self.boot = boot
        #: whatever else is in the environment, the program's descendants can be told by it
        request.env[RUN] = request.run_id
        request.env[JOURNAL] = str(request.journal)
        self.request = request
        self.directory = request.directory(spool)

    def claim(self) -> JournalFile | None:
        """Take the claim; None: the run is claimed already.

        Raises:
            OSError: the journal cannot be made, or not in the spool that the start is for; nothing is claimed.
        """
        pid = os.getpid()
        ticks = start_ticks(pid)
        assert ticks is not None
        self.facts = self.request.claim(Identity(pid, ticks), self.boot, stamp_now())
        if self.request.cgroup is not None:
            self._plan_group()
        request = self.request
        epoch = request.env.get(EPOCH, "")
        return take_claim(self.spool, request.journal, request.run_id, [dict(self.facts)], epoch=epoch)

    def start(self, journal: JournalFile) -> Keeper | None:
        """Start the program; None: it could not be, which is its result."""
        self.journal = journal
        try:
            outputs = self._open_outputs()
            began, began_at = time.monotonic(), stamp_now()
            group = None if self.request.cgroup is None else self._make_group(self.request.cgroup)
            pid = spawn(self.request, outputs, self.fail, group)
        except SpawnError as error:
            if "group" in self.facts:
                cgroup.remove(self.facts["group"])
            self.fail(str(error))
            return None
        reach("shim.spawned")
        for fd in set(outputs):
            os.close(fd)
        journal.append(
            {
                "e": "started",
                "pid": pid,
                "ticks": start_ticks(pid),
                "boot": self.boot,
                "at": began_at,
                "mono": began,
            }
        )
        reach("shim.recorded")
        program = Program(pid, began_at, began)
        return Keeper(journal, self.facts, self.directory, program, FAMILY, tree=NOTHING)

    def fail(self, reason: str) -> None:
        """Write down that the program could not be started, and why."""
        self.journal.append(*unstarted(reason, stamp_now()))

    def _plan_group(self) -> None:
        """Put the path of the run's control group into the claim; why there can be none is told by the start."""
        try:
            base = cgroup.find_base()
        except SpawnError:
            return
        name = cgroup.name_of(self.request.env.get(EPOCH, ""), self.request.key)
        self.facts["group"] = f"{base}/{name}"

    def _make_group(self, limits: dict[str, float | None]) -> str:
        """Make the run's control group, and remove those of runs long gone; return its path.

        Raises:
            SpawnError: it cannot be made.
        """
        path = self.facts["group"] if "group" in self.facts else cgroup.find_base()
        cgroup.sweep(os.path.dirname(path), self.request.env.get(EPOCH, ""), f"{self.spool}/journals")
        cgroup.make(path, limits)
        return path

    def _open_outputs(self) -> list[int]:
        """Make the run's folder and its output files; the same file for both streams if they are merged.

        Raises:
            SpawnError: it cannot be done.
        """
        try:
            _make_folder(self.directory)
            outputs = []
            for name in self.request.outputs:
                outputs.append(os.open(f"{self.directory}/{name}", _APPENDING, 0o640))  # noqa: PERF401 - no function
        except OSError as error:
            raise SpawnError(f"the run's folder {self.directory!r} cannot be made: {error.strerror}") from None
        return outputs


def _make_folder(path: str) -> None:
    try:
        os.mkdir(path, 0o750)
    except FileExistsError:  # made by one who had an order for this run
        return


def collect(keeper: Keeper) -> None:
    """Take note of each child that has ended: of the program first, and written down before it is reaped."""
    if not keeper.ended:
        outcome = look_at_end(keeper.program.pid)
        if outcome is not None:
            reach("shim.ended")
            keeper.program = keeper.program._replace(maxrss_floor=_floor(outcome))
            keeper.program_ended(outcome)
            reach("shim.resulted")
            keeper.child_reaped(Usage.of(os.wait4(keeper.program.pid, 0)[2]))
            reach("shim.reaped")
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or (found.si_pid == keeper.program.pid and not keeper.ended):
            return
        keeper.child_reaped(Usage.of(os.wait4(found.si_pid, 0)[2]))


def run_shim(spool: str, boot: str, memory: int, asker: Asker) -> int:
    """Be the shim of the run whose request lies in a memory file, to the end; the asker is told of the claim.

    Returns our exit status: 0, or `LEFT` if somebody of the run is left, who falls to the zygote.
    """
    set_name(b"apsis-shim")
    os.setsid()
    set_subreaper()
    reach("shim.started-alone")
    keep_run(spool, boot, memory, asker)
    reach("shim.done")
    return LEFT if FAMILY.any() else 0


def keep_run(spool: str, boot: str, memory: int, asker: Asker) -> JournalFile | None:
    """Claim a run, start its program, and see it to its end; return its journal, still held; None: it was not ours."""
    data = read_whole(memory)
    os.close(memory)
    shim = Shim(spool, StartRequest.decode(data), boot)
    del data
    try:
        journal = shim.claim()
    except OSError as error:
        asker.tell("error", f"the run's journal cannot be made: {error.strerror}")
        return None
    if journal is None:
        asker.tell("ok", "exists")
        return None
    reach("shim.claimed")
    asker.tell("ok", "claimed")
    asker.leave()
    reach("shim.answered")
    keeper = shim.start(journal)
    del shim
    if keeper is not None:
        watch(keeper)
        keeper.leave()
    return journal


def _floor(outcome: Outcome) -> int:
    """Return the least `maxrss` that could be seen, in bytes: a program begins in our memory, which is counted.

    Asked at the end, when our own peak is a page or two higher than it was then; so never more than what was seen.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return peak if outcome.usage is None else min(peak, outcome.usage.maxrss)


def _wait(until: float | None) -> signal.struct_siginfo | None:
    """Wait for a signal, or until a moment on the monotonic clock."""
    if until is None:
        return signal.sigwaitinfo(_WAKES)
    return signal.sigtimedwait(_WAKES, max(0.0, until - time.monotonic()))


def watch(keeper: Keeper) -> None:
    """Wait for the program and for orders until the run is done. SIGCHLD and SIGUSR1 are blocked.

    They were before the program began: one that has ended already has left a SIGCHLD that waits for us.
    """
    keeper.read_orders()
    until = keeper.turn()
    while not keeper.finished:
        woken = _wait(until)
        if woken is not None and woken.si_signo == signal.SIGUSR1:
            keeper.read_orders()
        collect(keeper)
        until = keeper.turn()
