"""Connections to PostgreSQL that the network has forgotten: each end waits for the other."""

import asyncio
import os
import socket
from time import monotonic
from uuid import uuid4

import asyncpg
import pytest

from libs.common.config import load
from services.persister.connection import Link as PersistersLink
from services.rest_api.settings import RestSettings
from services.rest_api.store import closed_pool
from services.router.store import Store
from tests.integration.detour import detour

LOCK = 7_260_317


async def test_a_router_waits_for_one_forgotten_connection_only() -> None:
    async with (
        detour("CHAT_DATABASE_URL") as (link, url),
        asyncpg.create_pool(url, min_size=4, max_size=4, command_timeout=1) as pool,
    ):
        store = Store(pool)
        # As many at once as there are connections.
        await asyncio.gather(*(store.membership(uuid4()) for _ in range(4)))
        assert link.do("silence") == 4
        began = monotonic()
        with pytest.raises(TimeoutError):
            await store.membership(uuid4())
        assert await store.membership(uuid4()) is None
        assert monotonic() - began < 1.8, "neither its cancellation nor the other three"


async def test_a_forgotten_persister_holds_no_lock() -> None:
    async with detour("CHAT_DATABASE_URL") as (link, url):
        persisters = PersistersLink(url, answer_within_s=10)
        forgotten = await persisters.connected()
        await forgotten.execute("begin")
        await forgotten.execute("select pg_advisory_xact_lock($1)", LOCK)
        link.do("silence")
        persisters.drop()
        another = await PersistersLink(url, answer_within_s=10).connected()
        await another.execute("select pg_advisory_lock($1)", LOCK)
        await another.close()


def test_the_rest_api_has_tcp_look_whether_postgresql_is_there() -> None:
    """Which a proxy's kernel would answer for it; so only what is asked of TCP can be seen."""
    with (
        closed_pool(load(RestSettings), 8) as pool,
        pool.connection() as connection,
        # A copy: the connection closes its own.
        socket.socket(fileno=os.dup(connection.fileno())) as seen,
    ):
        assert seen.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert seen.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 8_000
        assert seen.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
