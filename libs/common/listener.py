"""The admin port's socket, apart from `admin`: gunicorn's master opens it and counts nothing."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import structlog

log = structlog.get_logger()


@cache
def listen(host: str, port: int) -> socket.socket:
    """The same socket at each call, also in this process's children.

    Ends the process as `or_ended` says.
    """
    with or_ended(host, port):
        listener = socket.create_server((host, port), backlog=64)
    # Of several workers that are woken by one connection all but one find it gone.
    listener.setblocking(False)
    return listener


@contextmanager
def or_ended(host: str, port: int) -> Iterator[None]:
    """Where this address can't be listened at, one line says so and the process ends with 1.

    It may be a predecessor that has not quite gone: who starts us tries again.
    """
    try:
        yield
    except OSError as error:
        log.error("can't listen", address=f"{host}:{port}", reason=error.strerror)
        raise SystemExit(1) from None
