"""The address that web listens on."""

import errno
import logging
import socket
from pathlib import Path
from typing import Final

from tornado.netutil import bind_sockets

from apsis.errors import ConfigError

log = logging.getLogger("web")

_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104


def listen(bind: str, port: int, last: Path) -> tuple[list[socket.socket], str]:
    """Return listening sockets and the URL by which this machine reaches them.

    Port 0 takes a free one: the one of the last time, kept in the file `last`, if it is still free, so that
    pages that are open find the server again after a restart.

    Raises:
        ConfigError: the port is taken, or the address is not ours.
    """
    try:
        sockets = _bind_again(bind, last) if port == 0 else bind_sockets(port, bind or None)
    except PermissionError:
        raise ConfigError(f"port {port} may only be used by root", hint="set web.port to 1024 or more") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"port {port} is in use by another program; set web.port or give --port 0") from None
        raise ConfigError(f"cannot listen on {bind}: {error.strerror}", hint="set web.bind") from error
    actual = sockets[0].getsockname()[1]
    if port == 0:
        _remember(actual, last)
    host = _ANY.get(bind, f"[{bind}]" if ":" in bind else bind)
    return sockets, f"http://{host}:{actual}"


def _remember(port: int, last: Path) -> None:
    temporary = last.with_suffix(".new")
    try:
        temporary.write_text(f"{port}\n")
        temporary.replace(last)
    except OSError as error:
        # only a convenience: on a full disk the page must come up all the same
        log.warning("the port is not kept for the next start: %s", error, extra={"event": "port_not_kept"})


def _bind_again(bind: str, last: Path) -> list[socket.socket]:
    try:
        return bind_sockets(int(last.read_text()), bind or None)
    except (OSError, ValueError):
        return bind_sockets(0, bind or None)
