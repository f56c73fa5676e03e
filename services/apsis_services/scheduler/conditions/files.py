"""Looking at a file: whether it is there, old and large enough; and where it can be watched."""

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from apsis.conditions.file import oldest
from apsis.times import format_time
from apsis_services.scheduler.conditions.wire import Outcome

#: seconds after which a file is looked at even where it is watched: a link on its way may have been turned
WATCHED: Final = 60.0
#: file systems on which every change is made through this machine's kernel, and so is seen by a watch
_LOCAL: Final = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"}
)
#: links that are followed to where a file is
_LINKS: Final = 40


def look_at_file(keys: dict[str, Any], now: datetime) -> Outcome:
    """Return whether a file is as a condition wants it, and what is to be watched until it is."""
    path, newer = keys["path"], keys.get("newer_than")
    missing = _missing(path, keys, now)
    if missing is None:
        return Outcome(what="holds")
    other = oldest(newer)[1] if newer is not None else ""
    places = _places([path, other] if other else [path])
    return Outcome(what="waits", text=missing, again=WATCHED if places else None, watch=places)


def _missing(path: str, keys: dict[str, Any], now: datetime) -> str | None:
    """Return in what a file is not as it is to be, or None."""
    try:
        found = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return "it is not there" if keys.get("exists", True) else None
    except OSError as error:
        return f"it cannot be looked at: {error.strerror}"
    if not keys.get("exists", True):
        return "it is there"
    least = keys.get("min_size")
    if least is not None and found.st_size < least:
        return f"it has {found.st_size} bytes"
    newer = keys.get("newer_than")
    return None if newer is None else _too_old(found, newer, now)


def _too_old(found: os.stat_result, newer: str, now: datetime) -> str | None:
    limit, other = oldest(newer)
    changed = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=found.st_mtime_ns // 1000)
    if other:
        try:
            than = Path(other).stat()
        except OSError as error:
            return f"{other}, which it is to be newer than, cannot be looked at: {error.strerror}"
        return None if found.st_mtime_ns > than.st_mtime_ns else f"it is not newer than {other}"
    if isinstance(limit, timedelta):
        limit = now - limit
    is_new = limit is not None and changed > limit
    return None if is_new else f"it was last changed at {format_time(changed)}"


def _places(paths: list[str]) -> list[tuple[str, str]] | None:
    """Return the folders and the names in them at which a change of these files shows; None: not all can be watched."""
    found: list[tuple[str, str]] = []
    todo, types = list(paths), _file_systems()
    for _ in range(_LINKS):
        if not todo:
            break
        folder, name = _nearest(todo.pop())
        if not name or _type_of(folder, types) not in _LOCAL:
            return None
        found.append((folder, name))
        whole = f"{folder}/{name}"
        try:
            if stat.S_ISLNK(os.lstat(whole).st_mode):
                # what it leads to may change without it
                todo.append(os.path.join(folder, os.readlink(whole)))  # noqa: PTH118, PTH115 - a text all along
        except OSError:
            continue
    return None if todo else found


def _nearest(path: str) -> tuple[str, str]:
    """Return the folder of a path, without links, and the name in it; of one that is not there, the nearest that is."""
    folder, name = os.path.split(path.rstrip("/"))
    while folder not in ("", "/"):
        real = os.path.realpath(folder)
        if Path(real).is_dir():
            return real, name
        folder, name = os.path.split(folder)
    return "/", name


def _file_systems() -> list[tuple[str, str]]:
    """Return where file systems are mounted, and their types; the last of equals is the one that is seen."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        words, _, rest = line.partition(" - ")
        where = words.split()[4].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n")
        found.append((where.replace("\\134", "\\"), rest.split()[0]))
    return found


def _type_of(folder: str, types: list[tuple[str, str]]) -> str:
    best = ("", "")
    for where, kind in types:
        inside = folder == where or folder.startswith(where.rstrip("/") + "/")
        if inside and len(where) >= len(best[0]):
            best = (where, kind)
    return best[1]
