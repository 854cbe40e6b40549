"""Whether a program is ready to do its work, asked in its own protocol."""

import http.client
import socket
from urllib.parse import urlsplit

DEFAULT_PORTS = {"postgresql": 5432, "postgres": 5432, "redis": 6379, "rediss": 6379}
DEFAULT_PORTS |= {"amqp": 5672, "amqps": 5671}


def redis_answers(port: int) -> bool:
    """Whether a Redis on `port` answers PING, if only that it wants to know who asks."""
    return _exchange(port, b"PING\r\n").startswith((b"+PONG", b"-NOAUTH"))


def amqp_answers(port: int) -> bool:
    """Whether a broker on `port` opens an AMQP 0-9-1 connection; it listens last of all it does."""
    connection_start = b"\x01\x00\x00"  # a method frame on channel 0
    return _exchange(port, b"AMQP\x00\x00\x09\x01").startswith(connection_start)


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether anything accepts TCP connections there."""
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def url_accepts(url: str) -> bool:
    """Whether the server that a database, Redis or AMQP URL names accepts TCP connections."""
    host, _, port = address(url).rpartition(":")
    return accepts(int(port), host)


def address(url: str) -> str:
    """The host:port that a URL names, without its password."""
    parts = urlsplit(url)
    scheme = parts.scheme.partition("+")[0]
    return f"{parts.hostname or 'localhost'}:{parts.port or DEFAULT_PORTS.get(scheme, 0)}"


def http_status(port: int, path: str) -> int:
    """The status of a GET, 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _exchange(port: int, request: bytes) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(request)
            return connection.recv(64)
    except OSError:
        return b""
