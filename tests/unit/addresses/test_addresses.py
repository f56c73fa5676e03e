"""A request that a job makes goes to public addresses, and to those that the config allows."""

import ipaddress
import socket
from typing import Any

import pytest

from apsis.addresses import AddressRefused, AddressUnknown, find_address, is_public, may_reach


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1",
    ],
)  # fmt: skip
def test_an_address_of_this_network_is_not_public_in_whatever_form(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert not may_reach("host", address, [])
    assert may_reach("host", address, ["*"])


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("allowed", "may"),
    [
        (["10.0.0.0/8"], True),
        (["10.0.0.1"], True),
        (["10.0.0.2"], False),
        (["db.internal"], True),
        (["DB.internal."], True),
        (["internal"], False),
        (["192.168.0.0/16", "db.other"], False),
    ],
)
def test_the_config_allows_hosts_addresses_and_networks(allowed: list[str], may: bool) -> None:
    assert may_reach("db.internal", "10.0.0.1", allowed) is may


def test_a_name_with_a_public_address_among_others_is_reached_by_that_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET, kind, 6, "", (address, port)) for address in ("10.0.0.1", "1.1.1.1", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    assert find_address("mixed.example", 443) == "1.1.1.1"
    assert find_address("mixed.example", 443, ["10.0.0.0/8"]) == "10.0.0.1"


def test_what_may_not_be_reached_says_how_to_allow_it() -> None:
    with pytest.raises(AddressRefused) as caught:
        find_address("localhost", 80)
    assert "allow_private: [localhost]" in caught.value.hint


def test_a_name_without_an_address_is_told_apart() -> None:
    with pytest.raises(AddressUnknown):
        find_address("no-such-host.invalid", 80)
    with pytest.raises(AddressUnknown):
        find_address("a" * 300 + ".example", 80)
