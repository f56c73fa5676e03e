"""Carrying out a class that users bring, in the process of its run: made, started, followed, stopped."""

import json
import os
import signal
import sys
import time
from types import FrameType
from typing import Any, Final

from apsis.extensions import ExtensionError, load_class, make
from apsis.programs.base import Program, Result, ThisRun
from apsis.programs.keeping import keep
from apsis.programs.runner import refuse, tell

#: bytes of what `start` and `update` return
STATE_MAX: Final = 64 * 1024
#: names the descriptor on which a process tells what it begun, to the one that keeps it
TOLD: Final = "APSIS_TOLD"


def carry_out(name: str, given: dict[str, Any]) -> int:
    """Carry out the class at a dotted path, made of the keys; return the exit status of the run.

    `given` has `keys`, the number of the signal by which the run is `stop`ped, and in a process that takes up what
    another one began, its `state`.
    """
    try:
        program = make(load_class(name, Program, "program"), given["keys"], name)  # type: ignore[type-abstract]  # checked
    except ExtensionError as error:
        if error.__cause__ is not None:
            tell(error.__cause__)
        refuse(f"{error.message}; {error.hint}" if error.hint else error.message)
    stop_signal = int(given.get("stop", signal.SIGTERM))
    told = os.environ.pop(TOLD, None)
    if told is None and type(program).attach is not Program.attach:
        return keep(name, given, stop_signal)
    return Follower(program, stop_signal, None if told is None else int(told)).follow(given.get("state"))


class Follower:
    """One process's work on a program; `told` is where its mapping goes, for whoever may have to take it up."""

    def __init__(self, program: Program, stop_signal: int, told: int | None) -> None:
        self._program = program
        self._run = ThisRun()
        self._stop_signal = stop_signal
        self._told = told
        self._stop_asked = False

    def follow(self, state: dict[str, Any] | None) -> int:
        """Start it (or, with the state of another process, attach), and look until it has ended."""
        if type(self._program).stop is not Program.stop:
            signal.signal(self._stop_signal, self._on_stop)
        try:
            return self._follow(state)
        except Exception as error:  # noqa: BLE001  whatever a user's class raises is its author's to read
            tell(error)
            return 1

    def _follow(self, state: dict[str, Any] | None) -> int:
        if state is not None:
            self._program.attach(self._run, state)
        else:
            first = self._program.start(self._run)
            if not isinstance(first, dict):
                return self._status(True if first is None else first, "start")
            self._tell(first)
        while True:
            if self._stop_asked:
                self._stop_asked = False
                self._program.stop(self._run, self._stop_signal)
            seen = self._program.update(self._run)
            if isinstance(seen, dict):
                self._tell(seen)
            elif seen is not None:
                return self._status(seen, "update")
            self._wait()

    def _wait(self) -> None:
        """Wait until it is time to look again, or the run is to be stopped."""
        until = time.monotonic() + max(0.01, self._program.poll_interval)
        while not self._stop_asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))

    def _on_stop(self, _signum: int, _frame: FrameType | None) -> None:
        self._stop_asked = True

    def _tell(self, state: dict[str, Any]) -> None:
        """Give the one who keeps this process what another one would need."""
        name = type(self._program).__name__
        try:
            text = json.dumps(state).encode()
        except (TypeError, ValueError) as error:
            refuse(f"what {name} returned to be found again is not JSON: {error}")
        if len(text) > STATE_MAX:
            refuse(f"what {name} returned to be found again has {len(text)} bytes, and may have {STATE_MAX}")
        if self._told is not None:
            os.write(self._told, text + b"\n")

    def _status(self, ended: object, where: str) -> int:
        """Return the exit status for what a class says of its end."""
        if isinstance(ended, bool):
            return 0 if ended else 1
        result = Result(ended == 0, code=ended) if isinstance(ended, int) else ended
        if not isinstance(result, Result) or not _is_status(result.code):
            refuse(
                f"{type(self._program).__name__}.{where} returned {ended!r:.200}; "
                "return true, false, an exit status of 0 to 255, or an apsis.Result"
            )
        if result.message:
            print(result.message, file=sys.stderr)
        if result.code is None:
            return 0 if result.success else 1
        return result.code


def _is_status(code: object) -> bool:
    return code is None or (isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= 255)
