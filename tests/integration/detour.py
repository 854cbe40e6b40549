"""A way to a server that a test can cut, silence or block."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.chaos.proxy import Link


@asynccontextmanager
async def detour(variable: str) -> AsyncIterator[tuple[Link, str]]:
    """A link to the server whose URL is in this variable, and the URL that leads over it."""
    url = urlsplit(os.environ[variable])
    assert url.port is not None
    link = Link(url.port)
    port = await link.listen()
    user, at, _ = url.netloc.rpartition("@")
    try:
        yield link, url._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()
    finally:
        link.close()
