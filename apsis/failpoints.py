"""Places where a fault test can end, stop or delay a process: between a commit and a send, a spawn and its record.

They do nothing, and cost one comparison, unless `APSIS_FAILPOINTS` names a folder. A test then arms a point by
putting a file of its name there: the first process that reaches the point takes the file away and does what it
says: `kill` (SIGKILL), `stop` (SIGSTOP), or `sleep SECONDS`. Whoever may set our environment owns us already.
Where the folder has a folder `reached`, the file is put there as `POINT.PID`: a test learns who was met, and when.
"""

import os
import signal
import time
from typing import Final

VARIABLE: Final = "APSIS_FAILPOINTS"
_FOLDER: Final = os.environ.get(VARIABLE)


def reach(point: str) -> None:
    """Do what a test asks of this point, named `PROCESS.between-what`; nothing where none does."""
    if _FOLDER is not None:
        _do(f"{_FOLDER}/{point}")


def _do(path: str) -> None:
    taken = f"{path}.{os.getpid()}"
    try:
        os.rename(path, taken)  # noqa: PTH104 - the zygote does not load pathlib
    except FileNotFoundError:
        return
    with open(taken, encoding="ascii") as file:  # noqa: PTH123
        verb, _, seconds = file.read().strip().partition(" ")
    folder, name = os.path.split(taken)
    try:
        os.rename(taken, f"{folder}/reached/{name}")  # noqa: PTH104
    except FileNotFoundError:  # nobody asks who it was
        os.unlink(taken)  # noqa: PTH108
    if verb == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif verb == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif verb == "sleep":
        time.sleep(float(seconds))
    else:
        raise ValueError(f"failpoint {path}: {verb!r} is none of kill, stop, sleep SECONDS")
