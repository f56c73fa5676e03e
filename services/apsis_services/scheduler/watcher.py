"""The watcher: a process of its own that says when something was changed in the job directory.

`python -m apsis_services.scheduler.watcher DIR`. It prints a line for each time that one should look: `changed` after
a second of quiet, also when it has just begun to see all, and `polling WHY` where the kernel watches no more folders
for this user. It reads no file and knows no job, so that it stays small; it ends when its standard input does.
"""

import os
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

from watchfiles import watch

#: seconds without a change after which those before are told; and after so many they are told all the same
QUIET: Final = 1.0
LONGEST: Final = 10.0
#: seconds after which one should look though nothing was seen: nobody tells us of changes made on other machines
ANYWAY: Final = 600.0
#: the same where nothing can be watched at all
POLL: Final = 30.0
#: milliseconds: between two looks at what the kernel has told, and after which nothing is told
_STEP: Final = 200
_TIMEOUT: Final = 1000
_SUFFIXES: Final = (".yaml", ".yml", ".cal")


def follow(root: Path) -> None:
    """Watch a directory, whether or not it is there, until the process ends."""
    while True:
        folders = folders_of(root)
        try:
            if folders:
                _watch(root, folders)
            else:
                _wait_for(root)
        except FileNotFoundError:
            continue  # a folder has gone since it was found
        except OSError as error:
            say(f"polling {error.strerror or error}")
            time.sleep(POLL)


def folders_of(root: Path) -> set[str]:
    """Return the directory and the folders in it that may hold jobs; none where it cannot be read."""
    found: set[str] = set()
    waiting = [os.path.realpath(root)]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                shown = (entry for entry in entries if not entry.name.startswith("."))
                below = [entry.path for entry in shown if entry.is_dir(follow_symlinks=False)]
        except OSError:
            # what cannot be read cannot be watched
            continue
        found.add(folder)
        waiting += below
    return found


class Quiet:
    """Decides when changes have come to rest. Times are seconds of a clock that never goes back."""

    def __init__(self, now: float) -> None:
        self._first: float | None = None
        self._last = self._told = now

    def saw(self, now: float) -> None:
        """Take note of a change."""
        self._first = now if self._first is None else self._first
        self._last = now

    def is_due(self, now: float) -> bool:
        """Say whether one should look now; then all is told."""
        rested = self._first is not None and (now - self._last >= QUIET or now - self._first >= LONGEST)
        if not rested and now - self._told < ANYWAY:
            return False
        self._first, self._told = None, now
        return True


def _watch(root: Path, folders: set[str]) -> None:
    """Watch these folders, and return when they are others."""
    place, quiet = _place(root), Quiet(time.monotonic())
    # what was changed before the kernel watched for us was told by nobody
    quiet.saw(time.monotonic())
    changes = watch(
        *folders,
        watch_filter=None,
        debounce=2 * _STEP,
        step=_STEP,
        rust_timeout=_TIMEOUT,
        yield_on_timeout=True,
        raise_interrupt=False,
        recursive=False,
        ignore_permission_denied=True,
    )
    for seen in changes:
        now = time.monotonic()
        if any(matters(path, folders) for _, path in seen):
            quiet.saw(now)
        if _place(root) != place:
            say("changed")
            return
        if quiet.is_due(now):
            say("changed")
            if folders_of(root) != folders:
                return


def matters(path: str, folders: Collection[str]) -> bool:
    """Say whether a change at a path may be one of jobs: what editors leave beside a file is none."""
    name = Path(path).name
    if name.startswith("."):
        return False
    return name.endswith(_SUFFIXES) or path in folders or Path(path).is_dir()


def _place(root: Path) -> tuple[int, int] | None:
    """Return which directory stands there, links followed; None where there is none."""
    try:
        found = root.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _wait_for(root: Path) -> None:
    """Wait until there is a directory that can be read."""
    say("changed")
    last = time.monotonic()
    while not folders_of(root):
        time.sleep(QUIET)
        if time.monotonic() - last > ANYWAY:
            return
    say("changed")


def say(word: str) -> None:
    """Tell the scheduler."""
    try:
        sys.stdout.write(f"{word}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)  # the scheduler has gone


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def main() -> None:
    """Watch until the scheduler has gone, or wants it no more."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    follow(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
