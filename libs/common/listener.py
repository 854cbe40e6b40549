"""The admin port's socket, apart from `admin`: gunicorn's master opens it and counts nothing."""

import socket
from functools import cache


@cache
def listen(host: str, port: int) -> socket.socket:
    """The same socket at each call, also in this process's children. Raises OSError when taken."""
    listener = socket.create_server((host, port), backlog=64)
    # Of several workers that are woken by one connection all but one find it gone.
    listener.setblocking(False)
    return listener
