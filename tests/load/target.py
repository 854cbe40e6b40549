"""Which address is loaded, and whether it may be."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

IS_SECURE: Final = {"ws": False, "http": False, "wss": True, "https": True}


@dataclass(frozen=True, slots=True)
class Target:
    """An edge by its two addresses."""

    rest_url: str
    socket_url: str

    @classmethod
    def of(cls, host: str, *, is_mine: bool) -> "Target":
        """Of scheme, name and port, such as `ws://localhost:8080`.

        Raises ValueError, with a text for people: for what is no such address, and for another
        machine's unless `is_mine` says that the caller owns it. A name that merely resolves to
        this machine counts as another's, since it may resolve to something else next.
        """
        parts = urlsplit(host)
        if parts.scheme not in IS_SECURE or not parts.hostname or parts.path.strip("/"):
            raise ValueError(f"{host!r} is not an address such as ws://localhost:8080")
        if not is_mine and not _is_loopback(parts.hostname):
            raise ValueError(
                f"{parts.hostname} is another machine. Load only what is yours, "
                "and say that it is: --yes-this-is-mine"
            )
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        place = f"{name}:{parts.port}" if parts.port else name
        s = "s" if IS_SECURE[parts.scheme] else ""
        return cls(f"http{s}://{place}/api/chat", f"ws{s}://{place}/api/chat/ws")


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
