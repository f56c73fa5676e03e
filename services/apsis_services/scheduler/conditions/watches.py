"""Watching folders for changes of files in them, for whoever waits for one."""

import os
from collections.abc import Iterable

from apsis_services.scheduler.conditions.linux import (
    IGNORED,
    OVERFLOW,
    add_watch,
    open_inotify,
    read_events,
    remove_watch,
)

Place = tuple[str, str]


class Watches:
    """Which run waits for a change of which name in which folder. Each folder is watched once."""

    def __init__(self) -> None:
        self.descriptor = open_inotify()
        self._watch_of: dict[str, int] = {}
        self._folder_of: dict[int, str] = {}
        #: folder: name: runs
        self._runs: dict[str, dict[str, set[str]]] = {}
        self._places: dict[str, frozenset[Place]] = {}

    def close(self) -> None:
        """Watch nothing any more."""
        os.close(self.descriptor)

    def watch(self, run_id: str, places: Iterable[Place]) -> bool:
        """Watch these places for a run, and no others; return whether some of them were not watched before.

        Raises:
            OSError: the kernel watches no more, or a folder has gone.
        """
        old, new = self._places.get(run_id, frozenset()), frozenset(places)
        for folder, name in old - new:
            self._remove(run_id, folder, name)
        self._places[run_id] = old & new
        for folder, name in new - old:
            if folder not in self._watch_of:
                watch = add_watch(self.descriptor, folder)
                self._watch_of[folder], self._folder_of[watch] = watch, folder
            self._runs.setdefault(folder, {}).setdefault(name, set()).add(run_id)
            self._places[run_id] |= {(folder, name)}
        return bool(new - old)

    def drop(self, run_id: str) -> None:
        """Watch nothing for a run any more."""
        for folder, name in self._places.pop(run_id, ()):
            self._remove(run_id, folder, name)

    def _remove(self, run_id: str, folder: str, name: str) -> None:
        names = self._runs.get(folder, {})
        runs = names.get(name, set())
        runs.discard(run_id)
        if not runs:
            names.pop(name, None)
        if not names:
            self._runs.pop(folder, None)
            watch = self._watch_of.pop(folder, None)
            if watch is not None:
                self._folder_of.pop(watch, None)
                remove_watch(self.descriptor, watch)

    def changed(self) -> set[str]:
        """Return the runs for which something may have changed, since this was asked last."""
        found: set[str] = set()
        for event in read_events(self.descriptor):
            if event.mask & OVERFLOW:
                return set(self._places)
            folder = self._folder_of.get(event.watch)
            if folder is None:
                continue
            names = self._runs.get(folder, {})
            if event.mask & IGNORED or not event.name:
                # the folder itself has gone, or was moved: whoever waits finds out where to look from now on
                gone = {run_id for runs in names.values() for run_id in runs}
                found |= gone
                if event.mask & IGNORED:
                    self._watch_of.pop(folder, None)
                    self._folder_of.pop(event.watch, None)
                    for run_id in gone:
                        self.drop(run_id)
            else:
                found |= names.get(event.name, set())
        return found
