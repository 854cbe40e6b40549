"""Redis behind Sentinel: when the master dies, both our clients find the next one, as each role."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from libs.common.cache import BlockingCache, Cache, CacheError, Lua
from libs.common.domain.role import GATEWAY, PERSISTER, PRIVACY, REST, ROUTER, login_of
from libs.common.resp import RedisConnection
from tests.integration.ports import free_port
from tests.integration.redis_in_kubernetes import (
    SERVER,
    WATCHER,
    Watched,
    make_logins,
    password_of,
)

SET_ONCE = Lua("return redis.call('SET', KEYS[1], ARGV[1])")
LOGINS = [login_of(role) for role in (GATEWAY, ROUTER, PERSISTER, REST, PRIVACY)]
NOT_FOR_ROLES = (
    ("FAILOVER", "chat"),
    ("SET", "chat", "quorum", "9"),
    ("REMOVE", "chat"),
    ("MASTER", "chat"),
)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(tmp_path, (free_port(), free_port()), free_port())
    master, replica = watched.ports
    watched.start_server(master)
    watched.start_server(replica, master)
    # A sentinel looks for replicas when it starts, and then every 10 s.
    await said(watched.server(replica), ("INFO", "replication"), b"master_link_status:up")
    watched.start_sentinel()
    await said(watched.server(watched.sentinel), ("INFO", "sentinel"), b"status=ok,")
    await said(watched.server(watched.sentinel), ("INFO", "sentinel"), b"slaves=1")
    yield watched
    for port in tuple(watched.running):
        watched.stop(port)


async def asked(url: str, *command: str) -> object:
    connection = await RedisConnection.open(url)
    try:
        [answer] = await connection.ask([command])
    finally:
        connection.abort()
    return answer


async def said(url: str, command: tuple[str, ...], expected: bytes) -> None:
    """Waits for an answer with these words."""
    async with asyncio.timeout(30):
        while True:
            with suppress(CacheError, OSError):
                answer = await asked(url, *command)
                if isinstance(answer, bytes) and expected in answer:
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
    """Each role's too, whose login is told where the master is, and can't say where."""
    cache, blocking = Cache(watched.url() + "/2"), BlockingCache(watched.url() + "/2")
    roles = [(Cache(watched.url(login)), BlockingCache(watched.url(login))) for login in LOGINS]
    first, second = watched.ports
    assert await port_of(cache) == first
    async with asyncio.timeout(2.5):  # The sentinel that is away is asked once, not for 3.5 s.
        assert await blocking_port_of(blocking) == first
    await may_do_what_roles_may(roles)

    watched.stop(first)
    assert await port_of(cache) == second
    assert await blocking_port_of(blocking) == second
    await may_do_what_roles_may(roles)

    for login in LOGINS:
        for command in NOT_FOR_ROLES:
            answer = await asked(watched.server(watched.sentinel, login), "SENTINEL", *command)
            assert "NOPERM" in str(answer), (login, command)
    nobody = Cache(watched.url(service="unknown"))
    with pytest.raises(CacheError, match="no sentinel knows a master of unknown"):
        await nobody.ask([("PING",)])
    for one, other in ((cache, blocking), *roles):
        await one.close()
        other.close()


async def may_do_what_roles_may(roles: list[tuple[Cache, BlockingCache]]) -> None:
    """What they may not do is refused by the ACL, of this server as of the last."""
    for cache, blocking in roles:
        await answers(cache)
        for command in (("FLUSHALL",), ("CONFIG", "GET", "*"), ("SET", "members:nobody", "x")):
            [refused] = await cache.ask([command])
            assert "NOPERM" in str(refused), command
        assert await asyncio.to_thread(blocking.run, ("PING",)) == [True]


async def answers(cache: Cache) -> None:
    """Waits until it has found a master."""
    async with asyncio.timeout(20):
        while True:
            with suppress(CacheError):
                assert await cache.ask([("PING",)]) == [b"PONG"]
                return
            await asyncio.sleep(0.1)


async def test_nobody_gets_in_without_a_password(watched: Watched) -> None:
    for port in (*watched.ports, watched.sentinel):
        with pytest.raises(CacheError, match="NOAUTH"):
            await asked(f"redis://127.0.0.1:{port}", "PING")
        wrong = watched.server(port, "chat_router").replace("router:", "gateway:")
        with pytest.raises(CacheError, match="WRONGPASS"):
            await asked(wrong, "PING")


@pytest.mark.parametrize("kind", [SERVER, WATCHER])
def test_a_login_without_a_password_is_not_made(kind: str, tmp_path: Path) -> None:
    """Rather than one that everybody can guess."""
    passwords = {login: password_of(login) for login in ("default", *LOGINS)}
    make_logins(kind, tmp_path / "users.acl", passwords)
    assert (tmp_path / "users.acl").stat().st_mode & 0o077 == 0
    assert not [word for word in passwords.values() if word in (tmp_path / "users.acl").read_text()]
    for bad in ({"chat_rest": ""}, {"chat_rest": None}):
        given = {name: word for name, word in (passwords | bad).items() if word is not None}
        with pytest.raises(subprocess.CalledProcessError):
            make_logins(kind, tmp_path / "users.acl", given)


async def test_a_master_that_becomes_a_replica_is_left(tmp_path: Path) -> None:
    """Nobody but we ends such a connection, and asks the sentinels anew."""
    alone = Watched(tmp_path, (free_port(), free_port()), 0)
    port = alone.ports[0]
    alone.start_server(port)
    await said(alone.server(port), ("INFO", "replication"), b"role:master")
    connection = await RedisConnection.open(alone.server(port))
    await connection.ask([("REPLICAOF", "127.0.0.1", "1")])
    [refused] = await connection.ask([("SET", "key", "value")])
    assert isinstance(refused, CacheError)
    await asyncio.sleep(0)
    assert not connection.is_open
    alone.stop(port)
