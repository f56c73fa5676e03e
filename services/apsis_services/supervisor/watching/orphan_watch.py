"""Runs that nobody holds: what lives of them is found and watched, and how it ended is written down.

Whoever holds a journal writes the end itself; here is what is done where shim and zygote are gone.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.watching.alarms import Alarms
from apsis_services.supervisor.watching.orphan_results import write_result
from apsis_services.supervisor.watching.orphans import find_tagged, is_gone, open_program
from apsis_services.supervisor.watching.pidfd_info import Ended, how_it_ended, how_it_ended_unreaped
from apsis_services.supervisor.watching.verdicts import ADOPTION, LOST_IN_REBOOT, REASONS, Situation, Verdict
from apsis_services.supervisor.watching.watched import Hears, Watched
from apsis_services.supervisor.zygote.identity import Identity, open_verified
from apsis_services.supervisor.zygote.journal import JournalState

#: how often, and after how many seconds each, the kernel is asked how an orphan ended: whoever inherits it waits for it
ASKS: Final = 20
ASK_PAUSE: Final = 0.05

log = logging.getLogger("supervisor")


class OrphanWatch:
    """Sees each run whose journal nobody holds to its end."""

    def __init__(
        self,
        spool: Path,
        boot: str,
        epoch: str,
        runs: dict[Key, Watched],
        probe: Callable[[Key], JournalState],
        hears: Hears,
        alarms: Alarms,
    ) -> None:
        """Begin with nobody. `runs` is the watch's own table; `probe` reads a journal and asks whether it is held."""
        self._spool = spool
        self._boot = boot
        self._epoch = epoch
        self._runs = runs
        self._probe = probe
        self._hears = hears
        self._alarms = alarms
        self._loop = asyncio.get_running_loop()
        self._searching: set[Key] = set()

    def judge(self, key: Key, watched: Watched) -> None:
        """Do what is to be done about a run without a holder that has not settled."""
        free_for = self._loop.time() - (watched.free_since or 0.0)
        verdict = Situation(watched.state, self._boot, free_for).verdict
        if watched.over or watched.pidfd is not None:
            return
        match verdict:
            case Verdict.WAIT:
                self._alarms.wake("adoption", ADOPTION + 0.05, self._look_at_free)
            case Verdict.SEARCH:
                self._searching.add(key)
                self._alarms.wake("search", 0.0, self._search)
            case Verdict.FINISH:
                watched.over = True
                self._hears.run_abandoned(key, watched.state)
            case Verdict.LOST_IN_REBOOT:
                self._lose(key, watched, LOST_IN_REBOOT)
            case Verdict.SETTLED:
                pass

    def settled(self, key: Key, watched: Watched) -> None:
        """Nothing more is to be done about a run."""
        self.let_go(watched)
        self._searching.discard(key)

    def let_go(self, watched: Watched) -> None:
        """Watch what is left of a run no longer."""
        if watched.pidfd is not None:
            self._loop.remove_reader(watched.pidfd)
            os.close(watched.pidfd)
            watched.pidfd = None

    def _look_at_free(self) -> None:
        for key, watched in list(self._runs.items()):
            if watched.free_since is not None and not watched.state.settled and not watched.over:
                self._probe(key)

    def _search(self) -> None:
        """Look for what lives of the runs without a holder, all in one walk."""
        keys, self._searching = self._searching, set()
        found = find_tagged(self._epoch, keys)
        for key in keys:
            watched = self._runs.get(key)
            if watched is None or self._probe(key).locked or watched.over:
                continue
            if watched.state.phase not in REASONS:  # its end is written
                continue
            pidfd, dead = open_program(watched.state)
            if dead is not None and self._conclude(key, watched, dead):
                continue
            if found[key] and is_gone(watched.state) and self._conclude(key, watched, Ended(None, None)):
                continue  # nobody saw its end; what it left behind must not keep the run for ever
            watched.is_program = pidfd is not None
            if pidfd is None:
                pidfd = next((fd for who in found[key] if (fd := open_verified(*who)) is not None), None)
            if pidfd is None:
                self._lose(key, watched, REASONS[watched.state.phase])
            elif watched.pidfd is None:
                log.info(
                    "run %s lives without its shim; it is watched", key.run_id,
                    extra={"event": "orphan_watched", "run": key.run_id},
                )  # fmt: skip
                watched.pidfd = pidfd
                self._loop.add_reader(pidfd, self._orphan_ended, key)
            else:
                os.close(pidfd)

    def _orphan_ended(self, key: Key) -> None:
        watched = self._runs[key]
        assert watched.pidfd is not None
        if watched.is_program:
            self._loop.remove_reader(watched.pidfd)
            self._ask_how(key, ASKS)
        else:
            self._search_again(key, watched)

    def _ask_how(self, key: Key, times: int) -> None:
        """Ask the kernel how a program ended that was nobody's child here; what it does not tell is not known."""
        watched = self._runs.get(key)
        if watched is None or watched.pidfd is None or watched.state.settled:
            return
        assert watched.state.pid is not None
        assert watched.state.ticks is not None
        who = Identity(watched.state.pid, watched.state.ticks)
        ended = how_it_ended(watched.pidfd) or how_it_ended_unreaped(who)
        if ended is None and times:
            self._loop.call_later(ASK_PAUSE, self._ask_how, key, times - 1)
            return
        if ended is not None:
            self._conclude(key, watched, ended)
        self._search_again(key, watched)

    def _conclude(self, key: Key, watched: Watched, ended: Ended) -> bool:
        """Write how an orphan ended; False: it could not be written, and is as good as not known."""
        try:
            written = write_result(self._spool, str(key), watched.state, ended)
        except OSError as error:
            log.warning(
                "run %s: its end cannot be written: %s", key.run_id, error.strerror,
                extra={"event": "orphan_unwritten", "run": key.run_id},
            )  # fmt: skip
            return False
        if written:
            told = "the kernel told how it ended" if ended.known else "nobody saw how it ended"
            log.info("run %s: %s", key.run_id, told, extra={"event": "orphan_ended", "run": key.run_id})
        return written

    def _search_again(self, key: Key, watched: Watched) -> None:
        self.let_go(watched)
        self._searching.add(key)
        self._alarms.wake("search", 0.0, self._search)

    def _lose(self, key: Key, watched: Watched, reason: str) -> None:
        watched.over = True
        self._hears.run_missing(key, reason)
