"""Which kind of place a host is, by our own tables, and no name is looked up."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.facts.addresses import classify


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.example.com", "name"),
        ("xn--bcher-kva.example", "name"),
        ("localhost.example.com", "name"),
        ("localhost", "loopback"),
        ("app.localhost", "loopback"),
        ("metadata.google.internal", "metadata"),
        ("metadata", "metadata"),
        ("database", "private"),
        ("printer.local", "private"),
        ("wiki.corp.internal", "private"),
        ("nas.home.arpa", "private"),
    ],
)
def test_names_are_classed_by_where_they_can_exist(host: str, expected: str):
    assert classify(host) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("8.8.8.8", "global"),
        ("1.1.1.1", "global"),
        ("100.63.255.255", "global"),
        ("100.128.0.0", "global"),
        ("172.32.0.1", "global"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "loopback"),
        ("0.0.0.1", "reserved"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("169.254.1.1", "link_local"),
        ("169.254.169.254", "metadata"),
        ("169.254.170.2", "metadata"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("192.0.0.192", "metadata"),
        ("192.0.0.1", "reserved"),
        ("192.0.2.1", "reserved"),
        ("198.51.100.7", "reserved"),
        ("203.0.113.7", "reserved"),
        ("198.18.0.1", "reserved"),
        ("192.88.99.1", "reserved"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
    ],
)
def test_ipv4_addresses(host: str, expected: str):
    assert classify(host) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("2606:4700:4700::1111", "global"),
        ("::1", "loopback"),
        ("::", "loopback"),
        ("fe80::1", "link_local"),
        ("fc00::1", "private"),
        ("fd12::1", "private"),
        ("fec0::1", "private"),
        ("fd00:ec2::254", "metadata"),
        ("fd20:ce::254", "metadata"),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "reserved"),
        ("3fff::1", "reserved"),
        ("2001:2::1", "reserved"),
        ("100::1", "reserved"),
        ("5f00::1", "reserved"),
        ("4000::1", "reserved"),
        ("64:ff9b:1::1", "private"),
    ],
)
def test_ipv6_addresses(host: str, expected: str):
    assert classify(host) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:8.8.8.8", "global"),
        ("::ffff:0:a00:1", "private"),
        ("::127.0.0.1", "loopback"),
        ("64:ff9b::a9fe:a9fe", "metadata"),
        ("64:ff9b::808:808", "global"),
        ("2002:7f00:1::", "loopback"),
        ("2002:a9fe:a9fe::1", "metadata"),
        ("2002:808:808::1", "global"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "reserved"),  # Teredo to 192.0.2.45
        ("2001::80ff:fffe", "loopback"),  # Teredo to 127.0.0.1
        ("2001::f7f7:f7f7", "reserved"),  # Teredo to 8.8.8.8
    ],
)
def test_an_address_inside_an_address_is_classed_by_the_one_inside(host: str, expected: str):
    assert classify(host) == expected


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_wrapping_an_ipv4_address_never_makes_it_more_public(number: int):
    plain = classify(str(IPv4Address(number)))
    wrapped = [number | 0xFFFF << 32, number | 0x64FF9B << 96, 0x2002 << 112 | number << 80]
    assert {classify(str(IPv6Address(form))) for form in wrapped} == {plain}


@settings(deadline=None)
@given(st.one_of(st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address)))
def test_what_the_standard_library_knows_to_be_near_is_never_called_global(
    address: IPv4Address | IPv6Address,
):
    """The converse does not hold, and is why the tables are our own."""
    near = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    assert not (near and classify(str(address)) == "global")
