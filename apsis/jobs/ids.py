"""Job ids: the path of the file below the job directory, without its suffix."""

import re
from pathlib import PurePosixPath
from typing import Final

#: half a surrogate stands for a byte of a file's name that is not UTF-8; it could be neither sent nor stored
_PART: Final = re.compile(r"[^\x00-\x1f/\\\ud800-\udfff]{1,128}")
SUFFIXES: Final = (".yaml", ".yml")


def wrong_id(job_id: str) -> str | None:
    """Return why a text cannot be the id of a job, or None where it can."""
    for part in job_id.split("/"):
        if part in (".", "..") or not _PART.fullmatch(part):
            return (
                f"{job_id!r} cannot be a job id: {part!r} is no name of 1 to 128 characters"
                " in UTF-8 without control characters, / and \\"
            )
    return None


def job_id_of(path: PurePosixPath) -> str:
    """Return the id of the job in a file, given its path below the job directory."""
    return str(path.with_suffix(""))
