"""Asking the manager: `run/manager.sock`, one line of JSON there, lines of JSON back until it closes.

Requests: `{"do": "status"}`, `{"do": "stop", "kill_runs": false, "timeout": 60}`, `{"do": "restart", "service": "web"}`
(null: all of them, and the manager itself). `stop` and `restart` answer a line for each step, `{"says": "..."}`,
and a last one with `"done": true`; an error is `{"error": {"code", "message", "hint"}}`.

Needs the standard library alone; blocks, so a service calls it in a thread.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from typing import Any, Final

from apsis.errors import ApsisError, BadRequest, Conflict, NotFound, Unavailable
from apsis.home import Home

SOCKET: Final = "manager.sock"


class ManagerAway(Unavailable):
    """No manager runs in this home."""

    def __init__(self, home: Home) -> None:
        super().__init__(f"no manager runs in {home.root}", hint="start Apsis with: apsisctl start")


def ask(home: Home, request: dict[str, Any], timeout: float = 5.0) -> dict[str, Any]:
    """Return the last line of the answer.

    Raises:
        ManagerAway: no manager runs, or it ended before it answered.
        ApsisError: it refuses.
    """
    lines = list(follow(home, request, timeout))
    if not lines:
        raise ManagerAway(home)
    return lines[-1]


def follow(home: Home, request: dict[str, Any], timeout: float = 5.0) -> Iterator[dict[str, Any]]:
    """Yield each line of the answer as it comes; `timeout` is the longest silence, in seconds.

    Raises:
        ManagerAway: no manager runs.
        Unavailable: it is silent.
        ApsisError: it refuses.
    """
    with _connect(home, timeout) as sock:
        try:
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as lines:
                for line in lines:
                    answer = json.loads(line)
                    if "error" in answer:
                        raise _refusal(answer["error"])
                    yield answer
        except TimeoutError:
            raise Unavailable(
                f"the manager says nothing for {timeout:g} s", hint="see: apsisctl logs manager"
            ) from None
        except (ConnectionError, json.JSONDecodeError):
            return


def status(home: Home, timeout: float = 5.0) -> dict[str, Any]:
    """Return the status of all services: `{state, home, url, instance, services: [...]}`.

    Raises:
        ManagerAway: no manager runs.
    """
    return ask(home, {"do": "status"}, timeout)


def holder(home: Home, service: str) -> dict[str, Any] | None:
    """Return what the live holder of a service's lock says of itself (`pid`, `since`, `ready`, `address`), or None."""
    try:
        file = os.open(home.lock(service), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        line, end, _ = os.read(file, 4096).partition(b"\n")
        return dict(json.loads(line)) if end else None
    finally:
        os.close(file)
    return None


def near_path(directory: int) -> str:
    """Return a short path to the socket in an open folder: it may be 107 bytes long, a home's path may be longer."""
    return f"/proc/self/fd/{directory}/{SOCKET}"


def _connect(home: Home, timeout: float) -> socket.socket:
    try:
        directory = os.open(home.run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise ManagerAway(home) from None
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.connect(near_path(directory))
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        raise ManagerAway(home) from None
    except PermissionError:
        sock.close()
        raise ApsisError(
            f"{home.root} belongs to another user", hint="run this as the user who runs Apsis there"
        ) from None
    finally:
        os.close(directory)
    return sock


def _refusal(error: dict[str, str]) -> ApsisError:
    kinds = {kind.code: kind for kind in (BadRequest, Conflict, NotFound)}
    kind = kinds.get(error.get("code", ""), ApsisError)
    return kind(error.get("message", "refused"), hint=error.get("hint", ""))
