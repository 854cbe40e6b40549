"""Redis behind Sentinel: when the master dies, both our clients find the next one."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from libs.common.cache import BlockingCache, Cache, CacheError, Lua
from libs.common.resp import RedisConnection
from tests.integration.ports import free_port

PASSWORD = "of all of them"
SENTINEL = """
port {port}
bind 127.0.0.1
dir {folder}
requirepass "{password}"
sentinel monitor chat 127.0.0.1 {master} 1
sentinel auth-pass chat "{password}"
sentinel down-after-milliseconds chat 500
sentinel failover-timeout chat 3000
"""
SET_ONCE = Lua("return redis.call('SET', KEYS[1], ARGV[1])")


@dataclass
class Watched:
    """Two servers, the second a copy of the first, and a sentinel that watches them."""

    folder: Path
    ports: tuple[int, int]
    sentinel: int
    running: "dict[int, subprocess.Popen[bytes]]"

    @property
    def url(self) -> str:
        """Nothing listens on the first of the sentinels' ports."""
        password = PASSWORD.replace(" ", "%20")
        return f"redis+sentinel://:{password}@127.0.0.1:1,127.0.0.1:{self.sentinel}/chat/2"

    def server(self, port: int) -> str:
        return f"redis://:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}"

    def start(self, port: int, *arguments: str) -> None:
        executable = shutil.which("redis-server") or "/usr/bin/redis-server"
        self.running[port] = subprocess.Popen(
            [executable, *arguments], cwd=self.folder, stdout=subprocess.DEVNULL
        )

    def start_server(self, port: int, *arguments: str) -> None:
        self.start(
            port,
            *("--port", str(port), "--bind", "127.0.0.1", "--save", ""),
            *("--repl-diskless-sync-delay", "0"),
            *("--requirepass", PASSWORD, "--masterauth", PASSWORD, *arguments),
        )

    def stop(self, port: int) -> None:
        process = self.running.pop(port)
        process.kill()
        process.wait()


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path, (free_port(), free_port()), free_port(), {})
    master, replica = watched.ports
    watched.start_server(master)
    watched.start_server(replica, "--replicaof", "127.0.0.1", str(master))
    # A sentinel looks for replicas when it starts, and then every 10 s.
    await said(watched.server(replica), ("INFO", "replication"), b"master_link_status:up")
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        SENTINEL.format(port=watched.sentinel, folder=tmp_path, password=PASSWORD, master=master)
    )
    watched.start(watched.sentinel, str(configuration), "--sentinel")
    await said(watched.server(watched.sentinel), ("INFO", "sentinel"), b"status=ok,")
    await said(watched.server(watched.sentinel), ("INFO", "sentinel"), b"slaves=1")
    yield watched
    for port in tuple(watched.running):
        watched.stop(port)


async def said(url: str, command: tuple[str, ...], expected: bytes) -> None:
    """Waits for an answer with these words."""
    async with asyncio.timeout(30):
        while True:
            with suppress(CacheError, OSError):
                connection = await RedisConnection.open(url)
                [answer] = await connection.ask([command])
                connection.abort()
                if expected in answer:
                    return
            await asyncio.sleep(0.05)


async def port_of(cache: Cache) -> int:
    """Of the server that takes writes; waits for one. Each look is a write."""
    async with asyncio.timeout(20):
        while True:
            batch = cache.batch()
            batch.script(SET_ONCE, "by", "asyncio")
            batch.add("CONFIG", "GET", "port")
            try:
                [_, port] = await batch.run()
            except CacheError:
                await asyncio.sleep(0.1)
                continue
            return int(port[b"port"])


async def blocking_port_of(cache: BlockingCache) -> int:
    async with asyncio.timeout(20):
        while True:
            try:
                _, port = await asyncio.to_thread(
                    cache.run, ("SET", "by", "redis-py"), ("CONFIG", "GET", "port")
                )
            except CacheError:
                await asyncio.sleep(0.1)
                continue
            return int(port[b"port"] if isinstance(port, dict) else port[1])


async def test_when_the_master_dies_both_clients_find_the_next(watched: Watched) -> None:
    cache, blocking = Cache(watched.url), BlockingCache(watched.url)
    first, second = watched.ports
    assert await port_of(cache) == first
    assert await blocking_port_of(blocking) == first

    watched.stop(first)
    assert await port_of(cache) == second
    assert await blocking_port_of(blocking) == second

    nobody = Cache(watched.url.replace("/chat/", "/unknown/"))
    with pytest.raises(CacheError, match="no sentinel knows a master of unknown"):
        await nobody.ask([("PING",)])
    await cache.close()
    blocking.close()


async def test_a_master_that_becomes_a_replica_is_left(tmp_path: Path) -> None:
    """Nobody but we ends such a connection, and asks the sentinels anew."""
    alone = Watched(tmp_path, (free_port(), free_port()), 0, {})
    port = alone.ports[0]
    alone.start_server(port)
    await said(alone.server(port), ("PING",), b"PONG")
    connection = await RedisConnection.open(alone.server(port))
    await connection.ask([("REPLICAOF", "127.0.0.1", "1")])
    [refused] = await connection.ask([("SET", "key", "value")])
    assert isinstance(refused, CacheError)
    await asyncio.sleep(0)
    assert not connection.is_open
    alone.stop(port)
