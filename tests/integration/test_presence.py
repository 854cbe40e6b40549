"""Presence (DESIGN.md, 4): at the first session, 5 s after the last, when a gateway dies."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from libs.client.session import Session
from tests.integration.conftest import System
from tests.integration.keys import Keys, open_keys
from tests.integration.talking import gateway_urls
from tests.integration.watching import House, until, whole_house

Pair = tuple[UUID, UUID, UUID]
OFFLINE_S = 9.0
"""5 s of grace, a look each 0.5 s, and this machine."""
DEAD_S = 15.0


@pytest.fixture
async def keys() -> AsyncIterator[Keys]:
    async with open_keys() as keys:
        yield keys


async def test_online_with_the_first_session_offline_after_the_last(
    system: System, pair: Pair, keys: Keys
) -> None:
    anna, ben, conversation = pair
    async with await system.open(anna) as annas, system.rest(anna) as rest:
        phone, laptop = await system.open(ben), await system.open(ben)
        online = await annas.expect("USER_ONLINE")
        assert online == {
            "type": "USER_ONLINE",
            "conversationId": str(conversation),
            "userId": str(ben),
        }
        assert await keys.status(ben) == "ONLINE"
        assert await keys.users(conversation) == {str(anna), str(ben)}
        seen = (await rest.get(f"/conversations/{conversation}")).json()
        assert seen["otherUserOnline"] is True
        await phone.close()
        before = datetime.now(UTC)
        await laptop.close()
        offline = await annas.expect("USER_OFFLINE", OFFLINE_S)
        last_seen = datetime.fromisoformat(offline["lastSeenAt"])
        assert abs((last_seen - before).total_seconds()) < 2, "when the last session ended"
        assert offline["userId"] == str(ben)
        assert await keys.status(ben) is None
        assert await keys.users(conversation) == {str(anna)}
        seen = (await rest.get(f"/conversations/{conversation}")).json()
        assert seen["otherUserOnline"] is False
        assert len(annas.frames("USER_ONLINE")) == 1
        assert annas.frames("USER_OFFLINE") == [offline]


async def test_a_reconnect_within_the_grace_shows_nobody_anything(
    system: System, pair: Pair, keys: Keys
) -> None:
    anna, ben, _ = pair
    carl = uuid4()
    with_carl = await system.conversation(anna, carl)
    async with await system.open(anna) as annas:
        first = await system.open(ben)
        await annas.expect("USER_ONLINE", userId=str(ben))
        carls = await system.open(carl)
        await annas.expect("USER_ONLINE", userId=str(carl))
        await first.close()
        async with await system.open(ben):
            # Carl leaves after Ben's first session ended: when he is offline, Ben would be.
            await carls.close()
            await annas.expect("USER_OFFLINE", OFFLINE_S, conversationId=str(with_carl))
            assert await keys.status(ben) == "ONLINE"
        told = [f["userId"] for f in annas.frames("USER_ONLINE") + annas.frames("USER_OFFLINE")]
        assert told.count(str(ben)) == 1


async def test_a_new_conversation_of_two_who_are_online(system: System, keys: Keys) -> None:
    anna, ben = uuid4(), uuid4()
    async with await system.open(anna) as annas, await system.open(ben) as bens:
        conversation = await system.conversation(anna, ben)
        await annas.expect("USER_ONLINE", conversationId=str(conversation), userId=str(ben))
        await bens.expect("USER_ONLINE", conversationId=str(conversation), userId=str(anna))
        assert await keys.users(conversation) == {str(anna), str(ben)}


async def test_an_archived_conversation_shows_nobody(
    system: System, pair: Pair, keys: Keys
) -> None:
    anna, ben, conversation = pair
    async with await system.open(anna) as annas, system.rest(anna) as rest:
        assert (await rest.delete(f"/conversations/{conversation}")).status_code == 204
        await annas.expect("CONVERSATION_ARCHIVED")
        async with await system.open(ben) as bens:
            assert bens.heads == {}
            other = await system.conversation(anna, ben)
            await annas.expect("USER_ONLINE", conversationId=str(other))
        await annas.expect("USER_OFFLINE", OFFLINE_S, conversationId=str(other))
        frames = annas.frames("USER_ONLINE") + annas.frames("USER_OFFLINE")
        assert {frame["conversationId"] for frame in frames} == {str(other)}
        seen = (await rest.get(f"/conversations/{conversation}")).json()
        assert seen["otherUserOnline"] is False
    assert await keys.users(conversation) <= set()


async def test_redis_is_emptied_and_presence_is_rebuilt_silently(
    system: System, pair: Pair, keys: Keys
) -> None:
    anna, ben, conversation = pair
    async with await system.open(anna) as annas, await system.open(ben):
        await annas.expect("USER_ONLINE")
        await keys.empty()

        async def is_rebuilt() -> bool:
            users = await keys.users(conversation)
            return users == {str(anna), str(ben)} and await keys.status(ben) == "ONLINE"

        await until(is_rebuilt, 8, "status and membership are there again")
        assert len(annas.frames("USER_ONLINE")) == 1, "no news to anybody"
        assert annas.frames("USER_OFFLINE") == []


@pytest.mark.timeout(180)
async def test_the_users_of_a_dead_gateway_go_offline(system: System, pair: Pair) -> None:
    """Within 15 s, unless they are back on another one."""
    anna, ben, _ = pair
    carl = uuid4()
    await system.conversation(anna, carl)
    async with whole_house() as house:
        dying, other = gateway_urls(house)
        async with await system.open(anna, url=other) as annas:
            await system.open(ben, url=dying)
            await system.open(carl, url=dying)
            for user in (ben, carl):
                await annas.expect("USER_ONLINE", userId=str(user))
            pid = house.send("gateway-1", signal.SIGKILL)
            async with await system.open(carl, url=other):
                offline = await annas.expect("USER_OFFLINE", DEAD_S)
                assert offline["userId"] == str(ben)
                await house.came_back("gateway-1", since=pid)
            offline = await annas.expect("USER_OFFLINE", OFFLINE_S, userId=str(carl))
            assert len(annas.frames("USER_ONLINE")) == 2
    del pid


async def test_nobody_is_told_of_whom_they_have_no_conversation_with(
    system: System, pair: Pair
) -> None:
    anna, _, _ = pair
    sessions: list[Session] = []
    async with await system.open(anna) as annas:
        sessions += await asyncio.gather(*(system.open(uuid4()) for _ in range(3)))
        await system.conversation(anna, uuid4())
        await annas.expect("CONVERSATION_CREATED", after=1)
        assert annas.frames("USER_ONLINE") == []
        for session in sessions:
            await session.close()


_ = House
