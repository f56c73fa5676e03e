"""Watching all journals: what changed is read, and what it means is told to the service.

inotify tells of each line and of the end of each holder (the kernel closes its journal). A slow sweep
asks again for those that run long, since a queue may overflow; it sleeps when nothing runs.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.inotify import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_MODIFY,
    IN_Q_OVERFLOW,
    Change,
    Inotify,
)
from apsis_services.supervisor.orphan_results import write_result
from apsis_services.supervisor.orphans import find_tagged, is_gone, open_program
from apsis_services.supervisor.pidfd_info import Ended, how_it_ended, how_it_ended_unreaped
from apsis_services.supervisor.verdicts import ADOPTION, LOST_IN_REBOOT, REASONS, Situation, Verdict
from apsis_services.supervisor.zygote.identity import Identity, open_verified
from apsis_services.supervisor.zygote.journal import (
    JOURNAL_BYTES,
    JournalState,
    parse_key,
    read_journal,
    read_whole,
    state_of,
)
from apsis_services.supervisor.zygote.records import parse_records

#: seconds between two looks at every run that has not settled
SWEEP: Final = 10.0
#: seconds in which changes are gathered when they come without a pause
GATHER: Final = 0.002
#: how often, and after how many seconds each, the kernel is asked how an orphan ended: whoever inherits it waits for it
ASKS: Final = 20
ASK_PAUSE: Final = 0.05
#: seconds between two looks at output that the kernel cannot tell of
POLL: Final = 0.5
#: seconds after which a claim that never came into place is taken away
STALE_TEMPORARY: Final = 60.0
#: a journal's name, or that of the temporary file that it was linked from, by which its writer's changes come
_NAME: Final = re.compile(r"(?P<key>.+)\.j(?:\.\d+\.tmp)?\Z")

log = logging.getLogger("supervisor")


class Hears(Protocol):
    """Who is told what the journals say."""

    def journal_seen(self, key: Key, state: JournalState) -> None:
        """A journal is in a phase that it was not known to be in."""

    def run_missing(self, key: Key, reason: str) -> None:
        """What became of a run cannot be known."""

    def run_abandoned(self, key: Key, state: JournalState) -> None:
        """The program has ended and nobody is left to end its leftovers and to write `done`."""


@dataclass(slots=True)
class Watched:
    """One run that has a journal here."""

    state: JournalState
    #: monotonic seconds since when nobody holds it; None: it is held
    free_since: float | None = None
    #: pidfd of what is left of it, while that lives without a holder
    pidfd: int | None = None
    #: that is the program itself, and not only something that it left
    is_program: bool = False
    over: bool = False


class Watch:
    """Knows the state of each journal in the spool."""

    def __init__(self, spool: Path, boot: str, epoch: str, hears: Hears) -> None:
        self.runs: dict[Key, Watched] = {}
        self.live = 0
        self._spool = spool
        self._folder = spool / "journals"
        self._boot = boot
        self._epoch = epoch
        self._hears = hears
        self._inotify = Inotify()
        self._journals_watch = self._inotify.add(self._folder, IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE)
        self._outputs: dict[int, Key] = {}
        self._output_watches: dict[Key, int] = {}
        self._on_output: Callable[[Key], None] = lambda _key: None
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._last_read = 0.0
        self._searching: set[Key] = set()
        #: runs for whose folders the kernel has no watch left
        self._polled: set[Key] = set()

    # Beginning and end

    def begin(self, on_output: Callable[[Key], None]) -> None:
        """Read every journal, then follow the changes. `on_output` hears whose output has grown."""
        self._on_output = on_output
        self.scan()
        self._loop.add_reader(self._inotify.fd, self._readable)

    def close(self) -> None:
        """Stop watching; the runs go on."""
        for timer in self._timers.values():
            timer.cancel()
        self._loop.remove_reader(self._inotify.fd)
        self._inotify.close()
        for watched in self.runs.values():
            self._let_go(watched)

    def scan(self) -> None:
        """Read every journal, as at the start; and take away claims that a killed shim left half made."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                parsed = parse_key(entry.name) if entry.name.endswith(".j") else None
                if parsed is not None:
                    self.look(Key(*parsed), probe=True)
                elif entry.name.endswith(".tmp") and time.time() - entry.stat().st_mtime > STALE_TEMPORARY:
                    (self._folder / entry.name).unlink(missing_ok=True)

    # Reading

    def look(self, key: Key, *, probe: bool = False) -> JournalState:
        """Read one journal, tell what is new in it, and return it; with `probe` also ask whether it is held."""
        watched = self.runs.get(key)
        if watched is not None and watched.state.settled:
            return watched.state
        path = f"{self._folder}/{key}.j"
        state = read_journal(path) if probe else _read_held(path)
        if state.phase == "none":
            return state
        if watched is None:
            watched = self.runs[key] = Watched(state._replace(phase="none"))
            self.live += 1
            self._wake("sweep", SWEEP, self._sweep)
        self._take(key, watched, state)
        return state

    def _take(self, key: Key, watched: Watched, state: JournalState) -> None:
        old, was_stuck = watched.state.phase, watched.state.stuck is not None
        watched.state = state
        watched.free_since = None if state.locked else (watched.free_since or self._loop.time())
        if state.settled:
            self.live -= 1
            self._let_go(watched)
            self._searching.discard(key)
        if state.phase != old or was_stuck != (state.stuck is not None):
            self._hears.journal_seen(key, state)
        if not state.locked and not state.settled:
            self._judge(key, watched)

    def drop(self, key: Key) -> None:
        """The journal is archived: know it no longer."""
        watched = self.runs.pop(key, None)
        self.unwatch_output(key)
        if watched is not None:
            if not watched.state.settled:
                self.live -= 1
            self._let_go(watched)

    # Changes

    def watch_output(self, key: Key, folder: str) -> bool:
        """Hear when a file in a run's folder grows; False: the folder is not there yet."""
        if key in self._output_watches:
            return True
        try:
            number = self._inotify.add(folder, IN_MODIFY)
        except FileNotFoundError:
            return False
        except OSError as error:
            if not self._polled:
                log.warning(
                    "output is polled: %s (sysctl fs.inotify.max_user_watches)", error, extra={"event": "polled"}
                )
            self._polled.add(key)
            self._wake("poll", POLL, self._poll)
            return True
        self._output_watches[key] = number
        self._outputs[number] = key
        return True

    def unwatch_output(self, key: Key) -> None:
        """Hear it no longer."""
        self._polled.discard(key)
        number = self._output_watches.pop(key, None)
        if number is not None:
            del self._outputs[number]
            self._inotify.remove(number)

    def _poll(self) -> None:
        for key in tuple(self._polled):
            self._on_output(key)
        if self._polled:
            self._wake("poll", POLL, self._poll)

    def _readable(self) -> None:
        """Take the changes; when they come without a pause, rest a little, so that many are one turn's work."""
        self._changes(self._inotify.take())
        now = self._loop.time()
        if now - self._last_read < GATHER:
            self._loop.remove_reader(self._inotify.fd)
            self._wake("gather", GATHER, self._listen)
        self._last_read = now

    def _listen(self) -> None:
        self._loop.add_reader(self._inotify.fd, self._readable)

    def _changes(self, changes: Iterable[Change]) -> None:
        journals: dict[Key, bool] = {}
        outputs: set[Key] = set()
        overflow = False
        for change in changes:
            if change.mask & IN_Q_OVERFLOW:
                overflow = True
            elif change.watch == self._journals_watch:
                name = _NAME.match(change.name)
                if name and (parsed := parse_key(name["key"])):
                    closed = bool(change.mask & IN_CLOSE_WRITE)
                    journals[Key(*parsed)] = journals.get(Key(*parsed), False) or closed
            elif key := self._outputs.get(change.watch):
                outputs.add(key)
        for key, closed in journals.items():
            self.look(key, probe=closed)
        for key in outputs:
            self._on_output(key)
        if overflow:
            log.warning("changes came faster than they were read; everything is read", extra={"event": "overflow"})
            self.scan()
            for key in tuple(self._output_watches):
                self._on_output(key)

    # Runs that nobody holds

    def _judge(self, key: Key, watched: Watched) -> None:
        free_for = self._loop.time() - (watched.free_since or 0.0)
        verdict = Situation(watched.state, self._boot, free_for).verdict
        if watched.over or watched.pidfd is not None:
            return
        match verdict:
            case Verdict.WAIT:
                self._wake("adoption", ADOPTION + 0.05, self._look_at_free)
            case Verdict.SEARCH:
                self._searching.add(key)
                self._wake("search", 0.0, self._search)
            case Verdict.FINISH:
                watched.over = True
                self._hears.run_abandoned(key, watched.state)
            case Verdict.LOST_IN_REBOOT:
                self._lose(key, watched, LOST_IN_REBOOT)
            case Verdict.SETTLED:
                pass

    def _look_at_free(self) -> None:
        for key, watched in list(self.runs.items()):
            if watched.free_since is not None and not watched.state.settled and not watched.over:
                self.look(key, probe=True)

    def _search(self) -> None:
        """Look for what lives of the runs without a holder, all in one walk."""
        keys, self._searching = self._searching, set()
        found = find_tagged(self._epoch, keys)
        for key in keys:
            watched = self.runs.get(key)
            if watched is None or self.look(key, probe=True).locked or watched.over:
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
        watched = self.runs[key]
        assert watched.pidfd is not None
        if watched.is_program:
            self._loop.remove_reader(watched.pidfd)
            self._ask_how(key, ASKS)
        else:
            self._search_again(key, watched)

    def _ask_how(self, key: Key, times: int) -> None:
        """Ask the kernel how a program ended that was nobody's child here; what it does not tell is not known."""
        watched = self.runs.get(key)
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
        self._let_go(watched)
        self._searching.add(key)
        self._wake("search", 0.0, self._search)

    def _lose(self, key: Key, watched: Watched, reason: str) -> None:
        watched.over = True
        self._hears.run_missing(key, reason)

    def _let_go(self, watched: Watched) -> None:
        if watched.pidfd is not None:
            self._loop.remove_reader(watched.pidfd)
            os.close(watched.pidfd)
            watched.pidfd = None

    # Timers

    def _wake(self, name: str, seconds: float, callback: Callable[[], None]) -> None:
        """Call back once after some seconds, unless that is arranged already."""
        if name not in self._timers:
            self._timers[name] = self._loop.call_later(seconds, self._ring, name, callback)

    def _ring(self, name: str, callback: Callable[[], None]) -> None:
        del self._timers[name]
        callback()

    def _sweep(self) -> None:
        for key, watched in list(self.runs.items()):
            if not watched.state.settled and not watched.over:
                self.look(key, probe=True)
        if self.live:
            self._wake("sweep", SWEEP, self._sweep)


def _read_held(path: str) -> JournalState:
    """Return what a journal says without asking for its lock: its holder has just written it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return state_of([], locked=True)
    try:
        records, _ = parse_records(read_whole(fd, JOURNAL_BYTES))
    finally:
        os.close(fd)
    return state_of(records, locked=True)
