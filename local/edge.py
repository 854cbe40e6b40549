"""Writes the edge's nginx configuration."""

import hashlib
import json
import os
import re
import resource
from base64 import b64encode
from collections.abc import Mapping, Sequence

from local.layout import Layout
from local.ports import has_ipv6_loopback

TEMPLATE = "local/nginx.conf"

# Of the web chat: nothing but its own files and this edge; no inline script but the map of modules,
# and no text that becomes markup.
POLICY = (
    "default-src 'none'; script-src 'self' 'sha256-{importmap}'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
IMPORTMAP = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)

# What nginx itself answers when no service does: name of the location, status, code, title, detail.
PROBLEMS = (
    ("not_found", 404, "NOT_FOUND", "Not Found", "The chat service is at /api/chat."),
    ("too_large", 413, "TOO_LARGE", "Content Too Large", "A request body is at most 64 KiB."),
    ("uri_too_long", 414, "URI_TOO_LONG", "URI Too Long", "An address is at most 16 KiB."),
    ("bad_gateway", 502, "BAD_GATEWAY", "Bad Gateway", "The service did not answer; try again."),
    ("unavailable", 503, "UNAVAILABLE", "Service Unavailable", "The service is busy; try again."),
    ("timeout", 504, "TIMEOUT", "Gateway Timeout", "The service took too long; try again."),
)


def write_config(
    layout: Layout,
    port: int,
    gateways: Sequence[int],
    rests: Sequence[int],
    development: int | None,
) -> None:
    """Write nginx.conf: listen on `port`, pass requests to the other ports.

    `development` is that of local.development, None where it does not run.
    """
    # Inherited from us by way of supervisord.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    addresses = [f"127.0.0.1:{port}"] + ([f"[::1]:{port}"] if has_ipv6_loopback() else [])
    values = {
        # The clone may lie where nobody but root may look, so the workers stay root there too;
        # they listen on loopback only.
        "user": "user root;" if os.getuid() == 0 else "",
        "files": str(files),
        "connections": str(files - 64),
        "gateways": _servers(gateways),
        "rests": _servers(rests),
        "development": _development(development),
        "web": str(layout.root / "web"),
        "policy": policy((layout.root / "web" / "index.html").read_text()),
        "listen": "\n".join(f"        listen {address};" for address in addresses),
        "problems": "\n".join(_problem(*problem) for problem in PROBLEMS),
    }
    layout.nginx_config.write_text(_fill((layout.root / TEMPLATE).read_text(), values))


def policy(page: str) -> str:
    """The Content-Security-Policy of the web chat, whose index.html is `page`."""
    (importmap,) = IMPORTMAP.findall(page)
    digest = hashlib.sha256(importmap.encode()).digest()
    return POLICY.format(importmap=b64encode(digest).decode())


def _development(port: int | None) -> str:
    target = "return 404;" if port is None else f"proxy_pass http://127.0.0.1:{port};"
    return f"        location /api/chat/development/ {{ {target} }}"


def _fill(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template


def _servers(ports: Sequence[int]) -> str:
    # nginx wants at least one, also where none is meant to run.
    servers = [f"server 127.0.0.1:{port} fail_timeout=1s;" for port in ports]
    return "\n".join(f"        {server}" for server in servers or ["server 127.0.0.1:1 down;"])


def _problem(location: str, status: int, code: str, title: str, detail: str) -> str:
    """One RFC 9457 answer."""
    body = json.dumps(
        {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail}
    )
    retry = " add_header Retry-After 1 always;" if status > 500 else ""
    return (
        f"        location @{location} {{ default_type application/problem+json;{retry} "
        f"return {status} '{body}'; }}"
    )
