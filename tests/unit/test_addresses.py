"""Where documents of others may lead: addresses near and far, in every dress."""

from ipaddress import ip_address

import pytest

from bec_orch.errors import ServerRefused
from bec_orch.io.servers.addresses import Reach, choose, plain_url, reach_of

REACHES = {
    "8.8.8.8": Reach.PUBLIC,
    "2606:4700::1111": Reach.PUBLIC,
    "10.0.0.1": Reach.PRIVATE,
    "172.16.0.1": Reach.PRIVATE,
    "192.168.1.1": Reach.PRIVATE,
    "100.64.0.1": Reach.PRIVATE,
    "fd12:3456::1": Reach.PRIVATE,
    "192.0.2.1": Reach.PRIVATE,
    "127.0.0.1": Reach.LOOPBACK,
    "127.8.9.10": Reach.LOOPBACK,
    "::1": Reach.LOOPBACK,
    "::ffff:127.0.0.1": Reach.LOOPBACK,
    "::ffff:10.0.0.1": Reach.PRIVATE,
    "64:ff9b::7f00:1": Reach.LOOPBACK,
    "64:ff9b::a9fe:a9fe": Reach.NEVER,
    "2002:7f00:1::": Reach.LOOPBACK,
    "0.0.0.0": Reach.NEVER,  # noqa: S104  (nobody listens there)
    "::": Reach.NEVER,
    "169.254.169.254": Reach.NEVER,
    "::ffff:169.254.169.254": Reach.NEVER,
    "fe80::1": Reach.NEVER,
    "fd00:ec2::254": Reach.NEVER,
    "100.100.100.200": Reach.NEVER,
    "168.63.129.16": Reach.NEVER,
    "224.0.0.1": Reach.NEVER,
    "ff02::1": Reach.NEVER,
    "255.255.255.255": Reach.NEVER,
    "240.0.0.1": Reach.NEVER,
}


@pytest.mark.parametrize("address", REACHES)
def test_addresses_are_as_far_away_as_they_are(address: str) -> None:
    assert reach_of(ip_address(address)) is REACHES[address]


def test_of_a_host_with_several_the_farthest_kind_is_taken_where_it_is_allowed() -> None:
    found = [ip_address(each) for each in ("127.0.0.1", "8.8.8.8", "10.0.0.1", "169.254.169.254")]
    assert choose(found, None) == [(found[1], Reach.PUBLIC)]
    assert choose(found, frozenset({Reach.PUBLIC, Reach.LOOPBACK})) == [(found[1], Reach.PUBLIC)]
    assert choose(found[:1], frozenset({Reach.PUBLIC})) == []
    assert choose(found[2:], frozenset({Reach.PUBLIC, Reach.PRIVATE})) == [(found[2], Reach.PRIVATE)]
    assert choose(found[3:], None) == []


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://Example.ORG", "https://example.org/"),
        ("http://example.org:80/a#b", "http://example.org/a"),
        ("https://example.org:8443/a?b=c%20d", "https://example.org:8443/a?b=c%20d"),
        ("https://example.org/དཔེ/ a", "https://example.org/%E0%BD%91%E0%BD%94%E0%BD%BA/%20a"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
    ],
)
def test_addresses_have_one_form(url: str, plain: str) -> None:
    assert plain_url(url) == plain
    assert plain_url(plain) == plain


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://x/y", "//x/y", "/etc/passwd", "", "http://", "http://user:secret@x/", "http://x\n/",
     "https://x:99999/", "javascript:alert(1)", f"https://x/{'a' * 2000}", None, 7, {"id": "x"}, "data:image/png,x",
     "http://[::1", "http://x]/", "https://\u2100.com/", "gopher://x", "http://a..b/"],
)  # fmt: skip
def test_what_is_no_address_to_be_asked_is_refused(url: object) -> None:
    with pytest.raises(ServerRefused) as caught:
        plain_url(url)
    assert caught.value.code == "E_URL"
