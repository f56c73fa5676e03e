"""The shim: one small process for each run. Takes the claim, starts the program, waits, writes down how it ended.

Forked from the zygote with everything imported. It holds the journal's lock for as long as it lives,
and all descendants of its program fall to it. It answers no signal but SIGCHLD and SIGUSR1: a TERM
that reaches every process of the machine must not take away the one that writes the result.
"""

# The zygote does not load pathlib.
# ruff: noqa: PTH102

import os
import resource
import signal
import time
from collections.abc import Callable
from typing import Final

from apsis_services.supervisor.zygote.identity import Identity, start_ticks
from apsis_services.supervisor.zygote.journal import read_whole
from apsis_services.supervisor.zygote.journal_file import JournalFile, take_claim
from apsis_services.supervisor.zygote.keeper import Keeper, Program
from apsis_services.supervisor.zygote.linux import look_at_end, set_name, set_subreaper
from apsis_services.supervisor.zygote.processes import descendants, live_stats, signal_all
from apsis_services.supervisor.zygote.request import RUN, StartRequest, unstarted
from apsis_services.supervisor.zygote.spawn import SpawnError, spawn
from apsis_services.supervisor.zygote.stamps import stamp_now
from apsis_services.supervisor.zygote.usage import Usage

_WAKES: Final = (signal.SIGCHLD, signal.SIGUSR1)


class OwnFamily:
    """All descendants of this process."""

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


class Shim:
    """One run, from its claim to its end."""

    def __init__(self, spool: str, request: StartRequest, boot: str) -> None:
        self.spool = spool
        self.boot = boot
        #: whatever else is in the environment, the program's descendants can be told by it
        request.env[RUN] = request.run_id
        self.request = request
        self.directory = request.directory(spool)

    def claim(self) -> JournalFile | None:
        """Take the claim; None: the run is claimed already.

        Raises:
            OSError: the journal cannot be made; nothing is claimed.
        """
        pid = os.getpid()
        ticks = start_ticks(pid)
        assert ticks is not None
        self.facts = self.request.claim(Identity(pid, ticks), self.boot, stamp_now())
        return take_claim(self.spool, self.request.journal, self.request.run_id, [dict(self.facts)])

    def start(self, journal: JournalFile) -> Keeper | None:
        """Start the program; None: it could not be, which is its result."""
        request = self.request

        def fail(reason: str) -> None:
            journal.append(*unstarted(reason, stamp_now()))

        try:
            outputs = self._open_outputs()
            floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            began, began_at = time.monotonic(), stamp_now()
            pid = spawn(request, outputs, fail)
        except SpawnError as error:
            fail(str(error))
            return None
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
        program = Program(pid, began_at, began, floor)
        return Keeper(journal, self.facts, self.directory, program, OwnFamily(), tree=Usage())

    def _open_outputs(self) -> list[int]:
        """Make the run's folder and its output files; the same file for both streams if they are merged.

        Raises:
            SpawnError: it cannot be done.
        """
        try:
            _make_folder(self.directory)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            return [os.open(f"{self.directory}/{name}", flags, 0o640) for name in self.request.outputs]
        except OSError as error:
            raise SpawnError(f"the run's folder {self.directory!r} cannot be made: {error.strerror}") from None


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
            keeper.program_ended(outcome)
            keeper.child_reaped(Usage.of(os.wait4(keeper.program.pid, 0)[2]))
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or (found.si_pid == keeper.program.pid and not keeper.ended):
            return
        keeper.child_reaped(Usage.of(os.wait4(found.si_pid, 0)[2]))


def run_shim(spool: str, boot: str, memory: int, answer: Callable[[dict[str, str]], None]) -> None:
    """Be the shim of the run whose request lies in a memory file, to the end; `answer` tells the asker of the claim."""
    set_name("apsis-shim")
    os.setsid()
    set_subreaper()
    data = read_whole(memory)
    os.close(memory)
    shim = Shim(spool, StartRequest.decode(data), boot)
    del data
    try:
        journal = shim.claim()
    except OSError as error:
        answer({"error": f"the run's journal cannot be made: {error.strerror}"})
        return
    if journal is None:
        answer({"ok": "exists"})
        return
    answer({"ok": "claimed"})
    keeper = shim.start(journal)
    del shim
    if keeper is not None:
        watch(keeper)


def _wait(until: float | None) -> signal.struct_siginfo | None:
    """Wait for a signal, or until a moment on the monotonic clock."""
    if until is None:
        return signal.sigwaitinfo(_WAKES)
    return signal.sigtimedwait(_WAKES, max(0.0, until - time.monotonic()))


def watch(keeper: Keeper) -> None:
    """Wait for the program and for orders until the run is done. SIGCHLD and SIGUSR1 are blocked."""
    keeper.read_orders()
    collect(keeper)
    until = keeper.turn()
    while not keeper.finished:
        woken = _wait(until)
        if woken is not None and woken.si_signo == signal.SIGUSR1:
            keeper.read_orders()
        collect(keeper)
        until = keeper.turn()
