"""Running the program of an action: in a session of its own, with a limit of time, ended with its whole tree."""

import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from apsis.home import Home
from apsis_services.alerts.orders import Order, Outcome, Verdict, limit_of
from apsis_services.alerts.texts import event_of, expanded, expanded_in
from apsis_services.supervisor.starting.secret_files import Secrets
from apsis_services.supervisor.zygote.processes import all_stats, descendants

#: bytes of what a program prints that are kept: the end, for the run's log
_KEPT: Final = 2000
#: seconds for which it is tried to end what is left of a tree
_ENDING: Final = 5.0
_SUBREAPER: Final = 36


def adopt_orphans() -> None:
    """Become the parent of whatever our programs leave behind, so that it can be found."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def send(order: Order) -> Outcome:
    """Run the program of a `command` action, or that of a class."""
    action = order.letter.action
    timeout = limit_of(order.letter)
    env = _environment(order)
    cwd = str(action.get("cwd", order.home)) if action["type"] == "command" else order.home
    argv = _argv(order)
    event = json.dumps(event_of(order.letter)).encode() + b"\n"
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, cwd=cwd,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return Outcome(verdict=Verdict.AGAIN, text=f"{argv[0]} cannot be started: {getattr(error, 'strerror', error)}")
    try:
        ended, printed = _attend(process, event, timeout)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        end_tree()
    words = " ".join(printed.decode("utf-8", "replace").split())[-300:]
    told = f": {words}" if words else ""
    if not ended:
        text = f"{order.letter.shown} took more than {timeout:g} s and was ended{told}"
        return Outcome(verdict=Verdict.AGAIN, text=text)
    if process.returncode == 0:
        return Outcome(verdict=Verdict.DELIVERED, text=f"{order.letter.shown} ended with 0{told}")
    if process.returncode == -signal.SIGALRM and action["type"] != "command":
        return Outcome(verdict=Verdict.AGAIN, text=f"{order.letter.shown} took too long and was ended{told}")
    how = f"exit {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
    return Outcome(verdict=Verdict.AGAIN, text=f"{order.letter.shown} failed ({how}){told}")


def end_tree() -> None:
    """End all that descends from this process, and wait for it."""
    until = time.monotonic() + _ENDING
    while time.monotonic() < until:
        for stat in descendants([os.getpid()], all_stats()):
            try:
                os.kill(stat.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue  # gone, or another user's, whom we cannot end
        if not _reap():
            return
        time.sleep(0.01)


def _reap() -> bool:
    """Take note of those that have ended; whether any are left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _argv(order: Order) -> list[str]:
    action = order.letter.action
    if action["type"] != "command":
        keys = {key: value for key, value in action.items() if key != "type"}
        words = [sys.executable, "-m", "apsis.actions.runner", order.path]
        return [*words, json.dumps(expanded_in(order, keys, "action"))]
    if "argv" in action:
        return [expanded(order, word, f"argv[{index}]") for index, word in enumerate(action["argv"])]
    return ["/bin/bash", "-c", expanded(order, action["command"], "command")]


def _environment(order: Order) -> dict[str, str]:
    letter, action = order.letter, order.letter.action
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("APSIS_")}
    ours = {
        "APSIS_EVENT_ID": letter.event_id,
        "APSIS_RUN_ID": letter.run_id,
        "APSIS_JOB_ID": letter.job_id,
        "APSIS_STATE": str(letter.facts["state"]),
        "APSIS_HOME": order.home,
    }
    if action["type"] != "command":
        return inherited | ours
    secrets = Secrets(Home(Path(order.home)), order.secrets).resolve(action.get("secrets", {}))
    given: dict[str, str] = action.get("env", {})
    return inherited | ours | given | secrets


def _attend(process: "subprocess.Popen[bytes]", event: bytes, timeout: float) -> tuple[bool, bytes]:
    """Give the program its event and take what it prints, until it has ended; False: its time was over before."""
    assert process.stdin is not None
    assert process.stdout is not None
    until = time.monotonic() + timeout
    printed = b""
    with selectors.DefaultSelector() as selector, process.stdout, process.stdin:
        for file, what in ((process.stdin, selectors.EVENT_WRITE), (process.stdout, selectors.EVENT_READ)):
            os.set_blocking(file.fileno(), False)
            selector.register(file, what)
        while process.poll() is None and time.monotonic() < until:
            for key, _ in selector.select(min(0.05, max(0.0, until - time.monotonic()))):
                if key.fileobj is process.stdin:
                    event = _give(process.stdin.fileno(), event)
                    if not event:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                elif (part := _take(process.stdout.fileno())) == b"":
                    selector.unregister(process.stdout)
                elif part is not None:
                    printed = (printed + part)[-_KEPT:]
        ended = process.poll() is not None
        while part := _take(process.stdout.fileno()):
            printed = (printed + part)[-_KEPT:]
            if len(part) < 65536:
                break
        return ended, printed


def _give(fd: int, data: bytes) -> bytes:
    """Write some, and return what is left; a program that does not want it need not take it."""
    try:
        return data[os.write(fd, data) :]
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return b""


def _take(fd: int) -> bytes | None:
    """Return what there is to be read; empty: that was all; None: nothing yet."""
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return None
