"""The services' processes: starting one, adopting one that outlived its manager, signalling, hearing of its end.

A process is held by a pidfd, opened and then verified, so a pid that was given to another is never touched.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apsis.home import Home
from apsis_bus.lock import LockInfo, read_lock
from apsis_services.supervisor.zygote.identity import boot_id, open_verified, send_signal

#: a log larger than this is put aside when its service starts; one old log is kept
LOG_MAX: Final = 10 * 1024 * 1024
_LAST_LINES: Final = 12
_LAST_BYTES: Final = 8192
_OURS_ALONE: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID")


@dataclass(slots=True)
class Held:
    """A service's process: ours, or one from before."""

    name: str
    pid: int
    pidfd: int
    #: None: not our child, so only its new parent learns its status
    child: "subprocess.Popen[bytes] | None"
    #: length of its log when it was started: what it wrote itself comes after
    log_start: int = 0

    def signal(self, number: int) -> None:
        """Send a signal; an ended process hears nothing."""
        send_signal(self.pidfd, number)

    def reap(self) -> int | None:
        """Take the exit status of the ended process, negative for a signal; None if only its parent knows."""
        os.close(self.pidfd)
        return self.child.wait() if self.child else None


def start(home: Home, name: str, module: str) -> Held:
    """Start a service in a session of its own: a Ctrl-C at our terminal is for us to pass on.

    Raises:
        OSError: its log cannot be opened, or no process can be made.
    """
    log = home.service_log(name)
    home.log.mkdir(mode=0o750, parents=True, exist_ok=True)
    put_aside(log)
    with log.open("ab") as file:
        log_start = file.tell()
        # -P: the folder `/` that it runs in is no place to import from
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", module, "--home", str(home.root)],
            cwd="/",
            env={key: value for key, value in os.environ.items() if key not in _OURS_ALONE},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    return Held(name, child.pid, os.pidfd_open(child.pid), child, log_start)


def find(home: Home, name: str) -> tuple[Held, LockInfo] | None:
    """Return the live holder of a service's lock, with what it says of itself; None if there is none."""
    info = read_lock(home.lock(name))
    if info is None or info.boot != boot_id():
        return None
    pidfd = open_verified(info.pid, info.ticks)
    if pidfd is None:
        return None
    log = home.service_log(name)
    return Held(name, info.pid, pidfd, None, log.stat().st_size if log.exists() else 0), info


def put_aside(log: Path) -> None:
    """Rename a log that has grown large, over the one that was put aside before."""
    if log.exists() and log.stat().st_size > LOG_MAX:
        log.replace(log.with_name(f"{log.name}.1"))


def last_lines(home: Home, held_from: int, name: str) -> list[str]:
    """Return the last lines that a service wrote after its log had a length."""
    try:
        with home.service_log(name).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(held_from if held_from <= size else 0, size - _LAST_BYTES)
            file.seek(start)
            return file.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
    except OSError:
        return []


def resident_bytes(pid: int) -> int | None:
    """Return the resident set of a process in bytes; None if it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
