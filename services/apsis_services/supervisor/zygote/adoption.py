"""What a zygote does when a shim was killed: takes its journal, finds its program, and keeps it to its end.

The program and what descends from it fall to the zygote as the nearest subreaper. Which of its
children belong to which run is told by the tag in their environment, by the session or group of a
known member, or by descent; a child that none of these tells is never touched.
"""

import os
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from apsis_services.supervisor.zygote.identity import Identity, Stat, read_stat
from apsis_services.supervisor.zygote.journal import JournalState, run_directory, state_of
from apsis_services.supervisor.zygote.journal_file import JournalFile, clean_up, take_over
from apsis_services.supervisor.zygote.keeper import Keeper, Program
from apsis_services.supervisor.zygote.log import say
from apsis_services.supervisor.zygote.processes import descendants, has_executed, is_tagged, live_stats, signal_all
from apsis_services.supervisor.zygote.records import Claim
from apsis_services.supervisor.zygote.request import EPOCH, JOURNAL, RUN, unstarted
from apsis_services.supervisor.zygote.stamps import stamp, stamp_now
from apsis_services.supervisor.zygote.usage import Usage

_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
#: how often, and after how many seconds each, a process that is just becoming a program is looked at again
_LOOKS: Final = 50
_LOOK_PAUSE: Final = 0.002
_NEVER: Final = "the shim was killed before it had started the program"
_UNKNOWN: Final = "exit status unknown: the shim was killed while it started the program"


class AdoptedFamily:
    """The members of one run among the descendants of this process."""

    def __init__(self, claim: Claim) -> None:
        names = ((RUN, claim["run_id"]), (JOURNAL, claim["journal"]), (EPOCH, claim["epoch"]))
        self._tag = frozenset(f"{name}={value}".encode() for name, value in names if value)
        self._main = 0
        self._members: dict[int, int] = {}
        self._sessions: set[int] = set()

    def set_main(self, pid: int, ticks: int) -> None:
        """Say which is the run's main program; what shares its session or its group belongs to the run."""
        self._main = pid
        self._members[pid] = ticks
        self._sessions.add(pid)

    def owns(self, stat: Stat) -> bool:
        """Whether a child of this process belongs to the run; remembered, for when its environment is gone."""
        if stat.pid in self._members:
            return self._members[stat.pid] == stat.ticks
        if stat.session in self._sessions or stat.group in self._sessions or self.tagged(stat):
            self._add(stat)
            return True
        return False

    def tagged(self, stat: Stat) -> bool | None:
        """Whether a process carries the run's tag; None: it may not be read."""
        return is_tagged(stat.pid, self._tag)

    def any(self) -> bool:
        """Whether a member lives, the program itself aside."""
        return self.count() > 0

    def count(self) -> int:
        """Return how many members live, the program itself aside."""
        return sum(stat.pid != self._main for stat in self._find())

    def signal(self, number: int) -> None:
        """Signal all members that live."""
        signal_all(self._find(), number)

    def _add(self, stat: Stat) -> None:
        self._members[stat.pid] = stat.ticks
        self._sessions |= {stat.session, stat.group}

    def _find(self) -> list[Stat]:
        me = os.getpid()
        stats = list(live_stats())
        mine = [stat for stat in stats if stat.ppid == me and self.owns(stat)]
        below = descendants([stat.pid for stat in mine], stats)
        for stat in below:
            self._add(stat)
        return mine + below


class Adoption(NamedTuple):
    """A run whose shim was killed, with its keeper here."""

    keeper: Keeper
    family: AdoptedFamily


class Bereaved(NamedTuple):
    """A shim that ended otherwise than it should, and the journal of the run that it had, or was about to have."""

    key: str
    path: str
    shim: int
    #: monotonic time of its end
    since: float


class Taken(NamedTuple):
    """The journal of a dead shim, taken over."""

    journal: JournalFile
    state: JournalState
    claim: Claim


class StillHeld(Exception):
    """The journal of a dead shim is held: a child of it is on its way to its exec. Ask again in a moment."""


def take(bereaved: Bereaved, me: Identity) -> Taken | None:
    """Take over the journal of a dead shim; None: it had none, or all is written.

    Raises:
        StillHeld: not yet.
    """
    clean_up(bereaved.path, bereaved.shim)
    try:
        taken = take_over(bereaved.path)
    except FileNotFoundError:  # it was killed before it had the claim
        return None
    if taken is None:
        raise StillHeld
    journal, records = taken
    state = state_of(records, locked=True)
    if state.claim is None or state.claim["pid"] != bereaved.shim or state.settled:
        journal.close()
        _reap_if_dead(state)
        return None
    run_id = state.claim["run_id"]
    say("WARNING", "run_adopted", "a shim was killed; what is left of its run is kept by the zygote", run_id)
    journal.append({"e": "adopted", "pid": me.pid, "ticks": me.ticks, "at": stamp_now()})
    return Taken(journal, state, state.claim)


def _reap_if_dead(state: JournalState) -> None:
    """Reap a program whose end is written, so that it is not taken for that of another run."""
    stat = read_stat(state.started["pid"]) if state.started else None
    if stat is not None and not stat.living and stat.ticks == state.ticks and stat.ppid == os.getpid():
        os.waitpid(stat.pid, os.WNOHANG)


def adopt(spool: str, taken: Taken, strangers: Sequence[Stat], *, sole: bool) -> Adoption | None:
    """Find the program of a dead shim, and keep it; None: there is nothing to keep, and that is written.

    `strangers` are the children of this process that are nobody's yet, zombies included; they count where
    the journal does not name the program. One that has ended cannot say any more whose it is: if `sole`, all
    strangers are of this run; else it may be another run's, and the status is unknown.
    """
    family = AdoptedFamily(taken.claim)
    program = _program(taken, family, strangers, sole=sole)
    if program is None:
        taken.journal.close()
        return None
    result = taken.state.result
    directory = run_directory(spool, taken.claim["journal"], taken.claim["run_id"])
    tree = Usage(**result["rusage"]) if result else Usage()  # type: ignore[arg-type]
    keeper = Keeper(taken.journal, taken.claim, directory, program, family, tree=tree)
    if result is not None:
        keeper.already_ended()
    keeper.read_orders()
    return Adoption(keeper, family)


def _program(taken: Taken, family: AdoptedFamily, strangers: Sequence[Stat], *, sole: bool) -> Program | None:
    """Return the main program of a run; None: it never started, or cannot be told, and that is written."""
    journal, state, claim = taken
    if state.started is not None:
        floor = state.result["maxrss_floor"] if state.result else 0
        family.set_main(state.started["pid"], state.started["ticks"])
        return Program(state.started["pid"], state.started["at"], state.started["mono"], floor)
    if state.result is not None:  # it could not be started, and `done` is missing
        journal.append(unstarted("", stamp_now())[1])
        return None
    found, doubtful = _look_for(family, claim, strangers, sole=sole)
    if found is None:
        journal.append(*unstarted(_UNKNOWN if doubtful else _NEVER, stamp_now()))
        return None
    return _late_start(journal, claim, family, found)


def _look_for(
    family: AdoptedFamily, claim: Claim, strangers: Sequence[Stat], *, sole: bool
) -> tuple[Stat | None, bool]:
    """Return the program that carries the run's tag, and whether there are others that may be it.

    None of them is older than its shim, and each leads its session. One that is within its exec, or about to
    end, has no environment for a moment, and is looked at again.
    """
    may_be = [stat for stat in strangers if stat.session == stat.pid and stat.ticks >= claim["ticks"]]
    sole = sole and len(may_be) == 1
    told: dict[int, bool | None] = {}
    for _ in range(_LOOKS):
        told = {stat.pid: family.tagged(stat) for stat in may_be}
        found = min((stat for stat in may_be if told[stat.pid]), key=lambda stat: stat.ticks, default=None)
        if found is not None:
            return found, False
        # Asked before this, so that one which ends in between is not taken for one that has told.
        may_be = [now for stat in may_be if (now := read_stat(stat.pid)) is not None and told[stat.pid] is None]
        if not any(stat.living for stat in may_be):
            break
        time.sleep(_LOOK_PAUSE)
    if sole and may_be and not may_be[0].living:
        # The shim's first child leads a session, and waits for us with its status; what has not become a
        # program by then could not, and never will.
        return (may_be[0] if has_executed(may_be[0].pid) else None), False
    return None, bool(may_be)


def _late_start(journal: JournalFile, claim: Claim, family: AdoptedFamily, found: Stat) -> Program:
    """Write the `started` that the shim could not write any more; the time is told by the kernel's clock ticks."""
    age = max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - found.ticks / _TICKS_A_SECOND)
    program = Program(found.pid, stamp(time.time_ns() - int(age * 1e9)), time.monotonic() - age)
    family.set_main(found.pid, found.ticks)
    journal.append(
        {
            "e": "started",
            "pid": found.pid,
            "ticks": found.ticks,
            "boot": claim["boot"],
            "at": program.began_at,
            "mono": round(program.began, 6),
        }
    )
    return program
