"""What no role may do with the keys, tried with its own login (decision 0038)."""

import os
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from libs.common.domain import partition
from libs.common.domain.role import (
    GATEWAY,
    PERSISTER,
    PRIVACY,
    REST,
    ROUTER,
)
from libs.common.keys import MEMBERS, RATE, RECENT, SESSIONS, STATUS, WARM
from local import environment
from local.layout import Layout

LAYOUT = Layout(os.environ["CHAT_STACK"])


USER = uuid4()
Command = tuple[str | int, ...]
FOREIGN: dict[str, tuple[Command, ...]] = {
    GATEWAY: (
        ("HGETALL", RECENT(USER)),
        ("GET", f"heads:{USER}"),
        ("SET", STATUS(USER), "ONLINE"),
        ("SET", WARM(0), ""),
        ("GET", WARM(0)),
        ("ZADD", RATE("messages", USER), 1, "x"),
        ("EVAL", f"return redis.call('HGETALL', '{RECENT(USER)}')", 1, SESSIONS(USER)),
    ),
    ROUTER: (("ZADD", MEMBERS("persister"), 1, "x"), ("ZCARD", RATE("connects", USER))),
    PERSISTER: (
        ("ZADD", MEMBERS("router"), 1, "x"),
        ("HGETALL", RECENT(USER)),
        ("SET", WARM(0), ""),
    ),
    REST: (
        ("SET", STATUS(USER), "ONLINE"),
        ("SET", WARM(0), ""),
        ("HGETALL", SESSIONS(USER)),
        ("DEL", f"heads:{USER}"),
    ),
    PRIVACY: (("SET", STATUS(USER), "ONLINE"), ("HGETALL", RECENT(USER))),
}
NOBODYS: tuple[Command, ...] = (
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("SCAN", 0),
    ("CONFIG", "GET", "*"),
    ("ACL", "LIST"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("MONITOR",),
    ("SHUTDOWN", "NOSAVE"),
    ("REPLICAOF", "NO", "ONE"),
    ("SUBSCRIBE", "x"),
    ("PUBLISH", "x", "y"),
)


@pytest.mark.parametrize("role", FOREIGN)
async def test_what_is_not_a_roles_to_do_with_the_keys(role: str) -> None:
    async with Redis.from_url(environment.of_role(LAYOUT, role)["CHAT_REDIS_URL"]) as redis:
        assert await redis.ping()
        for command in (*FOREIGN[role], *NOBODYS):
            answer = await said(redis, command)
            assert isinstance(answer, NoPermissionError), (command, answer)


async def test_a_gateway_may_take_away_what_it_can_not_write() -> None:
    async with Redis.from_url(environment.of_role(LAYOUT, GATEWAY)["CHAT_REDIS_URL"]) as redis:
        assert await redis.unlink(WARM(partition.MOST - 1)) == 0


async def said(redis: Redis, command: Command) -> object:
    try:
        return await redis.execute_command(*command)  # type: ignore[no-untyped-call]
    except ResponseError as error:
        return error


async def test_a_script_reaches_no_key_of_others() -> None:
    url = environment.of_role(LAYOUT, GATEWAY)["CHAT_REDIS_URL"]
    async with Redis.from_url(url) as redis:
        sha = await redis.script_load(f"return redis.call('HGETALL', '{RECENT(USER)}')")
        with pytest.raises(ResponseError, match="can't access"):
            await redis.evalsha(sha, 1, SESSIONS(USER))


async def test_nobody_gets_into_redis_without_a_password() -> None:
    _, _, place = os.environ["CHAT_REDIS_URL"].rpartition("@")
    async with Redis.from_url(f"redis://{place}") as redis:
        with pytest.raises(AuthenticationError):
            await redis.ping()
