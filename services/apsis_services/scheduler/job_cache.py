"""What the loader remembers of each job file, so that a file that is as it was need not be read again.

The file lies beside the database and belongs to the loader alone. It is a memory and no truth: one that is missing,
damaged or of other circumstances is not used, and is written anew.
"""

import contextlib
import hashlib
import importlib.metadata
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

import apsis
from apsis.definitions.finding import Finding
from apsis.jobs.tree import Stamp
from apsis.messages.body import decode, encode

_FORM: Final = b"apsis-job-files 1"
#: packages of Apsis of which it depends what becomes of a file
_READING: Final = ("actions", "calendars", "conditions", "definitions", "jobs", "programs", "schedules", "times")
#: libraries of which it depends as well
_LIBRARIES: Final = ("holidays", "exchange-calendars", "tzdata", "cronsim", "jinja2", "pyyaml")


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was made of one job file. A broken file has none: whether it is mended lies outside it too."""

    stamp: Stamp | None
    """None: it was written so shortly before it was read that a later write may have left the same stamp."""
    #: sha256 of its bytes, hex
    content: str
    job_id: str
    version: str
    #: hash of the defaults that hold in its folder
    defaults: str = ""
    #: hash of all calendar files, and the day, for a job that depends on some; "" for all others
    calendars: str = ""
    #: warnings
    findings: list[Finding] = []


def remembered(path: Path, circumstances: str) -> dict[str, Entry]:
    """Return what is remembered, by the paths of the files; nothing where that is of no use."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        if head != _head(circumstances, body):
            return {}
        entries: dict[str, Entry] = decode(dict[str, Entry], body)
    except (OSError, msgspec.DecodeError):
        return {}
    return entries


def remember(path: Path, circumstances: str, entries: Mapping[str, Entry]) -> None:
    """Write down what is to be remembered, all or nothing.

    Raises:
        OSError: it cannot be written; the next reading takes longer, and nothing else.
    """
    body = encode(entries)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(_head(circumstances, body) + b"\n" + body)
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def circumstances(directory: Path, aliases: Mapping[str, Mapping[str, str]]) -> str:
    """Return a hash of all on which it depends what becomes of a file, beside the files: our code, libraries, config.

    The code itself is looked at, and not only its version: a checkout changes under the same version.
    """
    digest = hashlib.sha256(encode({kind: dict(sorted(names.items())) for kind, names in sorted(aliases.items())}))
    digest.update(f"{directory} {sys.version} {apsis.__version__}".encode(errors="surrogateescape"))
    for library in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            digest.update(f"{library} {importlib.metadata.version(library)}".encode())
    for path in _sources():
        found = path.stat()
        digest.update(f"{path.name} {found.st_mtime_ns} {found.st_size}".encode())
    return digest.hexdigest()


def _sources() -> list[Path]:
    root = Path(apsis.__file__).parent
    return sorted(path for package in _READING for path in (root / package).rglob("*.py"))


def _head(circumstances: str, body: bytes) -> bytes:
    return b"%s %s %s" % (_FORM, circumstances.encode(), hashlib.sha256(body).hexdigest().encode())


def is_builtin(definition: Mapping[str, Any]) -> bool:
    """Return whether a job uses nothing but types of Apsis's own: code of others may change unseen."""
    for key in ("program", "schedule", "condition", "action"):
        value = definition.get(key)
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, dict) and not _is_ours(entry):
                return False
    return True


def _is_ours(entry: Mapping[str, Any]) -> bool:
    from apsis.extensions import KINDS, short_names

    inner = entry.get("start")
    name = entry.get("type", inner.get("type") if isinstance(inner, dict) else None)
    if not isinstance(name, str):
        return True
    own = name.startswith("apsis.program.")
    return own or not ("." in name or ":" in name or any(name in short_names(kind) for kind in KINDS))
