"""Which addresses a request that a job makes may go to: public ones, and those that the config allows.

Whoever may give a job its args could otherwise have this machine ask what only it can reach: a cloud's metadata, a
database, the page of a router. An address is looked up once, and the one that was looked at is connected to.
"""

import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

from apsis.errors import ApsisError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: what translates IPv4 into IPv6: an address in it stands for its last four bytes
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
ANY: Final = "*"

#: what the config allows besides public addresses; set once, where the process reads its config
_allowed: list[str] = []


class AddressRefused(ApsisError):
    """A request may not go there."""

    code = "address_refused"


class AddressUnknown(ApsisError):
    """A name has no address, or it cannot be found out now."""

    code = "address_unknown"


def configure(allowed: Sequence[str]) -> None:
    """Set what may be reached besides public addresses: names of hosts, addresses, networks (`10.0.0.0/8`), or `*`."""
    _allowed[:] = allowed


def allowed_addresses() -> list[str]:
    """Return what this process was configured with."""
    return list(_allowed)


def find_address(host: str, port: int, allowed: Sequence[str] = ()) -> str:
    """Return the address of a host that may be connected to.

    `allowed` is what may be reached though it is not public, as `configure` takes it.

    Raises:
        AddressRefused: it has none but such as may not be reached.
        AddressUnknown: it has none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise AddressUnknown(f"{host} has no address: {why}", hint="is the name right?", loc=host) from None
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    for text in addresses:
        if may_reach(host, text, allowed):
            return text
    raise AddressRefused(
        f"{host} is {addresses[0]}, which is not a public address",
        hint=f"where that is meant, name it in apsis.yaml: `http: {{allow_private: [{host}]}}`",
        loc=host,
    )


def may_reach(host: str, address: str, allowed: Sequence[str]) -> bool:
    """Return whether an address may be connected to for a host."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if is_public(found):
        return True
    for each in allowed:
        if each == ANY or each.lower().rstrip(".") == host.lower().rstrip("."):
            return True
        network = _network(each)
        if network is not None and (found in network or _inner(found) in network):
            return True
    return False


def is_public(address: Address) -> bool:
    """Return whether an address is one of the internet at large, seen through what wraps one into another."""
    inner = _inner(address)
    return inner.is_global and not inner.is_multicast and not inner.is_reserved


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
