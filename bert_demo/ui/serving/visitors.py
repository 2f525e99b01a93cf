"""Who a visitor is: the address of their network, as far as it can be believed.

Whoever connects has an address, but behind a proxy that is the proxy's. The proxy adds the
visitor's to the header X-Forwarded-For, whose end it has written; what stands before that the
visitor may have made up. Where no proxy is known of, all of it may be.
"""

from __future__ import annotations

import ipaddress

import gradio as gr

_NETWORK = 64  # bits of an IPv6 address that a provider gives to one customer


def address_of(request: gr.Request | None, proxied: bool) -> str:
    """The visitor's address, an IPv6 one as its network; "" where it is not known.

    `proxied`: whether the page is known to be served through a proxy.
    """
    if request is None:
        return ""
    client = getattr(request, "client", None)
    peer = _network(str(getattr(client, "host", "") or ""))
    if not proxied:
        return peer
    hops = map(_network, str(request.headers.get("x-forwarded-for", "")).split(","))
    # Several servers of the computer's own may hand a request on to each other.
    real = [hop for hop in hops if hop and not ipaddress.ip_network(hop).is_loopback]
    return real[-1] if real else peer


def _network(address: str) -> str:
    """Empty for what is no address."""
    address = address.strip()
    try:
        parsed = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    bits = _NETWORK if parsed.version == 6 and not parsed.is_loopback else parsed.max_prefixlen
    return str(ipaddress.ip_network((parsed, bits), strict=False))
