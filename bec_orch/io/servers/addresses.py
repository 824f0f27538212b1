"""Which addresses may be asked, when a document of others says where to look.

A manifest names servers, and so does a redirect. They may lead anywhere on the internet, and to no service of this
machine or its network (server-side request forgery), unless the document that was named by hand lies there itself:

    public addresses                        always
    addresses of private networks           where the first document came from one
    this machine (loopback)                 where the first document came from it
    metadata services, link-local,          never
    multicast, and what is reserved

It is the address that is judged, not the name, and the connection is made to the very address that was judged.
"""

import ipaddress
from collections.abc import Sequence
from enum import StrEnum
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from bec_orch.core.names import is_plain, printable
from bec_orch.errors import ServerRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL = 2000
"""The longest address that is asked for."""
SCHEMES = ("http", "https")
_PORTS = {"http": 80, "https": 443}
# Of AWS by IPv6, of Alibaba, and of Azure: the others are link-local.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Characters that stand for themselves in a path or query (RFC 3986), and `%`: what is escaped stays so.
_PLAIN = "%!$&'()*+,;=:@/?-._~"


class Reach(StrEnum):
    """How far away an address is."""

    PUBLIC = "public"
    PRIVATE = "of a private network"
    LOOPBACK = "of this machine"
    NEVER = "of a kind that is never asked"


def reach_of(address: Address) -> Reach:
    """Return how far away an address is; of one that holds another one (IPv4 in IPv6), the other one counts."""
    within = _within(address)
    if within is not None:
        return reach_of(within)
    if address in _METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return Reach.NEVER
    if address.is_loopback:
        return Reach.LOOPBACK
    if address.is_reserved:
        return Reach.NEVER
    return Reach.PUBLIC if address.is_global else Reach.PRIVATE


def choose(addresses: Sequence[Address], allowed: frozenset[Reach] | None) -> list[tuple[Address, Reach]]:
    """Return the addresses of a host that may be asked, all equally far away.

    Args:
        addresses: all that the host's name stands for.
        allowed: how far away they may be; None: as far as they are, public ones first, but for those never asked.
    """
    found = [(address, reach_of(address)) for address in addresses]
    for reach in (Reach.PUBLIC, Reach.PRIVATE, Reach.LOOPBACK):
        of_it = [each for each in found if each[1] is reach]
        if of_it and (allowed is None or reach in allowed):
            return of_it
    return []


def plain_url(url: object) -> str:
    """Return an address in one form, without its fragment.

    Raises:
        ServerRefused: it is none of HTTP, holds a password or a control character, or is too long (E_URL).
    """
    if not isinstance(url, str) or len(url) > MAX_URL or not is_plain(url):
        raise refused_url(url)
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port
    except ValueError as error:  # UnicodeError is one, too
        raise refused_url(url) from error
    if parts.scheme not in SCHEMES or not host or "@" in parts.netloc:
        raise refused_url(url)
    named = f"[{host}]" if ":" in host else host
    netloc = named if port in {None, _PORTS[parts.scheme]} else f"{named}:{port}"
    return urlunsplit((parts.scheme, netloc, quote(parts.path, _PLAIN) or "/", quote(parts.query, _PLAIN), ""))


def joined(url: str, location: str) -> str:
    """Return the plain address of what a server at `url` calls `location`.

    Raises:
        ServerRefused: as `plain_url`.
    """
    try:
        return plain_url(urljoin(url, location))
    except ValueError as error:
        raise refused_url(location) from error


def refused_url(url: object) -> ServerRefused:
    """Return the error of an address that cannot be asked."""
    return ServerRefused(
        f"{printable(str(url), limit=200)} is not an address that can be asked.",
        code="E_URL",
        hint="It begins with http:// or https://, and holds no user or password.",
    )


def _within(address: Address) -> Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
