"""Where a zygote's socket and lock lie, which zygotes live, and which version of the code one carries."""

# The zygote does not load pathlib.
# ruff: noqa: PTH100, PTH120, PTH208

import os
import zlib
from typing import Final

from apsis_services.supervisor.zygote.journal import is_locked

#: the folder that `apsis_services` lies in; the zygote imports from there and from the standard library
ROOT: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
#: the modules that a zygote is made of, itself included
MODULES: Final = (
    "account",
    "adoption",
    "answers",
    "causes",
    "cgroup",
    "child",
    "failure",
    "files",
    "folder",
    "identity",
    "journal",
    "journal_file",
    "keeper",
    "ladder",
    "lean",
    "linux",
    "lock",
    "log",
    "notation",
    "orders",
    "pools",
    "processes",
    "records",
    "rehearsal",
    "request",
    "rlimits",
    "shim",
    "spawn",
    "stamps",
    "standard_input",
    "usage",
    "wards",
    "zygote",
)
#: the longest message on the socket; a request itself travels in a memfd
MESSAGE_BYTES: Final = 4096


def lock_path(run: str, generation: int) -> str:
    """Return the lock that a zygote holds for as long as it lives."""
    return f"{run}/zygote-{generation}.lock"


def socket_name(generation: int) -> str:
    """Return the name of a zygote's socket in the `run` folder."""
    return f"zygote-{generation}.sock"


def near_path(directory: int, name: str) -> str:
    """Return a short path to a name in an open folder: a socket's path may be 107 bytes, a home's may be longer."""
    return f"/proc/self/fd/{directory}/{name}"


def is_alive(run: str, generation: int) -> bool:
    """Whether the zygote of a generation lives: its lock is held."""
    try:
        fd = os.open(lock_path(run, generation), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return is_locked(fd)
    finally:
        os.close(fd)


def living_generations(run: str) -> list[int]:
    """Return the generations whose zygote lives, lowest first."""
    found = []
    for name in os.listdir(run):
        number = name.removeprefix("zygote-").removesuffix(".lock")
        if name.startswith("zygote-") and name.endswith(".lock") and number.isdecimal():
            found.append(int(number))
    return sorted(generation for generation in found if is_alive(run, generation))


def version_stamp() -> str:
    """Return what tells one version of the zygote's code from another: a checksum over its modules."""
    folder = os.path.dirname(os.path.abspath(__file__))
    checksum = 0
    for module in MODULES:
        fd = os.open(f"{folder}/{module}.py", os.O_RDONLY | os.O_CLOEXEC)
        try:
            while part := os.read(fd, 65536):
                checksum = zlib.crc32(part, checksum)
        finally:
            os.close(fd)
    return f"{checksum:08x}"
