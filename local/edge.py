"""Writes the edge's nginx configuration, and lets it open as many files as it needs."""

import json
import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local import web_chat
from local.layout import Layout
from local.ports import has_ipv6_loopback

TEMPLATE = Path(__file__).with_name("nginx.conf")

# Enough for 10,000 connections through it. Erlang, which inherits it too, reserves memory for every
# file it may open, so that the million of some containers is no gift.
OPEN_FILES = 65536

# What nginx itself answers when no service does: name of the location, status, code, title, detail.
PROBLEMS = (
    ("not_found", 404, "NOT_FOUND", "Not Found", "The chat service is at /api/chat."),
    ("too_large", 413, "TOO_LARGE", "Content Too Large", "A request body is at most 64 KiB."),
    ("uri_too_long", 414, "URI_TOO_LONG", "URI Too Long", "An address is at most 16 KiB."),
    ("bad_gateway", 502, "BAD_GATEWAY", "Bad Gateway", "The service did not answer; try again."),
    ("unavailable", 503, "UNAVAILABLE", "Service Unavailable", "The service is busy; try again."),
    ("timeout", 504, "TIMEOUT", "Gateway Timeout", "The service took too long; try again."),
)


@dataclass(frozen=True)
class Edge:
    """What nginx.conf says that differs from place to place."""

    files: int
    """How many one worker may open."""
    listen: Sequence[str]
    gateways: Sequence[str]
    """Addresses, with what else nginx's `server` may say."""
    rests: Sequence[str]
    user: str = ""
    """The whole directive."""
    resolver: str = ""
    """The whole directive."""
    pages: str = "        location / { return 404; }"
    """What else there is: the whole locations."""

    def configuration(self) -> str:
        """All paths in it are relative to nginx's folder (nginx -p)."""
        values = {
            "user": self.user,
            "files": str(self.files),
            "connections": str(self.files - 64),
            "resolver": self.resolver,
            "pages": self.pages,
            # nginx counts a failure as made good when a later request *ends*. A WebSocket lasts: a
            # gateway that was down for a moment would get one connection each 2 s for hours.
            "gateways": _servers(self.gateways, "max_fails=0"),
            "rests": _servers(self.rests, "fail_timeout=1s"),
            "listen": "\n".join(f"        listen {address};" for address in self.listen),
            "problems": "\n".join(_problem(*problem) for problem in PROBLEMS),
        }
        text = TEMPLATE.read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        return text


def allow_open_files() -> None:
    """Let this process, and what it starts, open many files."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def write_config(
    layout: Layout,
    port: int,
    gateways: Sequence[int],
    rests: Sequence[int],
    development: int | None,
) -> None:
    """Write nginx.conf: listen on `port`, serve the web chat, pass requests to the other ports.

    `development` is that of local.development, None where it does not run.
    """
    edge = Edge(
        # Inherited from us by way of supervisord.
        files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        listen=[f"127.0.0.1:{port}"] + ([f"[::1]:{port}"] if has_ipv6_loopback() else []),
        gateways=[f"127.0.0.1:{port}" for port in gateways],
        rests=[f"127.0.0.1:{port}" for port in rests],
        # The clone may lie where nobody but root may look, so the workers stay root there too;
        # they listen on loopback only.
        user="user root;" if os.getuid() == 0 else "",
        pages=web_chat.locations(layout.root / "web", development),
    )
    layout.nginx_config.write_text(edge.configuration())


def _servers(addresses: Sequence[str], options: str) -> str:
    # nginx wants at least one, also where none is meant to run.
    servers = [f"server {address} {options};" for address in addresses]
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
