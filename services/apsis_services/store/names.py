"""What an output is called: the one place that turns a run and a stream into a path, and refuses all else."""

import re
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from apsis.errors import BadRequest

_RUN: Final = re.compile(r"r[0-9]{1,19}", re.ASCII)
_STREAM: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_FOLDER: Final = re.compile(r"([0-9a-f]{16})-(r[0-9]{1,19})", re.ASCII)
#: folders of the first level
SHARDS: Final = 256


class RunKey(NamedTuple):
    """A run of one database. A new database beside an old repository counts from r1 again, so both are needed."""

    journal: int
    run_id: str

    @property
    def name(self) -> str:
        """The name of the run's folder.

        Raises:
            BadRequest: it is no run; no other text ever becomes part of a path.
        """
        if not _RUN.fullmatch(self.run_id):
            raise BadRequest(f"{self.run_id[:40]!r} is no run id", hint="a run id looks like r123", loc="run_id")
        if not 0 <= self.journal < 1 << 64:
            raise BadRequest(f"{self.journal} is no number of a journal", loc="journal")
        return f"{self.journal:016x}-{self.run_id}"

    def shard(self, root: Path) -> Path:
        """Return the folder of the first level that the run's folder is in."""
        return root / f"{zlib.crc32(self.name.encode()) % SHARDS:02x}"

    def folder(self, root: Path) -> Path:
        """Return the run's folder in a repository."""
        return self.shard(root) / self.name


def key_of(name: str) -> RunKey | None:
    """Return the run that a folder's name means; None: it is none of ours."""
    match = _FOLDER.fullmatch(name)
    return RunKey(int(match[1], 16), match[2]) if match else None


def check_stream(stream: str) -> str:
    """Return the name of a stream.

    Raises:
        BadRequest: it is none; no other text ever becomes part of a path.
    """
    if not _STREAM.fullmatch(stream):
        raise BadRequest(
            f"{stream[:40]!r} is no name of a stream", hint="streams are output, or stdout and stderr", loc="stream"
        )
    return stream


def is_stream(name: str) -> bool:
    """Say whether a text could be the name of a stream."""
    return _STREAM.fullmatch(name) is not None
