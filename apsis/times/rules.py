"""Which version of the rules of the time zones is in use: where they change, runs made ahead are made anew."""

import hashlib
import zoneinfo
from importlib import resources
from pathlib import Path
from typing import Final

#: files that name the version, in a folder of zones; the first line of the second is `# version 2025b`
_NAMED: Final = ("+VERSION", "tzdata.zi", "version")
#: characters that a version may have
_LONGEST: Final = 40


def rules_version() -> str:
    """Return the version of the rules that `zoneinfo` reads: `2025b`, or a hash where nothing names it."""
    for folder in zoneinfo.TZPATH:
        found = _of_folder(Path(folder))
        if found:
            return found
    try:
        text: str = resources.files("tzdata").joinpath("__init__.py").read_text(encoding="utf-8")
    except (ModuleNotFoundError, OSError):
        return ""
    _, _, rest = text.partition('IANA_VERSION = "')
    return rest.partition('"')[0][:_LONGEST]


def _of_folder(folder: Path) -> str:
    if not (folder / "UTC").exists():
        return ""
    for name in _NAMED:
        try:
            with (folder / name).open(encoding="utf-8") as file:
                first = file.readline().removeprefix("# version").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if 0 < len(first) <= _LONGEST:
            return first
    return _hash(folder)


def _hash(folder: Path) -> str:
    """Return a hash over the rules themselves."""
    digest = hashlib.sha256()
    for name in sorted(zoneinfo.available_timezones()):
        try:
            digest.update(name.encode() + b"\0" + (folder / name).read_bytes())
        except OSError:
            continue
    return digest.hexdigest()[:16]
