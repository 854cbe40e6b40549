"""Which network a connection comes from, as far as that can be trusted. Pure."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_CUSTOMER_BITS: Final = 64
"""Of an IPv6 address: whoever has one has all of its /64."""


def networks(text: str) -> tuple[Network, ...]:
    """`text`: separated by commas, such as `10.0.0.0/8, ::1`. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def client_network(
    peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]
) -> str | None:
    """The client's IPv4 address, or the /64 of its IPv6 address; None: that can't be told.

    `forwarded`: all values of X-Forwarded-For. What our proxies have added to them is at the end,
    so the last one that is no proxy of ours is the client; what stands before it anybody may have
    written. None also for what is not public: a proxy that no setting names, or ourselves. Many
    users may be behind it, who must not be counted as one.
    """
    hops = [part for value in forwarded for part in value.split(",")]
    address = _parsed(peer or "")
    while address is not None and hops and _is_in(address, trusted):
        address = _parsed(hops.pop())
    if address is None or not address.is_global or _is_in(address, trusted):
        return None
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, _CUSTOMER_BITS), strict=False))


def _parsed(text: str) -> Address | None:
    """Of `1.2.3.4`, `1.2.3.4:5`, `2001:db8::1`, `[2001:db8::1]` and `[2001:db8::1]:5`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_in(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)
