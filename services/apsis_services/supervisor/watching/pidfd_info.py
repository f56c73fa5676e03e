"""How a process ended that is nobody's child here: asked of its pidfd, or read while nobody has waited for it yet.

Whoever held a pidfd is told by `PIDFD_GET_INFO` although another has waited; that is in Linux 6.13, what it says
of an end in 6.15. Older kernels refuse it, which is looked at.
"""

import fcntl
import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

from apsis_services.supervisor.zygote.identity import Identity, parse_stat

#: struct pidfd_info, its first version: mask, cgroup, twelve ids, and the status as `wait` gives it
_INFO: Final = struct.Struct("=QQ11Ii")
#: _IOWR(0xFF, 11, struct pidfd_info)
_GET_INFO: Final = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11
_EXIT: Final = 1 << 3


class Ended(NamedTuple):
    """How a process ended; one of the two is set, or none where nobody can tell."""

    code: int | None = None
    signal: int | None = None

    @property
    def known(self) -> bool:
        """Whether one of the two is set."""
        return self.code is not None or self.signal is not None


def how_it_ended(pidfd: int) -> Ended | None:
    """Return how a process ended; None: it lives, nobody has waited for it yet, or this kernel does not tell."""
    data = bytearray(_INFO.pack(_EXIT, *[0] * 13))
    try:
        fcntl.ioctl(pidfd, _GET_INFO, data)
    except OSError:  # ENOTTY: an old kernel; ESRCH: an end that nobody kept
        return None
    mask, *_, status = _INFO.unpack(data)
    if not mask & _EXIT:
        return None
    return _ended(status)


def how_it_ended_unreaped(who: Identity) -> Ended | None:
    """Return how a process ended that nobody has waited for; None: it lives, is gone, or may not be asked about."""
    try:
        data = Path(f"/proc/{who.pid}/stat").read_bytes()
    except OSError:
        return None
    stat = parse_stat(data)
    if stat.living or stat.identity != who or not _may_ask(who.pid):
        return None
    return _ended(int(data.split()[-1]))


def _may_ask(pid: int) -> bool:
    """Whether the kernel tells us of a process; to others it says 0 where the status would stand."""
    try:
        return os.geteuid() in (0, os.stat(f"/proc/{pid}").st_uid)  # noqa: PTH116 - beside the bytes of /proc
    except OSError:
        return False


def _ended(status: int) -> Ended:
    found = os.waitstatus_to_exitcode(status)
    return Ended(None, -found) if found < 0 else Ended(found, None)
