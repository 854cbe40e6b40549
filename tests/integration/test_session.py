"""A session's life: its token, its haste, how many a user may have, and what Redis knows of it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from libs.client.session import Refused, Session, SessionClosed
from libs.common.domain.partition import partition_of
from libs.common.keys import GATEWAY_USERS, GATEWAYS, SESSIONS
from local.stack import Stack
from tests.integration.conftest import System
from tests.integration.keys import Keys, open_keys
from tests.integration.watching import PARTITIONS, until

Pair = tuple[UUID, UUID, UUID]
SESSIONS_MOST = 20
CONNECTS_MOST = 60


@pytest.fixture
async def keys() -> AsyncIterator[Keys]:
    async with open_keys() as keys:
        yield keys


async def is_alive(session: Session) -> bool:
    return bool(await session.ping())


# ---------------------------------------------------------------- the token


async def test_a_session_outlives_its_token_only_when_that_is_refreshed(
    system: System, pair: Pair
) -> None:
    anna, ben, conversation = pair
    token = system.token(anna, lasts_s=3)
    async with await system.open(ben) as bens:
        refreshed = await Session.open(system.socket_url, token)
        left = await Session.open(system.socket_url, token)
        before = refreshed.frames("CONNECT_SUCCESS")[0]["expiresAt"]
        answer = await refreshed.refresh_token(system.token(anna))
        assert answer.keys() == {"type", "expiresAt"}
        assert answer["expiresAt"] > before
        closed = await left.wait_closed()
        assert closed.code == 4401
        error = left.frames("ERROR")[-1]
        assert (error["code"], error["error"]) == (401, "TOKEN_EXPIRED")
        assert await is_alive(refreshed)
        await bens.send_message(conversation, "still there?")
        await refreshed.expect("MESSAGE_RECEIVED", content="still there?")
        await refreshed.close()


@pytest.mark.parametrize("how", ["garbage", "another's", "expired", "wrong secret"])
async def test_a_bad_new_token_ends_the_session(system: System, how: str) -> None:
    anna = uuid4()
    token = {
        "garbage": "not.a.token",
        "another's": system.token(uuid4()),
        "expired": system.token(anna, lasts_s=-60),
        "wrong secret": f"{system.token(anna)[:-8]}AAAAAAAA",
    }[how]
    session = await system.open(anna)
    with pytest.raises(Refused) as refused:
        await session.refresh_token(token)
    expected = "TOKEN_EXPIRED" if how == "expired" else "TOKEN_INVALID"
    frame = refused.value.frame
    assert (frame["code"], frame["error"]) == (401, expected)
    assert frame["ref"] == {"type": "REFRESH_TOKEN"}
    assert (await session.wait_closed()).code == 4401


# ---------------------------------------------------------------- haste


@pytest.mark.parametrize("kind", ["TYPING_START", "MARK_AS_READ"])
async def test_who_floods_is_answered_and_stays(system: System, pair: Pair, kind: str) -> None:
    anna, _, conversation = pair
    fields = {"upToSeq": 1} if kind == "MARK_AS_READ" else {}
    flood = json.dumps({"type": kind, "conversationId": str(conversation), **fields})
    async with await system.open(anna) as session:
        for _ in range(100):
            await session.send_text(flood)
        await session.send_message(conversation, "said in between")
        errors = session.frames("ERROR")
        assert errors, "100 in much less than 4 s"
        for error in errors:
            assert (error["code"], error["error"]) == (429, "RATE_LIMITED")
            assert error["ref"] == {"type": kind, "conversationId": str(conversation)}
            assert 0 < error["retryAfterMs"] <= 1000
        if kind == "MARK_AS_READ":

            async def all_answered() -> bool:
                return len(session.frames("MESSAGE_READ") + session.frames("ERROR")) == 100

            await until(all_answered, 5, "each reading has its answer")


@pytest.mark.parametrize("fields", [{}, {"messageIds": [str(uuid4())], "upToSeq": 1}])
async def test_which_messages_were_read_is_said_in_one_way(
    system: System, pair: Pair, fields: dict[str, object]
) -> None:
    async with await system.open(pair[0]) as session:
        reading = {"type": "MARK_AS_READ", "conversationId": str(pair[2])}
        await session.send_frame(reading | fields)
        error = await session.expect("ERROR")
        assert (error["code"], error["error"]) == (400, "INVALID_FIELD")
        assert "messageIds" in error["message"]
        assert error["ref"] == reading
        assert await is_alive(session)


# ---------------------------------------------------------------- how many


async def turned_down(system: System, user: UUID) -> dict[str, object]:
    """The ERROR with which a session of this user is refused and closed."""
    session = await Session.connect(system.socket_url, system.token(user))
    assert (await session.wait_closed()).code == 4429
    assert session.frames("CONNECT_SUCCESS") == []
    [error] = session.frames("ERROR")
    return error


async def test_a_user_has_so_many_sessions_and_no_more(system: System, keys: Keys) -> None:
    """Over all gateways."""
    user, urls = uuid4(), own_urls()

    async def has(count: int) -> None:
        async def holds() -> bool:
            return int(await keys.redis.hlen(SESSIONS(user))) == count

        await until(holds, 5, f"Redis knows {count} sessions")

    sessions = [await system.open(user, url=urls[number % 2]) for number in range(SESSIONS_MOST)]
    error = await turned_down(system, user)
    assert (error["code"], error["error"]) == (429, "TOO_MANY_CONNECTIONS")
    await has(SESSIONS_MOST)
    with pytest.raises(SessionClosed) as closed:
        await system.open(user)
    assert closed.value.code == 4429
    assert [await is_alive(session) for session in sessions] == [True] * SESSIONS_MOST
    await sessions.pop().close()
    await has(SESSIONS_MOST - 1)
    sessions.append(await system.open(user))
    await asyncio.gather(*(session.close() for session in sessions))
    await has(0)


async def test_a_user_connects_so_often_a_minute_and_no_more(system: System) -> None:
    user = uuid4()
    for _ in range(CONNECTS_MOST):
        await (await system.open(user)).close()
    error = await turned_down(system, user)
    assert (error["code"], error["error"]) == (429, "RATE_LIMITED")
    assert 0 < int(str(error["retryAfterMs"])) <= 60_000
    await (await system.open(uuid4())).close()


# ---------------------------------------------------------------- what Redis knows


def own_urls() -> list[str]:
    """Each gateway's own address, past the edge."""
    ports = Stack(os.environ["CHAT_STACK"]).gateway_ports()
    return [f"ws://127.0.0.1:{port}/api/chat/ws" for _, port in sorted(ports.items())]


async def gateways_with(keys: Keys, user: UUID) -> set[str]:
    """Those that list the user as theirs."""
    gateways = [name.decode() for name in await keys.redis.zrange(GATEWAYS(), 0, -1)]
    partition = partition_of(user, PARTITIONS)
    return {
        gateway
        for gateway in gateways
        if await keys.redis.sismember(GATEWAY_USERS(gateway, partition), str(user))
    }


async def test_redis_knows_who_is_where_until_the_last_has_gone(system: System, keys: Keys) -> None:
    user, urls = uuid4(), own_urls()

    async def known() -> tuple[int, set[str]]:
        # In this order: who leaves between the two looks was listed, and has no session any more.
        listed = await gateways_with(keys, user)
        values = [name.decode() for name in await keys.redis.hvals(SESSIONS(user))]
        assert set(values) <= listed
        return len(values), listed

    sessions = [await system.open(user, url=url) for url in urls * 2]
    count, listed = await known()
    assert (count, len(listed)) == (4, 2)
    for session in sessions:
        await session.close()

    async def is_forgotten() -> bool:
        return await known() == (0, set())

    await until(is_forgotten, 5, "nobody is listed any more")


async def test_a_gateway_that_routers_may_hold_dead_registers_anew(
    system: System, pair: Pair, keys: Keys
) -> None:
    """Its last sign is too old: what was taken out since is there again, and works."""
    anna, ben, conversation = pair
    async with await system.open(anna) as annas, await system.open(ben) as bens:
        await annas.expect("USER_ONLINE")
        [[session, gateway]] = (await keys.redis.hgetall(SESSIONS(ben))).items()
        seconds, _ = await keys.redis.time()
        await keys.redis.delete(SESSIONS(ben))
        await keys.redis.zadd(GATEWAYS(), {gateway: (seconds - 6) * 1000})

        async def is_back() -> bool:
            return bool(await keys.redis.hget(SESSIONS(ben), session) == gateway)

        await until(is_back, 5, "the session is registered again")
        await annas.send_message(conversation, "back?")
        await bens.expect("MESSAGE_RECEIVED", content="back?")
        told = annas.frames("USER_ONLINE") + annas.frames("USER_OFFLINE")
        assert len(told) == 1, "no news to anybody"
