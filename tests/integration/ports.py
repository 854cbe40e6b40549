"""Ports for servers that a test starts itself."""

from contextlib import closing
from socket import socket


def free_port() -> int:
    """Of 127.0.0.1; free a moment ago."""
    with closing(socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
