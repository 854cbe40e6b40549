"""Our connection to Redis, against Redis itself: answers find who asked, whatever happens."""

import asyncio
import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from libs.common.cache import Cache, CacheError, Lua
from libs.common.resp import RedisConnection

URL = os.environ["CHAT_REDIS_URL"]
APPEND = Lua("redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('LLEN', KEYS[1])")


@pytest.fixture
async def cache() -> AsyncIterator[Cache]:
    cache = Cache(URL)
    yield cache
    await cache.close()


async def test_many_who_ask_at_once_get_their_own_answers(cache: Cache) -> None:
    async def ask(number: int) -> None:
        batch = cache.batch()
        for part in range(number % 7 + 1):
            batch.add("ECHO", f"{number} {part}")
        expected = [b"%d %d" % (number, part) for part in range(number % 7 + 1)]
        assert await batch.run() == expected

    await asyncio.gather(*map(ask, range(200)))


async def test_who_gives_up_leaves_others_their_answers() -> None:
    connection = await RedisConnection.open(URL)
    asked = [connection.ask([("ECHO", f"{number}")] * 3) for number in range(20)]
    for given_up in asked[::2]:
        given_up.cancel()
    for number in range(1, 20, 2):
        assert await asked[number] == [b"%d" % number] * 3
    connection.abort()


async def test_an_error_is_the_answer_of_its_command_alone() -> None:
    connection = await RedisConnection.open(URL)
    first, wrong, last = await connection.ask([("ECHO", "a"), ("NO_SUCH",), ("ECHO", "b")])
    assert (first, last) == (b"a", b"b")
    assert isinstance(wrong, CacheError)
    connection.abort()


async def test_long_values_come_whole(cache: Cache) -> None:
    value = os.urandom(3 << 20)
    batch = cache.batch()
    batch.add("ECHO", value)
    batch.add("ECHO", "next")
    assert await batch.run() == [value, b"next"]


async def test_a_lost_connection_is_opened_again(cache: Cache) -> None:
    batch = cache.batch()
    batch.add("CLIENT", "ID")
    [own] = await batch.run()
    connection = await RedisConnection.open(URL)
    waiting = cache.ask([("BLPOP", f"nothing:{uuid4()}", 30)])
    task = asyncio.create_task(waiting)
    await asyncio.sleep(0)  # It has asked.
    assert await connection.ask([("CLIENT", "KILL", "ID", own)]) == [1]
    with pytest.raises(CacheError):
        await task
    [other] = await batch.run()
    assert other != own
    connection.abort()


async def test_scripts_that_redis_has_forgotten_are_loaded(cache: Cache) -> None:
    key = f"test:{uuid4()}"
    for expected in (1, 2):
        batch = cache.batch()
        batch.add("SCRIPT", "FLUSH")
        await batch.run()
        batch = cache.batch()
        batch.script(APPEND, key, "x")
        assert await batch.run() == [expected]
    batch = cache.batch()
    batch.add("DEL", key)
    await batch.run()


async def test_a_server_that_is_away_is_a_cache_error() -> None:
    cache = Cache("redis://127.0.0.1:1")
    batch = cache.batch()
    batch.add("PING")
    with pytest.raises(CacheError):
        await batch.run()
