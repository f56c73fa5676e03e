"""Looking by a command: it is started, and what it ends with counts; of what it prints, the last line."""

import os
import select
import signal
import subprocess
from typing import Any, Final

from apsis_services.scheduler.conditions.trees import end_children
from apsis_services.scheduler.conditions.wire import Outcome

#: bytes at the end of what it prints that are looked at
_TAIL: Final = 4096
_PIECE: Final = 64 * 1024


def look_by_command(keys: dict[str, Any]) -> Outcome:
    """Start a command, wait for its end, and end what it has left behind."""
    try:
        process = subprocess.Popen(
            keys["argv"],
            cwd=keys.get("cwd") or "/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        where = getattr(error, "filename", None)
        return Outcome(what="waits", text=f"it cannot be started: {f'{where}: ' if where else ''}{why}")
    with process:
        assert process.stdout is not None
        tail = _last_bytes(process.pid, process.stdout.fileno())
    end_children()
    code = process.returncode
    if code == 0:
        return Outcome(what="holds")
    how = f"ended by signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
    last = _last_line(tail)
    return Outcome(what="waits", text=f"{how}: {last}" if last else how)


def _last_bytes(pid: int, out: int) -> bytes:
    """Read what is printed up to the end of the process; others may hold its pipe open longer."""
    os.set_blocking(out, False)
    tail, end = bytearray(), os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(out, select.POLLIN)
        poll.register(end, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if out in ready:
                piece = _read(out)
                tail = (tail + piece)[-_TAIL:]
                if not piece:
                    poll.unregister(out)
            elif end in ready:
                return bytes(tail)
    finally:
        os.close(end)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _PIECE)
    except BlockingIOError:
        return b""


def _last_line(tail: bytes) -> str:
    lines = [line.strip() for line in tail.decode(errors="replace").splitlines()]
    last = next((line for line in reversed(lines) if line), "")
    return "".join(each if each.isprintable() else "?" for each in last)
