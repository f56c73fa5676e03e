"""Which names this server answers to: a foreign page must not reach it by a name of its own."""

import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", "localhost.localdomain"})


class Hosts:
    """The allow-list of `Host`, and of the `Origin` of browsers."""

    def __init__(self, bind: str) -> None:
        names = set(_LOOPBACK)
        if bind in ("", "0.0.0.0", "::"):  # noqa: S104 - it is compared, not bound
            names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
            self._any_address = True
        else:
            names.add(bind.strip("[]").lower())
            self._any_address = False
        self._names = frozenset(names)

    def allows(self, host: str | None) -> bool:
        """Tell whether a `Host` header names this server; an address cannot be rebound, so each of ours is good."""
        name = _name_of(f"//{host}") if host else None
        if name is None:
            return False
        return name in self._names or (self._any_address and _is_address(name))

    def same_origin(self, origin: str, host: str | None) -> bool:
        """Tell whether a browser's `Origin` is the very host and port that it asked."""
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and host is not None and parts.netloc.lower() == host.lower()


def _name_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if not parts.path and "@" not in parts.netloc else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
