"""Tokens that count no more: live sessions end, nobody comes in with one, whatever was restarted.

A message travels as its publisher sends it: by the exchange `sessions`, through RabbitMQ.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import aio_pika
import httpx
import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from libs.client.session import Refused, Session
from libs.common.domain.revocation import name_of
from libs.common.keys import REVOCATIONS
from libs.common.protocol.revocations import Revoke
from libs.common.topology import SESSIONS_EXCHANGE, SESSIONS_REVOKE
from local import revoke
from local.layout import ROOT
from local.stack import Stack
from tests.integration.conftest import System
from tests.integration.detour import detour
from tests.integration.keys import Keys, open_keys
from tests.integration.own import own_gateway, own_rest
from tests.integration.queues import open_queues
from tests.integration.watching import until

AGO_S = 10
WITHIN_S = 5.0


@pytest.fixture
async def keys() -> AsyncIterator[Keys]:
    async with open_keys() as keys:
        yield keys


def urls() -> list[str]:
    """Each gateway's own address, past the edge."""
    ports = Stack(os.environ["CHAT_STACK"]).gateway_ports()
    return [f"ws://127.0.0.1:{port}/api/chat/ws" for _, port in sorted(ports.items())]


def old_token(system: System, user: UUID, **claims: str) -> str:
    """As if it were issued a while ago, so that no test has to wait for a second to pass."""
    now = int(time.time())
    made: dict[str, object] = {"sub": str(user), "iat": now - AGO_S, "exp": now + 600, **claims}
    return jwt.encode(made, system.secret, "HS256")


async def revoke_user(user: UUID) -> None:
    """All that was issued until the middle of the while."""
    until_then = datetime.now(UTC) - timedelta(seconds=AGO_S // 2)
    await publish(Revoke(user_id=user, revoked_at=until_then))


async def publish(message: Revoke) -> None:
    await revoke.publish(os.environ["CHAT_AMQP_URL"], message)


async def ended(session: Session) -> float:
    """When its ERROR came; it is closed with 4401."""
    async with asyncio.timeout(WITHIN_S):
        closed = await session.wait_closed()
    assert closed.code == 4401
    last = session.received[-1]
    assert (last.frame["code"], last.frame["error"]) == (401, "TOKEN_REVOKED")
    return last.at


async def is_alive(session: Session) -> bool:
    return bool(await session.ping())


async def refused(url: str, token: str) -> tuple[int, str]:
    """The status and code of the handshake's answer."""
    with pytest.raises(InvalidStatus) as answer:
        await Session.open(url, token)
    response = answer.value.response
    return response.status_code, json.loads(response.body or b"{}")["code"]


async def called(base: str, token: str) -> tuple[int, str | None]:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
        response = await client.get(f"{base}/unread", timeout=20)
    return response.status_code, response.json().get("code")


REVOKED = (401, "TOKEN_REVOKED")


async def test_a_users_sessions_end_everywhere_and_no_others(
    system: System, pair: tuple[UUID, UUID, UUID]
) -> None:
    anna, ben, conversation = pair
    token = old_token(system, anna)
    sessions = [await Session.open(url, token) for url in urls() * 2]
    async with await Session.open(urls()[0], old_token(system, ben)) as bens:
        published = time.perf_counter()
        await revoke_user(anna)
        ends = [await ended(session) - published for session in sessions]
        print(f"closed after {[round(1000 * end) for end in ends]} ms")
        assert await is_alive(bens)
        for url in urls():
            assert await refused(url, token) == REVOKED
        await bens.send_message(conversation, "are you there?")
    for session in sessions:
        assert session.frames("MESSAGE_RECEIVED") == []


async def test_a_newer_token_is_good_and_an_older_one_never_is(system: System) -> None:
    anna = uuid4()
    old = old_token(system, anna)
    async with await Session.open(system.socket_url, old) as session:
        await revoke_user(anna)
        await ended(session)
    async with await system.open(anna) as session:
        assert await is_alive(session)
        with pytest.raises(Refused) as bad:
            await session.refresh_token(old)
        assert bad.value.frame["error"] == "TOKEN_REVOKED"
        assert (await session.wait_closed()).code == 4401


async def test_who_shows_it_in_a_frame_or_by_rest_is_refused_as_well(system: System) -> None:
    anna = uuid4()
    claims = {"sub": str(anna), "exp": int(time.time()) + 60}
    old, timeless = old_token(system, anna), jwt.encode(claims, system.secret, "HS256")
    assert await called(system.base, old) == (200, None)
    await revoke_user(anna)

    async def is_refused() -> bool:
        return await called(system.base, old) == REVOKED

    await until(is_refused, WITHIN_S, "REST has heard it")
    for token in (old, timeless):
        session = await Session.connect(system.socket_url)
        await session.send_frame({"type": "CONNECT", "token": token})
        await ended(session)
    assert await called(system.base, timeless) == REVOKED
    assert await called(system.base, system.token(anna)) == (200, None)


async def test_one_token_by_its_id(system: System) -> None:
    anna, lost, kept = uuid4(), uuid4().hex, uuid4().hex
    lost_token, kept_token = (old_token(system, anna, jti=name) for name in (lost, kept))
    async with await Session.open(system.socket_url, kept_token) as keeps:
        loses = await Session.open(system.socket_url, lost_token)
        await publish(Revoke(token_id=lost))
        await ended(loses)
        assert await refused(system.socket_url, lost_token) == REVOKED
        assert await is_alive(keeps)
    async with await Session.open(system.socket_url, kept_token):
        pass


async def test_neither_an_emptied_redis_nor_a_new_process_forgets(
    system: System, keys: Keys
) -> None:
    anna, lost = uuid4(), uuid4().hex
    old, old_by_id = old_token(system, anna), old_token(system, uuid4(), jti=lost)
    await revoke_user(anna)
    await publish(Revoke(token_id=lost))

    async def redis_knows() -> bool:
        scores = await keys.redis.zmscore(REVOCATIONS(), [name_of(anna), name_of(lost)])
        return None not in scores

    await until(redis_knows, WITHIN_S, "Redis has it")
    assert 0 < await keys.ttl(REVOCATIONS()) <= REVOCATIONS.ttl
    await keys.empty()
    for token in (old, old_by_id):
        for url in urls():
            assert await refused(url, token) == REVOKED, "by what gateways remember"
    await until(redis_knows, WITHIN_S, "it was put back")
    stack = Stack(os.environ["CHAT_STACK"])
    async with own_gateway(stack) as gateway, own_rest(stack) as rest:
        await asyncio.gather(gateway.ready(), rest.ready())
        for token in (old, old_by_id):
            assert await refused(gateway.url, token) == REVOKED, "by what Redis holds"
            assert await called(rest.base, token) == REVOKED


async def test_who_missed_the_message_hears_it_from_redis(system: System, keys: Keys) -> None:
    """As a gateway that was cut off from RabbitMQ, and came back."""
    anna = uuid4()
    async with await Session.open(system.socket_url, old_token(system, anna)) as session:
        await keys.redis.zadd(REVOCATIONS(), {name_of(anna): time.time()})
        await ended(session)


async def test_a_gateway_that_was_cut_off_lets_nobody_in_before_redis_has_answered(
    system: System,
) -> None:
    """Who was revoked meanwhile would come in."""
    token = old_token(system, uuid4())
    async with (
        detour("CHAT_AMQP_URL") as (rabbitmq, amqp_url),
        detour("CHAT_REDIS_URL") as (redis, redis_url),
        own_gateway(
            Stack(os.environ["CHAT_STACK"]), CHAT_AMQP_URL=amqp_url, CHAT_REDIS_URL=redis_url
        ) as gateway,
    ):
        await gateway.ready()
        assert await handshake(gateway.url, token) == 101
        redis.do("refuse")
        rabbitmq.do("refuse")

        async def is_cut_off() -> bool:
            return await handshake(gateway.url) == 503

        async def is_back() -> bool:
            return await handshake(gateway.url) == 101

        async def is_in() -> bool:
            return await handshake(gateway.url, token) == 101

        await until(is_cut_off, WITHIN_S, "it has lost RabbitMQ")
        rabbitmq.do("pass")
        await until(is_back, 2 * WITHIN_S, "it has RabbitMQ again")
        assert await handshake(gateway.url, token) == 503
        redis.do("pass")
        await until(is_in, 2 * WITHIN_S, "it has compared")


async def handshake(url: str, token: str | None = None) -> int:
    """Its answer's status. Without a token nobody is asked for anything yet."""
    headers = None if token is None else {"Authorization": f"Bearer {token}"}
    try:
        async with connect(url, additional_headers=headers):
            return 101
    except InvalidStatus as answer:
        return answer.response.status_code


async def test_bad_messages_end_in_chat_dead_and_stop_nobody(system: System) -> None:
    bad = [b"", b"\xff", b"[]", b'{"userId":"anna"}', b"[" * 100_000]
    future = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    bad.append(f'{{"userId":"{uuid4()}","revokedAt":"{future}"}}'.encode())
    async with open_queues() as queues:
        await queues.take_dead()
        connection = await aio_pika.connect(os.environ["CHAT_AMQP_URL"])
        async with connection:
            channel = await connection.channel(on_return_raises=True)
            exchange = await channel.get_exchange(SESSIONS_EXCHANGE)
            for body in bad:
                await exchange.publish(aio_pika.Message(body), SESSIONS_REVOKE)
        found = await queues.dead_within(WITHIN_S, 3 * len(bad))
    assert {letter.source for letter in found} == {"revocations"}
    assert {letter.body for letter in found} == set(bad), "two gateways and REST: three of each"
    anna = uuid4()
    async with await Session.open(system.socket_url, old_token(system, anna)) as session:
        await revoke_user(anna)
        await ended(session)


async def test_foreign_values_in_redis_stop_nobody(system: System, keys: Keys) -> None:
    foreign = {"anna": 1.0, "user:anna": 2e9, b"\xff": 2e9, f"user:{uuid4()}": float("inf")}
    await keys.redis.zadd(REVOCATIONS(), foreign)
    anna = uuid4()
    old = old_token(system, anna)
    async with await Session.open(system.socket_url, old) as session:
        await revoke_user(anna)
        await ended(session)

    async def is_clean() -> bool:
        return not any(await keys.redis.zmscore(REVOCATIONS(), list(foreign)))

    await until(is_clean, WITHIN_S, "what isn't ours is taken out")
    await keys.redis.set(REVOCATIONS(), "of another type")

    async def is_back() -> bool:
        kind = await keys.redis.type(REVOCATIONS())
        return kind == b"zset" and bool(await keys.redis.zscore(REVOCATIONS(), name_of(anna)))

    await until(is_back, WITHIN_S, "the key is a set again")
    assert await refused(system.socket_url, old) == REVOKED


async def test_the_operators_tool(system: System) -> None:
    anna = uuid4()
    session = await Session.open(system.socket_url, old_token(system, anna))
    command = (sys.executable, "-m", "local.revoke", "--user", str(anna))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert (process.returncode, said) == (0, b"Revoked.\n")
    await ended(session)
