"""Who a process is: (boot id, pid, start ticks). Signals go only to a process that was opened, then verified.

A pid alone names nobody: it may have been given to another process since it was written down. Only
the standard library is imported here, and little of it, since the zygote carries this module.
"""

import errno
import os
import signal
from typing import NamedTuple


class Identity(NamedTuple):
    """A process for as long as the machine is up: its pid, and when it began in clock ticks since the boot."""

    pid: int
    ticks: int


class Stat(NamedTuple):
    """What `/proc/PID/stat` says of a process, as far as it is asked here."""

    pid: int
    #: one letter: R, S, D, T, Z (ended, not yet waited for), ...
    state: str
    ppid: int
    group: int
    session: int
    ticks: int

    @property
    def identity(self) -> Identity:
        """Pid and start ticks."""
        return Identity(self.pid, self.ticks)

    @property
    def living(self) -> bool:
        """Whether it still runs or may run: neither a zombie nor dead."""
        return self.state not in "ZX"


def boot_id() -> str:
    """Return the kernel's random id of this boot."""
    fd = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 64).decode("ascii").strip()
    finally:
        os.close(fd)


def parse_stat(data: bytes) -> Stat:
    """Return the facts in the text of `/proc/PID/stat`; the name in it may hold spaces and parentheses."""
    fields = data[data.rindex(b")") + 2 :].split(b" ", 20)
    pid = int(data[: data.index(b" ")])
    return Stat(pid, fields[0].decode("ascii"), int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def read_stat(pid: int) -> Stat | None:
    """Return the facts of a process, zombies included; None: there is no such process."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESRCH):
            return None
        raise
    try:
        return parse_stat(os.read(fd, 4096))
    except ProcessLookupError:  # it was reaped between the open and the read
        return None
    finally:
        os.close(fd)


def start_ticks(pid: int) -> int | None:
    """Return when a process began, in clock ticks since the boot; None: there is no such process."""
    stat = read_stat(pid)
    return None if stat is None else stat.ticks


def open_verified(pid: int, ticks: int) -> int | None:
    """Return a pidfd of the very process that began at `ticks`; None: it is gone (its pid may be another's).

    Opened first and verified then: the other order would leave a moment for the pid to be given away.
    The caller closes it.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if start_ticks(pid) == ticks:
        return pidfd
    os.close(pidfd)
    return None


def send_signal(pidfd: int, number: int) -> bool:
    """Send a signal through a verified pidfd; False: the process has ended.

    Raises:
        PermissionError: it runs as another user.
    """
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True


def signal_verified(pid: int, ticks: int, number: int) -> bool:
    """Open, verify, signal, close; False: there is no such process any more.

    Raises:
        PermissionError: it runs as another user.
    """
    pidfd = open_verified(pid, ticks)
    if pidfd is None:
        return False
    try:
        return send_signal(pidfd, number)
    finally:
        os.close(pidfd)
