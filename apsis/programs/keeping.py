"""Keeping what a class began from being lost with its process: when that is killed, another one attaches to it."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import Any, Final

#: how often a process that was killed is followed by another
ATTEMPTS: Final = 5
_PAUSE: Final = 0.5
_PIECE: Final = 64 * 1024


def keep(name: str, given: dict[str, Any], stop_signal: int) -> int:
    """Have the class carried out by a process of its own, and by another one when that was killed; return the status.

    Ends by the signal that ended the last one.
    """
    keeper = _Keeper(name, given)
    # the group gets the signal, so the other process has it too; here it only must not be taken for a death that is
    # to be made good
    signal.signal(stop_signal, keeper.on_stop)
    status = keeper.run()
    for _ in range(ATTEMPTS):
        if status >= 0 or keeper.stopped or keeper.state is None:
            break
        print(f"the process of this run was ended by signal {-status}; another one takes it up", file=sys.stderr)
        time.sleep(_PAUSE)
        status = keeper.run()
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


class _Keeper:
    """Starts processes, one at a time, and remembers what they told last."""

    def __init__(self, name: str, given: dict[str, Any]) -> None:
        self._name = name
        self._given = given
        self.state: dict[str, Any] | None = None
        self.stopped = False

    def on_stop(self, _signum: int, _frame: FrameType | None) -> None:
        """Take note that the run is to be stopped."""
        self.stopped = True

    def run(self) -> int:
        """Have a process do it; return its exit status, or minus the signal that ended it."""
        told, tells = os.pipe()
        given = {**self._given, "state": self.state}
        try:
            with subprocess.Popen(
                [sys.executable, "-P", "-m", "apsis.programs.runner", "class", self._name, json.dumps(given)],
                env={**os.environ, "APSIS_TOLD": str(tells)},
                pass_fds=[tells],
            ) as process:
                os.close(tells)
                tells = -1
                self._listen(process, told)
                return process.wait()
        finally:
            os.close(told)
            if tells >= 0:
                os.close(tells)

    def _listen(self, process: "subprocess.Popen[bytes]", told: int) -> None:
        """Take what the process says until it has ended, whoever else holds its end of the pipe."""
        watched = os.pidfd_open(process.pid)
        pending = b""
        try:
            while True:
                ready = select.select([told, watched], [], [])[0]
                if told in ready:
                    piece = os.read(told, _PIECE)
                    *lines, pending = (pending + piece).split(b"\n")
                    if lines:
                        self.state = json.loads(lines[-1])
                    if piece:
                        continue
                # what a process has told was in the pipe before it ended
                return
        finally:
            os.close(watched)
