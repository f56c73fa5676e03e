"""What `apsisctl db` starts: `python -m apsis_services.scheduler.maintenance --home H DEED ...`.

Writes lines of JSON: `{"done": n, "of": m}` as it goes, last `{"result": ...}` or `{"error": {code, message, hint}}`.
A process of its own, so that the command line needs no SQLite, and a scheduler that lives is not held up.
"""

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from apsis.config import load_config
from apsis.errors import ApsisError
from apsis.home import Home
from apsis_services.scheduler.backup import back_up, backup_folder
from apsis_services.scheduler.examination import Examination, examine
from apsis_services.scheduler.restore import ASIDE, BESIDE, restore

#: seconds between two words about how far it is
_EACH: Final = 0.2


def main() -> int:
    """Do one deed; return the exit status."""
    options = _parse()
    try:
        home = Home.find(options.home)
        home.require()
        database = Path(load_config(home).database)
        _say(result=_do(options, database))
    except ApsisError as error:
        _say(error={"code": error.code, "message": error.message, "hint": error.hint})
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _say(error={"code": "error", "message": f"{where}{error.strerror}", "hint": ""})
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="apsis maintenance", description="Care for the database of a home.")
    parser.add_argument("--home", required=True)
    deeds = parser.add_subparsers(dest="deed", required=True)
    deeds.add_parser("backup").add_argument("file", nargs="?", type=Path)
    deeds.add_parser("restore").add_argument("file", type=Path)
    deeds.add_parser("check").add_argument("file", nargs="?", type=Path)
    deeds.add_parser("backups")
    return parser.parse_args()


def _do(options: argparse.Namespace, database: Path) -> Any:
    if options.deed == "backup":
        target = options.file or backup_folder(database) / f"{_stamp()}.db"
        back_up(database, target, Progress())
        return _facts(examine(target))
    if options.deed == "restore":
        aside = restore(options.file, database, datetime.now(UTC), Progress())
        return {"file": str(options.file), "database": str(database), "aside": str(aside) if aside else None}
    if options.deed == "check":
        return _facts(examine(options.file or database))
    return {"folder": str(backup_folder(database)), "backups": _backups(database)}


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S.%fZ")


def _facts(found: Examination) -> dict[str, Any]:
    return dict(msgspec.to_builtins(found))


def _backups(database: Path) -> list[dict[str, Any]]:
    """Return name, size and time of each file that may be put back, latest first; none of them is opened."""
    folder, real = backup_folder(database), database.resolve()
    files = [*folder.glob("*.db"), *real.parent.glob(f"{real.name}{ASIDE}*")]
    found = []
    for path in files:
        if path.name.startswith(".") or path.name.endswith(BESIDE):
            continue
        stat = path.stat()
        at = datetime.fromtimestamp(stat.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found.append({"file": str(path), "size": stat.st_size, "at": at})
    return sorted(found, key=lambda one: (one["at"], one["file"]), reverse=True)


class Progress:
    """Tells how far a copy is, some times a second."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, done: int, pages: int) -> None:
        """Say it, if it is time."""
        now = time.monotonic()
        if now >= self._next or done == pages:
            self._next = now + _EACH
            _say(done=done, of=pages)


def _say(**fields: Any) -> None:
    os.write(sys.stdout.fileno(), msgspec.json.encode(fields) + b"\n")


if __name__ == "__main__":
    sys.exit(main())
