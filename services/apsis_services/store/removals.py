"""What was removed, when and why: kept for ever, 32 bytes each, so that a reader is told instead of left to wonder."""

import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apsis_services.store.names import RunKey

_FILE: Final = "removed"
_KEY: Final = struct.Struct("<QQ")
_BODY: Final = struct.Struct("<QQdI")
_CRC: Final = struct.Struct("<I")
_RECORD: Final = _BODY.size + _CRC.size
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW

#: why an output may be removed, by the number that stands in a record
REASONS: Final = ("age", "count", "size", "total size")


@dataclass(frozen=True, slots=True)
class Removal:
    """An output that is not there any more. `at`: seconds since the epoch; `reason`: one of `REASONS`."""

    key: RunKey
    at: float
    reason: str


def note_removals(root: Path, removals: Iterable[Removal]) -> None:
    """Write down, for good, what is about to be removed.

    Raises:
        OSError: it could not be written: then nothing may be removed.
    """
    by_shard: dict[Path, list[Removal]] = {}
    for removal in removals:
        by_shard.setdefault(removal.key.shard(root), []).append(removal)
    for shard, noted in by_shard.items():
        file = os.open(shard / _FILE, os.O_RDWR | os.O_CREAT | _FLAGS, 0o640)
        try:
            # What a crash tore is written over: each record stands at a multiple of its size.
            end = os.fstat(file).st_size // _RECORD * _RECORD
            data = b"".join(_encode(removal) for removal in noted)
            if os.pwrite(file, data, end) != len(data):
                raise OSError(28, os.strerror(28), str(shard / _FILE))
            os.fdatasync(file)
        finally:
            os.close(file)


def find_removal(root: Path, key: RunKey) -> Removal | None:
    """Return when and why an output was removed; None: it was not."""
    try:
        file = os.open(key.shard(root) / _FILE, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return None
    try:
        data = os.pread(file, os.fstat(file).st_size, 0)
    finally:
        os.close(file)
    wanted = _KEY.pack(key.journal, int(key.run_id[1:]))
    at = data.find(wanted)
    while at >= 0:
        if at % _RECORD == 0 and (found := _decode(key, data[at : at + _RECORD])):
            return found
        at = data.find(wanted, at + 1)
    return None


def _encode(removal: Removal) -> bytes:
    journal, run_id = removal.key
    body = _BODY.pack(journal, int(run_id[1:]), removal.at, REASONS.index(removal.reason))
    return body + _CRC.pack(zlib.crc32(body))


def _decode(key: RunKey, record: bytes) -> Removal | None:
    if len(record) != _RECORD or _CRC.unpack_from(record, _BODY.size)[0] != zlib.crc32(record[: _BODY.size]):
        return None
    _, _, at, reason = _BODY.unpack_from(record)
    return Removal(key, at, REASONS[reason]) if reason < len(REASONS) else None
