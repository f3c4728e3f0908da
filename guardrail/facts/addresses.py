"""Address classes: what kind of place a host is. No name is ever looked up.

The tables are our own, after the IANA special-purpose registries (RFC 6890): `ipaddress` answers
differently between patch releases of Python, and calls NAT64 and 6to4 forms of private addresses
global. Whatever carries an IPv4 address inside an IPv6 one is classed by the address inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, Literal

AddressClass = Literal[
    "name", "global", "private", "loopback", "link_local", "metadata", "multicast", "reserved"
]
"""What a host is: a public `name`, a `global` address, or something nearer than a boundary would expect.

`metadata`: hands credentials of the machine to whoever asks. `private`: also names that exist inside one
network only (one label, `.local`, `.internal`, `.home.arpa`, `.lan` and the like).
"""

_METADATA_NAMES: Final = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_LOOPBACK_NAMES: Final = frozenset(
    {
        "localhost",
        "localhost.localdomain",
        "localhost6",
        "localhost6.localdomain6",
        "ip6-localhost",
        "ip6-loopback",
    }
)
# RFC 6762 and its appendix G, RFC 8375, the name that ICANN keeps for it, and the services of a cluster.
_INSIDE: Final = (
    ".local", ".internal", ".home.arpa", ".intranet", ".private", ".corp", ".home", ".lan", ".localdomain", ".svc",
)  # fmt: skip
_METADATA: Final = frozenset(
    {
        IPv4Address("169.254.169.254"),  # most clouds
        IPv4Address("169.254.170.2"),  # container credentials (ECS)
        IPv4Address("169.254.170.23"),  # pod identity (EKS)
        IPv4Address("168.63.129.16"),  # Azure's platform address
        IPv4Address("100.100.100.200"),  # Alibaba
        IPv4Address("192.0.0.192"),  # Oracle, classic
        IPv6Address("fd00:ec2::254"),
        IPv6Address("fd00:ec2::23"),
        IPv6Address("fd20:ce::254"),
    }
)


def _v4(address_class: AddressClass, *networks: str) -> list[tuple[IPv4Network, AddressClass]]:
    return [(IPv4Network(network), address_class) for network in networks]


def _v6(address_class: AddressClass, *networks: str) -> list[tuple[IPv6Network, AddressClass]]:
    return [(IPv6Network(network), address_class) for network in networks]


# The first row that holds the address decides.
_V4: Final = [
    *_v4("loopback", "127.0.0.0/8", "0.0.0.0/32"),  # 0.0.0.0 connects to this host
    *_v4("private", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
    *_v4("link_local", "169.254.0.0/16"),
    *_v4("multicast", "224.0.0.0/4"),
    *_v4("reserved", "0.0.0.0/8", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"),
    *_v4("reserved", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),  # documentation
    *_v4("global", "0.0.0.0/0"),
]
_V6: Final = [
    *_v6("loopback", "::1/128", "::/128"),
    *_v6("link_local", "fe80::/10"),
    *_v6("private", "fc00::/7", "fec0::/10", "64:ff9b:1::/48"),
    *_v6("multicast", "ff00::/8"),
    *_v6("reserved", "2001::/23", "2001:db8::/32", "3fff::/20"),
    *_v6("global", "2000::/3"),
    *_v6("reserved", "::/0"),
]
_LAST_32_BITS: Final = [
    IPv6Network("::ffff:0:0/96"),  # mapped (RFC 4291)
    IPv6Network("::ffff:0:0:0/96"),  # translated (RFC 2765)
    IPv6Network("64:ff9b::/96"),  # NAT64 (RFC 6052)
    IPv6Network("::/96"),  # compatible, deprecated (RFC 4291)
]
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")  # RFC 3056
_TEREDO: Final = IPv6Network("2001::/32")  # RFC 4380


def classify(host: str) -> AddressClass:
    """What kind of place a host is.

    Args:
        host: a lower-case ASCII name without a final dot, or an address in normal form without brackets.
    """
    address = address_of(host)
    if isinstance(address, IPv4Address):
        return _of_v4(address)
    if isinstance(address, IPv6Address):
        return _of_v6(address)
    return _of_name(host)


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host spells, or None for a name."""
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except ValueError:
        return None


def _of_name(name: str) -> AddressClass:
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):  # RFC 6761
        return "loopback"
    if name in _METADATA_NAMES:
        return "metadata"
    if "." not in name or name.endswith(_INSIDE):
        return "private"
    return "name"


def _of_v4(address: IPv4Address) -> AddressClass:
    return "metadata" if address in _METADATA else _first(address, _V4)


def _of_v6(address: IPv6Address) -> AddressClass:
    if address in _METADATA:
        return "metadata"
    bits = int(address)
    if bits <= 1:  # :: and ::1 are not compatible forms of 0.0.0.0 and 0.0.0.1
        return "loopback"
    if any(address in network for network in _LAST_32_BITS):
        return _of_v4(IPv4Address(bits & 0xFFFF_FFFF))
    if address in _SIX_TO_FOUR:
        return _of_v4(IPv4Address(bits >> 80 & 0xFFFF_FFFF))
    if address in _TEREDO:  # the client's address is stored inverted
        inside = _of_v4(IPv4Address(~bits & 0xFFFF_FFFF))
        return "reserved" if inside == "global" else inside
    return _first(address, _V6)


def _first(
    address: IPv4Address | IPv6Address, table: Iterable[tuple[IPv4Network | IPv6Network, AddressClass]]
) -> AddressClass:
    return next(address_class for network, address_class in table if address in network)
