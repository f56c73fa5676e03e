"""The few calls of Linux that Python does not offer: prctl, signalfd, and waitid with resource use.

Through ctypes, loaded before the zygote's first fork so that no shim pays for it.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from typing import Final, NamedTuple

from apsis_services.supervisor.zygote.usage import Usage

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
#: looked up once, here: the first look makes the function, and each fork would make it anew
_PRCTL: Final = _LIBC.prctl
_SYSCALL: Final = _LIBC.syscall
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
#: more than a process can have, by the kernel's default
_DESCRIPTORS: Final = 1 << 20
_SFD_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC
_SIGNALFD_SIGINFO: Final = 128
#: waitid's number where glibc's own waitid, which knows no rusage, has to be passed by
_WAITID: Final = {"x86_64": 247, "aarch64": 95, "riscv64": 95, "loongarch64": 95, "ppc64le": 272, "s390x": 281}
_WAITID_NUMBER: Final = _WAITID.get(os.uname().machine) if sys.maxsize > 2**32 else None
#: struct siginfo is 128 bytes; si_signo, si_errno, si_code, then (aligned) si_pid, si_uid, si_status
_SIGINFO: Final = ctypes.create_string_buffer(128)
_NO_SIGINFO: Final = bytes(128)
_RUSAGE: Final = ctypes.create_string_buffer(18 * 8)


class Outcome(NamedTuple):
    """How a process ended: `code` or `signal`, and what it used (None: cannot be told before it is reaped)."""

    code: int | None
    signal: int | None
    usage: Usage | None


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def set_subreaper() -> None:
    """Become the one to whom orphaned descendants fall. Not inherited by children."""
    _check(_PRCTL(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def set_name(name: bytes) -> None:
    """Name this process as `ps` and `top` show it; 15 bytes are kept."""
    _check(_PRCTL(_PR_SET_NAME, name, 0, 0, 0))


def close_others(one: int, other: int, lowest: int = 3) -> None:
    """Close all descriptors from `lowest` on but two."""
    low, high = (one, other) if one < other else (other, one)
    os.closerange(lowest, low)
    os.closerange(low + 1, high)
    os.closerange(high + 1, _DESCRIPTORS)


def open_signalfd(numbers: Iterable[int]) -> int:
    """Return a descriptor from which these signals are read; they must be blocked."""
    mask = bytearray(128)
    for number in numbers:
        mask[(number - 1) // 8] |= 1 << ((number - 1) % 8)
    return _check(_LIBC.signalfd(-1, bytes(mask), _SFD_FLAGS))


def read_signals(fd: int) -> list[int]:
    """Return the numbers of the signals that came."""
    try:
        data = os.read(fd, _SIGNALFD_SIGINFO * 16)
    except BlockingIOError:
        return []
    return [struct.unpack_from("=I", data, at)[0] for at in range(0, len(data), _SIGNALFD_SIGINFO)]


def look_at_end(pid: int) -> Outcome | None:
    """Return how a child has ended, without reaping it; None: it has not.

    Raises:
        ChildProcessError: it is no child of ours.
    """
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    usage = None
    if _WAITID_NUMBER is None:
        info = os.waitid(os.P_PID, pid, options)
        if info is None:
            return None
        code, status = info.si_code, info.si_status
    else:
        _SIGINFO.raw = _NO_SIGINFO
        _check(_SYSCALL(_WAITID_NUMBER, os.P_PID, pid, _SIGINFO, options, _RUSAGE))
        code, ended, _, status = struct.unpack_from("=i4xiIi", _SIGINFO.raw, 8)
        if not ended:
            return None
        usage = Usage.of_longs(struct.unpack("@18l", _RUSAGE.raw))
    if code == os.CLD_EXITED:
        return Outcome(status, None, usage)
    return Outcome(None, status, usage)
