"""The zygote's children: its shims, and the programs of those that were killed."""

import os
import time
from typing import Final, NamedTuple

from apsis_services.supervisor.zygote.adoption import Adoption, Bereaved, StillHeld, Taken, adopt, take
from apsis_services.supervisor.zygote.answers import Asker
from apsis_services.supervisor.zygote.identity import Identity, Stat, read_stat
from apsis_services.supervisor.zygote.linux import look_at_end
from apsis_services.supervisor.zygote.log import say, whereabouts
from apsis_services.supervisor.zygote.processes import all_stats
from apsis_services.supervisor.zygote.shim import LEFT
from apsis_services.supervisor.zygote.usage import Usage

#: how long to wait before a journal that is still held is tried again, and how long at all
_HELD_PAUSE: Final = 0.005
_HELD_SECONDS: Final = 10.0
_MIXED_PAUSE: Final = 0.2


class Ward(NamedTuple):
    """A living shim."""

    key: str
    path: str
    #: who asked for the start, and is told if the shim dies
    asker: Asker


class Wards:
    """Whom the zygote has to look after; as long as there are any, it lives."""

    def __init__(self, spool: str, me: Identity) -> None:
        self._spool = spool
        self._me = me
        self.shims: dict[int, Ward] = {}
        self._bereaved: list[Bereaved] = []
        self._adoptions: list[Adoption] = []
        #: a child may be here that is no shim: so one that ends says nothing of whose it was
        self._mixed = False
        self._mixed_until = 0.0

    def __len__(self) -> int:
        return len(self.shims) + len(self._bereaved) + len(self._adoptions)

    def read_orders(self) -> None:
        """Have the orders for adopted runs read."""
        for adoption in self._adoptions:
            adoption.keeper.read_orders()

    def turn(self) -> float | None:
        """Take note of who has ended, do what is due, and return when something will be next (monotonic)."""
        self._collect()
        if not self._adoptions and not self._bereaved:
            if self._mixed:
                self._look_around()
            return None
        times = [adoption.keeper.turn() for adoption in self._adoptions]
        for adoption in self._adoptions:
            if adoption.keeper.finished:
                adoption.keeper.leave()
                adoption.keeper.journal.close()
        self._adoptions = [adoption for adoption in self._adoptions if not adoption.keeper.finished]
        if self._bereaved:
            times.append(time.monotonic() + _HELD_PAUSE)
        return min((at for at in times if at is not None), default=None)

    def _look_around(self) -> None:
        """Find out, now and then, whether shims are our only children again."""
        now = time.monotonic()
        if now >= self._mixed_until:
            self._mixed_until = now + _MIXED_PAUSE
            self._mixed = bool(self._strangers())

    def _collect(self) -> None:
        """Reap shims and adopt what the killed ones leave, until nobody is left who has ended."""
        while True:
            self._reap()
            if not self._bereaved or not self._adopt_bereaved():
                return

    def _reap(self) -> None:
        """Reap whoever is known. A stranger may be the program of a shim that is not yet dealt with: it can wait."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            pid = found.si_pid
            if pid in self.shims:
                os.waitpid(pid, 0)
                well = found.si_code == os.CLD_EXITED and found.si_status in (0, LEFT)
                self._mixed |= well and found.si_status == LEFT
                self._shim_ended(pid, "" if well else _how(found))
            elif (adoption := self._owner(pid)) is not None:
                _child_ended(adoption, pid)
            elif self._bereaved:
                return
            else:
                os.waitpid(pid, 0)  # one that a job left alone

    def _shim_ended(self, pid: int, how: str) -> None:
        ward = self.shims.pop(pid)
        if how:
            ward.asker.tell("gone", how)
            self._bereaved.append(Bereaved(ward.key, ward.path, pid, time.monotonic()))

    def _owner(self, pid: int) -> Adoption | None:
        if not self._adoptions:
            return None
        stat = read_stat(pid)
        if stat is None:
            return None
        return next((adoption for adoption in self._adoptions if adoption.family.owns(stat)), None)

    def _strangers(self) -> list[Stat]:
        """Return the children that are nobody's, zombies included."""
        mine = [stat for stat in all_stats() if stat.ppid == self._me.pid and stat.pid not in self.shims]
        return [stat for stat in mine if not any(adoption.family.owns(stat) for adoption in self._adoptions)]

    def _adopt_bereaved(self) -> bool:
        """Take over what dead shims had; False: nothing could be, for now."""
        waiting: list[Bereaved] = []
        taken: list[Taken] = []
        for bereaved in self._bereaved:
            try:
                journal = take(bereaved, self._me)
            except StillHeld:
                if time.monotonic() < bereaved.since + _HELD_SECONDS:
                    waiting.append(bereaved)
                else:
                    say("ERROR", "journal_held", f"the journal {bereaved.key} of a dead shim is held by somebody else")
                continue
            if journal is not None:
                taken.append(journal)
        sole = not self._mixed and not self._adoptions and len(self._bereaved) == 1
        progress = len(waiting) < len(self._bereaved)
        self._bereaved = waiting
        # Those whose program is known come first, so that it is not taken for another's.
        for journal in sorted(taken, key=lambda one: one.state.started is None):
            self._adopt(journal, sole=sole)
        self._mixed |= progress
        return progress

    def _adopt(self, journal: Taken, *, sole: bool) -> None:
        try:
            strangers = self._strangers() if journal.state.started is None else []
            sole = sole and not any(map(_has_ended, self.shims))  # or what it leaves may be among the strangers
            adoption = adopt(self._spool, journal, strangers, sole=sole)
            if adoption is not None:
                self._adoptions.append(adoption)
                _see_that_it_is_ours(adoption)
        except Exception as error:  # noqa: BLE001 - one run that cannot be kept must not end the keeper of the others
            run_id = journal.claim["run_id"]
            say("ERROR", "adoption_failed", f"a run cannot be kept: {whereabouts(error)}", run_id)
            journal.journal.close()  # free for whoever can tell what became of it


def _has_ended(pid: int) -> bool:
    """Whether a child has ended, and is not reaped."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _how(found: os.waitid_result) -> str:
    return f"exit {found.si_status}" if found.si_code == os.CLD_EXITED else f"signal {found.si_status}"


def _see_that_it_is_ours(adoption: Adoption) -> None:
    """A program that is not our child can tell us no status; that is written instead of waiting for ever."""
    keeper = adoption.keeper
    if keeper.ended:
        return
    try:
        look_at_end(keeper.program.pid)
    except ChildProcessError:
        keeper.status_unknown("exit status unknown: the program is not a child of the zygote")


def _child_ended(adoption: Adoption, pid: int) -> None:
    """Write down the end of an adopted program, then reap it; reap what descends from it."""
    keeper = adoption.keeper
    is_program = pid == keeper.program.pid
    known = is_program and keeper.ended  # its result was written by its shim
    if is_program and not keeper.ended:
        outcome = look_at_end(pid)
        assert outcome is not None
        keeper.program_ended(outcome)
    usage = Usage.of(os.wait4(pid, 0)[2])
    if not known:
        keeper.child_reaped(usage)
