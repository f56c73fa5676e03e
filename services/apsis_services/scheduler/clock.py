"""The alarm clock: waits for an instant of the wall clock, and notices when somebody sets that clock."""

import asyncio
import ctypes
import errno
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

_CLOCK_REALTIME: Final = 0
_TFD_NONBLOCK: Final = os.O_NONBLOCK
_TFD_CLOEXEC: Final = os.O_CLOEXEC
_TFD_TIMER_ABSTIME: Final = 1
_TFD_TIMER_CANCEL_ON_SET: Final = 2
#: the timer is always set, because only one that is set notices a change of the clock
_LONGEST: Final = timedelta(days=1)
#: seconds; below it is the slow adjusting of a clock that goes well
_NOTICED: Final = 1.0


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Itimerspec(ctypes.Structure):
    _fields_ = [("interval", _Timespec), ("value", _Timespec)]


_libc: Final = ctypes.CDLL(None, use_errno=True)


def now() -> datetime:
    """Return the wall clock's time."""
    return datetime.now(UTC)


class ClockWatch:
    """Notices that somebody has set the wall clock, against one that nobody sets and that counts sleep too."""

    def __init__(self) -> None:
        self._ahead = _ahead()

    def moved(self) -> float:
        """Return by how many seconds it was set since the last call that said so; 0.0: not by as much as one."""
        ahead = _ahead()
        by = ahead - self._ahead
        if abs(by) < _NOTICED:
            return 0.0
        self._ahead = ahead
        return by


def _ahead() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


class Alarm:
    """One timer of the kernel on the wall clock (`timerfd`): never early, and it rings when the clock is set."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._fd = _checked(_libc.timerfd_create(_CLOCK_REALTIME, _TFD_NONBLOCK | _TFD_CLOEXEC))
        self._at: datetime | None = None
        asyncio.get_running_loop().add_reader(self._fd, self._wake)
        self.set(None)

    def set(self, at: datetime | None) -> None:
        """Ring at an instant, or at once if it is past; None: when the clock is set, and once a day."""
        self._at = at
        when = min(at, now() + _LONGEST) if at else now() + _LONGEST
        seconds, micros = divmod((when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), 1_000_000)
        # zero would switch the timer off
        spec = _Itimerspec(_Timespec(0, 0), _Timespec(max(0, seconds), max(1, micros * 1000)))
        flags = _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET
        _checked(_libc.timerfd_settime(self._fd, flags, ctypes.byref(spec), None))

    def close(self) -> None:
        """Ring no more."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _wake(self) -> None:
        try:
            os.read(self._fd, 8)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return
            if error.errno != errno.ECANCELED:
                raise
            # the clock was set: whoever waits looks at it anew
        self.set(None)
        self._ring()


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
