"""What a new zygote does before its first fork: a few runs of `true`, of its own, in a folder of its own.

An interpreter changes what it runs for the first time: it rewrites bytecode, fills caches, looks functions up.
Done here, that is done once; undone, each shim would do it again, and have a copy of each page that it changes.
"""

# The zygote does not load pathlib.
# ruff: noqa: PTH102, PTH106, PTH108

import os
import socket
from typing import Final

from apsis.failpoints import VARIABLE
from apsis_services.supervisor.zygote.answers import Asker
from apsis_services.supervisor.zygote.linux import close_others, set_name, set_subreaper
from apsis_services.supervisor.zygote.log import say
from apsis_services.supervisor.zygote.request import StartRequest
from apsis_services.supervisor.zygote.shim import keep_run

#: from the eighth call on a function is rewritten for speed; a few more, and nothing changes any longer
_TIMES: Final = 12
#: of a zygote, as `ps` shows it
NAME: Final = b"apsis-zygote"
#: no descriptor is as high
_NOWHERE: Final = 1 << 19
_STOP: Final = 15


def rehearse(folder: str, boot: str) -> None:
    """Be a shim a few times, in `folder`, which is made and removed. It is no harm if that cannot be done."""
    if VARIABLE in os.environ:
        return  # a fault test's points are for real runs
    try:
        _clear(folder)
        for path in (folder, *(f"{folder}/{name}" for name in ("journals", "runs", "archive"))):
            os.mkdir(path, 0o750)
        for number in range(_TIMES):
            set_name(NAME)
            set_subreaper()
            close_others(_NOWHERE, _NOWHERE + 1, _NOWHERE)
            _rehearse_once(folder, boot, f"rehearsal{number}")
        _clear(folder)
    except OSError as error:
        say("WARNING", "rehearsal_failed", f"shims will be larger than they need be: {error}")


def _rehearse_once(folder: str, boot: str, run_id: str) -> None:
    request = StartRequest(
        journal=0,
        run_id=run_id,
        dispatch=0,
        job_id="rehearsal",
        schedule_time=None,
        args={},
        args_hash="",
        argv=["true"],
        env={"PATH": "/usr/bin:/bin"},
        stop={"signal": _STOP, "grace": 1.0},
    )
    memory = os.memfd_create("apsis-start", os.MFD_CLOEXEC)
    os.write(memory, request.encode())
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    journal = keep_run(folder, boot, memory, Asker(ours, 0))
    theirs.close()
    ours.close()
    if journal is not None:
        journal.close()


def _clear(folder: str) -> None:
    """Remove a folder with all that is in it, if it is there; one that was killed may have left it."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            _clear(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(folder)
