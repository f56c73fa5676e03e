"""Orders to the holder of a running program: files in the run's folder, and SIGUSR1 to have them read.

`stop` holds the one stop that is in force; a later one may shorten its grace, never lengthen it.
`signal-N` is one signal to the program's group; whoever holds the program takes the file away when
the signal is sent. Each file is written aside and renamed, so that no half of an order is ever read.
"""

# The zygote does not load pathlib.
# ruff: noqa: PTH104, PTH108

import errno
import os
import signal
from collections.abc import Iterable
from typing import Final, NamedTuple

from apsis_services.supervisor.zygote.identity import signal_verified
from apsis_services.supervisor.zygote.journal import JournalState
from apsis_services.supervisor.zygote.notation import decode, encode

STOP: Final = "stop"
SIGNAL: Final = "signal-"
_ASIDE: Final = ".new"


class StopOrder(NamedTuple):
    """End the run: `signal` first, KILL after `grace` seconds; `by` is who asked."""

    signal: int
    grace: float
    by: str


class SignalOrder(NamedTuple):
    """Send one signal to the program's group; `number` tells orders apart and is their sequence."""

    number: int
    signal: int
    by: str


def _write(directory: str, name: str, order: dict[str, object]) -> None:
    aside = f"{directory}/{name}{_ASIDE}"
    text = encode(order)
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        if os.write(fd, text) != len(text):
            # half an order would be taken for none
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), aside)
    finally:
        os.close(fd)
    os.rename(aside, f"{directory}/{name}")


def write_stop(directory: str | os.PathLike[str], order: StopOrder) -> None:
    """Write down that the run is to be stopped. `notify` has it read.

    Raises:
        FileNotFoundError: the run's folder is not made yet; its shim reads no orders before it is.
        OSError: the disk is full, or cannot be written.
    """
    _write(os.fspath(directory), STOP, order._asdict())


def write_signal(directory: str | os.PathLike[str], order: SignalOrder) -> None:
    """Write down that the program's group is to get a signal. `notify` has it read.

    Raises:
        FileNotFoundError: the run's folder is not made yet.
        OSError: the disk is full, or cannot be written.
    """
    _write(os.fspath(directory), f"{SIGNAL}{order.number:020d}", order._asdict())


def notify(state: JournalState) -> bool:
    """Have the holder of a journal read its orders; False: the holder that the journal names is gone.

    A journal that is not locked has no holder, and False is returned. If a shim was killed between
    the two looks, its zygote reads the orders when it adopts the program.

    Raises:
        PermissionError: the holder runs as another user.
    """
    if not state.locked or state.holder is None:
        return False
    return signal_verified(state.holder.pid, state.holder.ticks, signal.SIGUSR1)


def _read(path: str) -> dict[str, object] | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        order = decode(os.read(fd, 65536))
    finally:
        os.close(fd)
    return order if isinstance(order, dict) else {}


def read_stop(directory: str) -> StopOrder | None:
    """Return the stop that is in force; None: none was asked.

    Raises:
        ValueError, KeyError: the file is not a stop order.
    """
    order = _read(f"{directory}/{STOP}")
    if order is None:
        return None
    return StopOrder(int(str(order["signal"])), float(str(order["grace"])), str(order["by"]))


def take_signals(directory: str, names: Iterable[str]) -> list[SignalOrder]:
    """Return the signals that were ordered, in order of their numbers, and take them away.

    `names` are those of the files in the folder.

    Raises:
        ValueError, KeyError: a file is not a signal order; it is taken away all the same.
    """
    orders = []
    for name in sorted(names):
        if not name.startswith(SIGNAL) or name.endswith(_ASIDE):
            continue
        order = _read(f"{directory}/{name}")
        os.unlink(f"{directory}/{name}")
        if order is not None:
            orders.append(
                SignalOrder(int(str(order["number"])), int(str(order["signal"])), str(order["by"])),
            )
    return orders
