"""The zygote's lock and its socket: held and bound by one process for each generation."""

import errno
import fcntl
import os
import socket
from typing import NamedTuple

from apsis_services.supervisor.zygote.files import lock_path, near_path, socket_name
from apsis_services.supervisor.zygote.identity import Identity, boot_id
from apsis_services.supervisor.zygote.notation import encode
from apsis_services.supervisor.zygote.stamps import stamp_now


class Options(NamedTuple):
    """What a zygote is told when it is started."""

    spool: str
    run: str
    generation: int
    #: its starter's stamp of the code; told to whoever connects
    version: str
    #: seconds that it stays with nothing to do and nobody connected
    idle: float


def take_lock(options: Options, me: Identity) -> int | None:
    """Return the descriptor of the lock, taken for as long as it is open; None: another zygote has it."""
    fd = os.open(lock_path(options.run, options.generation), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return None
        raise
    facts = {
        "pid": me.pid,
        "ticks": me.ticks,
        "boot": boot_id(),
        "since": stamp_now(),
        "ready": True,
        "address": None,
        "version": options.version,
    }
    os.ftruncate(fd, 0)
    os.write(fd, encode(facts) + b"\n")
    return fd


def listen(options: Options) -> socket.socket:
    """Return the bound socket. Whoever has the lock may take a dead one's name away."""
    directory = os.open(options.run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    name = socket_name(options.generation)
    try:
        if os.path.lexists(near_path(directory, name)):
            os.unlink(name, dir_fd=directory)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(near_path(directory, name))
    finally:
        os.close(directory)
    listener.listen(16)
    listener.setblocking(False)
    return listener
