"""Chooses free loopback ports once and remembers them."""

import json
import random
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from local.failure import StackError

# Below the range that Linux gives to outgoing connections (32768 and up), so that none of those
# can sit on a remembered port when the stack starts again.
CANDIDATES = range(20000, 32000)


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    try:
        _bind(port)
    except OSError:
        return False
    return True


def require_free(port: int) -> None:
    """Raise StackError, saying what to do, unless the edge can listen on `port`."""
    try:
        _bind(port)
    except PermissionError as error:
        raise StackError(
            f"This user may not listen on port {port}; take one above 1023: CHAT_PORT=8081 make run"
        ) from error
    except OSError as error:
        raise StackError(
            f"Port {port} is taken by another program (ss -ltnp 'sport = :{port}' shows which).\n"
            "End that one, or choose another port: CHAT_PORT=8081 make run"
        ) from error


def has_ipv6_loopback() -> bool:
    """Whether the edge can listen on [::1] too, where `localhost` may lead first."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def choose_ports(names: Iterable[str], file: Path, preferred: Mapping[str, int]) -> dict[str, int]:
    """Give each name a port: the remembered one if still free, else the preferred, else any free.

    Writes the choice to `file`; ports that other stacks of this clone remember are left to them.
    """
    remembered = remembered_ports(file)
    elsewhere = {
        port
        for other in file.parent.parent.glob("*/ports.json")
        if other != file
        for port in remembered_ports(other).values()
    }
    chosen: dict[str, int] = {}
    for name in names:
        wishes = [port for port in (remembered.get(name), preferred.get(name)) if port]
        candidates = [*wishes, *random.sample(CANDIDATES, k=1000)]
        for port in candidates:
            if port not in chosen.values() and port not in elsewhere and is_free(port):
                chosen[name] = port
                break
        else:
            raise StackError(f"No free loopback port found for {name}.")
    # Names that are not in use now, such as the fourth gateway's, keep their ports.
    file.write_text(json.dumps(remembered | chosen, indent=2) + "\n")
    return chosen


def _bind(port: int) -> None:
    with socket.socket() as probe:
        # As servers do: connections of an earlier run in TIME_WAIT do not count, listeners do.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def remembered_ports(file: Path) -> dict[str, int]:
    """What `choose_ports` chose last time; empty before the first."""
    try:
        ports = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {name: port for name, port in ports.items() if isinstance(port, int)}
