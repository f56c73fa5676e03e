"""Starting a zygote: a process in a session of its own, with nothing of its starter in it."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Final

import apsis
from apsis import failpoints
from apsis_services.supervisor.zygote.files import ROOT
from apsis_services.supervisor.zygote.lock import Options

#: isolated (no PYTHON* variables, no user site) and without `site`: the zygote needs the standard library alone
_INTERPRETER: Final = ("-I", "-S", "-X", "utf8", "-c")
_MAIN: Final = """
import sys
sys.path += sys.argv.pop(1).split("\\n")
from apsis_services.supervisor.zygote.lean import lighten
lighten()
from apsis_services.supervisor.zygote.zygote import main
sys.exit(main())
"""
#: LD_BIND_NOW: libraries are bound as they are loaded, and not function by function in each fork
_ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LD_BIND_NOW": "1"} | {
    name: value for name, value in os.environ.items() if name == failpoints.VARIABLE
}
#: where `apsis_services` lies, and where `apsis` does: one folder where they are installed, two in a checkout
_ROOTS: Final = "\n".join(dict.fromkeys((ROOT, str(Path(apsis.__file__).parent.parent))))


def start_zygote(options: Options, log_file: Path) -> int:
    """Start a zygote and return its pid; it is waited for whenever it ends, as long as this loop runs.

    It survives this process. It ends by itself if another one holds the lock of this generation.

    Raises:
        OSError: the log cannot be opened, or there is no such interpreter.
    """
    arguments = [sys.executable, *_INTERPRETER, _MAIN, _ROOTS, json.dumps(options._asdict())]
    appending = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    pid = os.posix_spawn(
        sys.executable,
        arguments,
        _ENVIRONMENT,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log_file), appending, 0o640),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}),
    )
    pidfd = os.pidfd_open(pid)
    loop = asyncio.get_running_loop()
    loop.add_reader(pidfd, _reap, loop, pid, pidfd)
    return pid


def _reap(loop: asyncio.AbstractEventLoop, pid: int, pidfd: int) -> None:
    """Wait for a zygote of ours that has ended, so that it leaves no zombie."""
    loop.remove_reader(pidfd)
    os.close(pidfd)
    os.waitpid(pid, os.WNOHANG)
