"""Watching all journals: what changed is read, and what it means is told to the service.

inotify tells of each line and of the end of each holder (the kernel closes its journal). A slow sweep
asks again for those that run long, since a queue may overflow; it sleeps when nothing runs.
What nobody holds is for `orphan_watch`.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.watching.alarms import Alarms
from apsis_services.supervisor.watching.inotify import (
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_MODIFY,
    IN_Q_OVERFLOW,
    Change,
    Inotify,
)
from apsis_services.supervisor.watching.orphan_watch import OrphanWatch
from apsis_services.supervisor.watching.watched import Hears, Watched
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
#: seconds between two looks at output that the kernel cannot tell of
POLL: Final = 0.5
#: seconds after which a claim that never came into place is taken away
STALE_TEMPORARY: Final = 60.0
#: a journal's name, or that of the temporary file that it was linked from, by which its writer's changes come
_NAME: Final = re.compile(r"(?P<key>.+)\.j(?:\.\d+\.tmp)?\Z")

log = logging.getLogger("supervisor")


class Watch:
    """Knows the state of each journal in the spool."""

    def __init__(self, spool: Path, boot: str, epoch: str, hears: Hears) -> None:
        self.runs: dict[Key, Watched] = {}
        self.live = 0
        self._folder = spool / "journals"
        self._hears = hears
        self._inotify = Inotify()
        self._journals_watch = self._inotify.add(self._folder, IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE)
        self._outputs: dict[int, Key] = {}
        self._output_watches: dict[Key, int] = {}
        self._on_output: Callable[[Key], None] = lambda _key: None
        self._loop = asyncio.get_running_loop()
        self._alarms = Alarms()
        self._orphans = OrphanWatch(spool, boot, epoch, self.runs, self._probe, hears, self._alarms)
        self._last_read = 0.0
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
        self._alarms.close()
        self._loop.remove_reader(self._inotify.fd)
        self._inotify.close()
        for watched in self.runs.values():
            self._orphans.let_go(watched)

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
            self._alarms.wake("sweep", SWEEP, self._sweep)
        self._take(key, watched, state)
        return state

    def _probe(self, key: Key) -> JournalState:
        return self.look(key, probe=True)

    def _take(self, key: Key, watched: Watched, state: JournalState) -> None:
        old, was_stuck = watched.state.phase, watched.state.stuck is not None
        watched.state = state
        watched.free_since = None if state.locked else (watched.free_since or self._loop.time())
        if state.settled:
            self.live -= 1
            self._orphans.settled(key, watched)
        if state.phase != old or was_stuck != (state.stuck is not None):
            self._hears.journal_seen(key, state)
        if not state.locked and not state.settled:
            self._orphans.judge(key, watched)

    def drop(self, key: Key) -> None:
        """The journal is archived: know it no longer."""
        watched = self.runs.pop(key, None)
        self.unwatch_output(key)
        if watched is not None:
            if not watched.state.settled:
                self.live -= 1
            self._orphans.let_go(watched)

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
            self._alarms.wake("poll", POLL, self._poll)
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
            self._alarms.wake("poll", POLL, self._poll)

    def _readable(self) -> None:
        """Take the changes; when they come without a pause, rest a little, so that many are one turn's work."""
        self._changes(self._inotify.take())
        now = self._loop.time()
        if now - self._last_read < GATHER:
            self._loop.remove_reader(self._inotify.fd)
            self._alarms.wake("gather", GATHER, self._listen)
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

    def _sweep(self) -> None:
        for key, watched in list(self.runs.items()):
            if not watched.state.settled and not watched.over:
                self.look(key, probe=True)
        if self.live:
            self._alarms.wake("sweep", SWEEP, self._sweep)


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
