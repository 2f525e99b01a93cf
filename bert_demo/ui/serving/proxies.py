"""The proxies of the environment, as the web client that Gradio uses can take them.

It reads them whenever it is made, for calls to this page's own address too, and fails on what it
does not know, so that the page would not start.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

import httpx

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_LOCAL = ("127.0.0.1", "localhost", "::1")


def keep_usable_proxies(environ: MutableMapping[str, str] = os.environ) -> list[str]:
    """Take out of the environment what the web client cannot use; a sentence for each of them.

    This computer itself is asked without any proxy from then on.
    """
    left_out = []
    for name in [name for name in environ if name.lower() in _PROXIES]:
        url = environ[name].strip()
        try:
            if url:
                httpx.Client(
                    proxy=url if "://" in url else f"http://{url}", trust_env=False
                ).close()
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            del environ[name]
            reason = str(error)
            if isinstance(error, ImportError):
                reason = "for SOCKS, install httpx[socks]"
            left_out.append(f"The proxy in {name} cannot be used and is left out: {reason}.")
    for name in ("no_proxy", "NO_PROXY"):
        hosts = [host.strip() for host in environ.get(name, "").split(",") if host.strip()]
        kept = [known for host in hosts if (known := _known(host))]
        if len(kept) < len(hosts):
            lost = ", ".join(host for host in hosts if not _known(host))
            left_out.append(f"{lost} in {name} is no name or address of one computer; left out.")
        environ[name] = ",".join([*kept, *(host for host in _LOCAL if host not in kept)])
    return left_out


def _known(host: str) -> str:
    """The host as the web client takes it, which knows neither brackets nor networks of IPv6."""
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    return "" if ":" in host and "/" in host else host
