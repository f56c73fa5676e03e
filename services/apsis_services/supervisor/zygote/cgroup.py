"""Control groups (cgroup v2): a run's own, its limits, and the kernel's own way to kill all that is in it.

Only below a group that is ours to divide: one that systemd delegated (`Delegate=yes`), or any that we may write
to on a machine where systemd does not run. That is looked at when a run asks for it, and never assumed.
"""

# The zygote does not load pathlib.
# ruff: noqa: PTH102, PTH106, PTH112, PTH117, PTH119, PTH120, PTH208

import errno
import os
from typing import Final

from apsis_services.supervisor.zygote.failure import SpawnError

_PREFIX: Final = "apsis-"
#: where the processes of Apsis itself go, when the group that holds them is divided: a divided group holds none
_SERVICES: Final = "apsis-services"
_DELEGATED: Final = ("user.delegate", "trusted.delegate")
_SYSTEMD: Final = "/run/systemd/system"
#: microseconds over which the use of CPU is counted
_PERIOD: Final = 100_000
_REMEDY: Final = "run Apsis as a systemd service with Delegate=yes, or use `limits`"


def name_of(epoch: str, key: str) -> str:
    """Return what the group of a run is called; no two spools meet."""
    return f"{_PREFIX}{epoch}-{key}"


def is_group_of(path: str, epoch: str, key: str) -> bool:
    """Whether a path, as a journal has it, is that of the run's own group and of no other."""
    return os.path.isabs(path) and os.path.normpath(path) == path and os.path.basename(path) == name_of(epoch, key)


def find_base() -> str:
    """Return the folder of the group below which runs have theirs.

    Raises:
        SpawnError: there is none that we may divide; the reason is told.
    """
    path = _own_group()
    if os.path.basename(path) == _SERVICES:
        path = os.path.dirname(path)
    if not os.access(path, os.W_OK) or not os.access(f"{path}/cgroup.procs", os.W_OK):
        raise SpawnError(f"cgroup: {path} is not ours to divide; {_REMEDY}")
    if os.path.isdir(_SYSTEMD) and not _is_delegated(path):
        raise SpawnError(f"cgroup: {path} belongs to systemd and is not delegated; {_REMEDY}")
    return path


def make(path: str, wants: dict[str, float | None]) -> None:
    """Make a run's group with its limits (fields of `Cgroup`; None: no limit).

    Raises:
        SpawnError: it cannot be made, or a limit cannot be set. Nothing is left of it.
    """
    base = os.path.dirname(path)
    controllers = {name.partition("_")[0] for name, value in wants.items() if value is not None}
    for controller in sorted(controllers):
        _enable(base, controller)
    try:
        os.mkdir(path, 0o755)
    except OSError as error:
        raise SpawnError(f"cgroup: {path} cannot be made: {error.strerror}") from None
    for name, value in wants.items():
        if value is None:
            continue
        text = f"{int(value * _PERIOD)} {_PERIOD}" if name == "cpu_max" else str(int(value))
        try:
            _write(f"{path}/{name.replace('_', '.')}", text)
        except OSError as error:
            remove(path)
            raise SpawnError(f"cgroup.{name} {value:g} cannot be set: {error.strerror}") from None


def enter(path: str) -> None:
    """Move this process into a group; its children begin there.

    Raises:
        SpawnError: it cannot be.
    """
    try:
        _write(f"{path}/cgroup.procs", "0")
    except OSError as error:
        raise SpawnError(f"cgroup: {path} cannot be entered: {error.strerror}") from None


def kill(path: str) -> bool:
    """Kill all that is in a group, in one step that no fork escapes; False: it is gone, or the kernel is too old."""
    try:
        _write(f"{path}/cgroup.kill", "1")
    except OSError:
        return False
    return True


def is_populated(path: str) -> bool:
    """Whether a process lives in a group or below it."""
    return b"populated 1" in _read(f"{path}/cgroup.events")


def oom_kills(path: str) -> int:
    """Return how many processes of a group the kernel killed for lack of memory; 0 also where it does not say."""
    for line in _read(f"{path}/memory.events").splitlines():
        name, _, count = line.partition(b" ")
        if name == b"oom_kill":
            return int(count)
    return 0


def remove(path: str) -> None:
    """Remove a group, with those that its processes made in it; one that is not empty stays."""
    try:
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                remove(entry.path)
        os.rmdir(path)
    except OSError:
        return  # somebody lives there, as `leftovers: leave` allows: swept later


def sweep(base: str, epoch: str, journals: str) -> None:
    """Remove the empty groups of runs that have no journal any more."""
    prefix = f"{_PREFIX}{epoch}-"
    for name in os.listdir(base):
        if name.startswith(prefix) and not os.access(f"{journals}/{name[len(prefix) :]}.j", os.F_OK):
            remove(f"{base}/{name}")


def _own_group() -> str:
    """Return the folder of the group that we are in.

    Raises:
        SpawnError: this machine has no cgroup v2, or we do not see ours.
    """
    own = next((line[3:] for line in _read("/proc/self/cgroup").decode().splitlines() if line[:3] == "0::"), None)
    mounted = [line.split(" ") for line in _read("/proc/self/mountinfo").decode().splitlines()]
    for fields in mounted:
        if own is None or fields[fields.index("-") + 1] != "cgroup2":
            continue
        root, point = fields[3], fields[4]
        if root == "/":
            return f"{point}{own}".rstrip("/")
        if own == root or own.startswith(f"{root}/"):
            return f"{point}{own[len(root) :]}".rstrip("/")
    raise SpawnError("cgroup: this host has no cgroup v2 that we can see; use `limits`")


def _is_delegated(path: str) -> bool:
    for name in _DELEGATED:
        try:
            if os.getxattr(path, name) == b"1":
                return True
        except OSError:  # it is not set, or only root may ask
            continue
    return False


def _enable(base: str, controller: str) -> None:
    """Let groups below `base` have a controller.

    Raises:
        SpawnError: it is not ours to give.
    """
    if controller.encode() in _read(f"{base}/cgroup.subtree_control").split():
        return
    if controller.encode() not in _read(f"{base}/cgroup.controllers").split():
        raise SpawnError(f"cgroup: the controller {controller!r} is not available in {base}; {_REMEDY}")
    try:
        try:
            _write(f"{base}/cgroup.subtree_control", f"+{controller}")
        except OSError as error:
            if error.errno != errno.EBUSY or not _is_delegated(base):
                raise
            # all that is in a delegated group is ours; the kernel wants it out of a group that is divided
            _move_down(base)
            _write(f"{base}/cgroup.subtree_control", f"+{controller}")
    except OSError as error:
        raise SpawnError(
            f"cgroup: the controller {controller!r} cannot be enabled in {base}: {error.strerror}; {_REMEDY}"
        ) from None


def _move_down(base: str) -> None:
    """Move every process of a group into one below it, until none is left; a fork may add one meanwhile."""
    below = f"{base}/{_SERVICES}"
    if not os.path.isdir(below):
        os.mkdir(below, 0o755)
    while pids := _read(f"{base}/cgroup.procs").split():
        for pid in pids:
            try:
                _write(f"{below}/cgroup.procs", pid.decode())
            except ProcessLookupError:
                continue


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _read(path: str) -> bytes:
    """Return a small file's bytes; none where it is not there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    parts = []
    try:
        while part := os.read(fd, 65536):
            parts.append(part)
    finally:
        os.close(fd)
    return b"".join(parts)
