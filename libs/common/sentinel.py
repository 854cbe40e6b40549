"""Redis behind Sentinel: where its master is now (docs/decisions/0030).

`redis+sentinel://[[user]:password@]host[:port][,host[:port]…]/service[/database]`: the sentinels,
the name under which they watch the master, and its database. Sentinels and servers have the same
user and password.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

SCHEME: Final = "redis+sentinel://"
PORT: Final = 26379

_URL: Final = re.compile(
    r"redis\+sentinel://((?P<user>[^:@/]*):(?P<password>[^@/]*)@)?"
    r"(?P<hosts>[^@/]+)/(?P<service>[^/]+)(/(?P<database>\d+))?/?"
)


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Whom to ask for the master, and how to speak to it."""

    addresses: tuple[tuple[str, int], ...]
    service: str
    username: str | None
    password: str | None
    database: int

    @classmethod
    def of(cls, url: str) -> "Sentinels | None":
        """None: not an address of sentinels. Raises ValueError: it is, but can't be read."""
        if not url.startswith(SCHEME):
            return None
        match = _URL.fullmatch(url)
        if match is None:
            raise ValueError(
                f"not of the form {SCHEME}[:password@]host[:port],…/service[/database]"
            )
        return cls(
            addresses=tuple(_address(host) for host in match["hosts"].split(",")),
            service=unquote(match["service"]),
            username=unquote(match["user"] or "") or None,
            password=unquote(match["password"] or "") or None,
            database=int(match["database"] or 0),
        )


def _address(text: str) -> tuple[str, int]:
    """`host`, `host:port`, or `[::1]:port`."""
    bracketed = re.fullmatch(r"\[(.+)\](?::(\d+))?", text)
    host, port = bracketed.groups() if bracketed else (text.partition(":")[::2])
    return host, int(port or PORT)
