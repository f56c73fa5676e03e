"""The loader: a process of its own that reads the job directory, so that no due run waits for it and no YAML stays.

`python -m apsis_services.scheduler.loader DIR`; on its standard input the jobs that are known, on its output a
`Reading`, both JSON.
"""

import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from apsis.messages.body import decode, encode
from apsis.times.instants import EPOCH


class Known(msgspec.Struct, frozen=True):
    """A job that the scheduler has already."""

    version: str
    file: str


class Read(msgspec.Struct, frozen=True):
    """A job as its file has it; `definition` is None where the version is known."""

    version: str
    file: str
    definition: dict[str, Any] | None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a job directory holds."""

    jobs: dict[str, Read] = {}
    #: known jobs that are not among `jobs`, and whose file is still there: it is broken
    broken: list[str] = []
    errors: list[dict[str, Any]] = []
    #: why the directory cannot be read at all, or ""
    unreadable: str = ""


def read(directory: Path, known: dict[str, Known]) -> Reading:
    """Read a job directory."""
    from datetime import UTC, datetime

    from apsis.jobs.load import load_jobs

    try:
        os.scandir(directory).close()
    except OSError as error:
        return Reading(unreadable=f"{directory}: {error.strerror}")
    loaded = load_jobs(directory, today=max(EPOCH, datetime.now(UTC)).date())
    jobs = {}
    for job_id, job in loaded.jobs.items():
        same = job_id in known and known[job_id].version == job.version
        jobs[job_id] = Read(job.version, job.file, None if same else job.definition)
    missing = known.keys() - jobs.keys()
    broken = sorted(job_id for job_id in missing if _is_there(directory / known[job_id].file))
    return Reading(jobs=jobs, broken=broken, errors=[msgspec.to_builtins(finding) for finding in loaded.errors])


def _is_there(path: Path) -> bool:
    """Say whether a file is, or may be, there: what cannot be looked at counts as there."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return path.is_file() or path.is_symlink()


def main() -> None:
    """Read, answer, end."""
    known = decode(dict[str, Known], sys.stdin.buffer.read() or b"{}")
    try:
        sys.stdout.buffer.write(encode(read(Path(sys.argv[1]), known)))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os._exit(1)  # the scheduler that asked was killed: the next one asks anew, and nobody is there to be told


if __name__ == "__main__":
    main()
