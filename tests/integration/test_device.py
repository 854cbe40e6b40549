"""The Python client against the real service: what tests/web/gateway.test.js asks of the other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest

from libs.client.attending import TokenSource
from libs.client.device import Device
from libs.client.session import Refused, SessionClosed
from tests.integration.conftest import System

Pair = tuple[UUID, UUID, UUID]
WITHIN_S = 20.0


@asynccontextmanager
async def staying(system: System, token: TokenSource, **options: Any) -> AsyncIterator[Device]:
    """A device that comes back whenever it must, until the end of the block."""
    device = Device(lambda: system.socket_url, token, keeps_all=True, **options)
    await device.session()
    task = asyncio.create_task(device.stay())
    try:
        async with asyncio.timeout(WITHIN_S):
            yield device
    finally:
        task.cancel()
        await asyncio.wait([task])
        await device.close()


async def contents(system: System, user: UUID, conversation: UUID) -> list[object]:
    return [message["content"] for message in await system.history(user, conversation)]


async def test_50_sends_over_a_line_that_breaks_again_and_again(system: System, pair: Pair) -> None:
    """Nothing is lost, doubled or out of order."""
    anna, ben, conversation = pair
    wanted = [f"message {number}" for number in range(50)]
    async with staying(system, system.tokens(anna)) as device:

        async def send(content: str) -> None:
            await device.send(conversation, content)
            if int(content.split()[1]) % 10 == 5:
                await device.sessions[-1].abort()  # with the next one on its way

        await asyncio.gather(*map(send, wanted))
        assert len(device.sessions) == 6
    assert await contents(system, ben, conversation) == wanted


async def test_what_was_said_meanwhile_comes_by_sync(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    bens = Device(lambda: system.socket_url, system.tokens(ben))
    bens.follow(conversation, 1)
    async with asyncio.timeout(WITHIN_S), await system.open(anna) as annas:
        live = await bens.session()
        await annas.send_message(conversation, "live")
        await live.expect("MESSAGE_RECEIVED", content="live")
        await bens.close()
        sent = [await annas.send_message(conversation, f"away {number}") for number in range(3)]
        result = await (await bens.session()).expect("SYNC_RESULT")
        missed = {message["messageId"] for message in result["messages"]}
        assert {frame["messageId"] for frame in sent} <= missed
        assert bens.known(conversation) >= sent[-1]["seq"]
        assert not live.frames("SYNC_RESULT"), "nothing was missing then"
        await bens.close()


async def test_a_short_token_is_refreshed_and_the_session_goes_on(
    system: System, pair: Pair
) -> None:
    async with staying(system, tokens_of(system, pair[0], lambda _: 4)) as device:
        [session] = device.sessions
        await session.expect("TOKEN_REFRESHED")
        await session.expect("TOKEN_REFRESHED", after=session.count)
        assert device.sessions == [session]


async def test_a_handshake_with_a_token_that_has_ended_gets_a_fresh_one(
    system: System, pair: Pair
) -> None:
    token = tokens_of(system, pair[0], lambda fresh: 600 if fresh else -600)
    async with staying(system, token) as device:
        assert (await device.send(pair[2], "hi"))["seq"] == 2


async def test_a_token_that_nobody_accepts_is_an_error_and_not_a_wait(system: System) -> None:
    device = Device(lambda: system.socket_url, tokens_of(system, uuid4(), lambda _: -600))
    with pytest.raises(SessionClosed, match="401"):
        await asyncio.wait_for(device.session(), WITHIN_S)


async def test_what_is_refused_for_good_holds_up_nobody(system: System, pair: Pair) -> None:
    anna, _, conversation = pair
    foreign = await system.conversation(uuid4(), uuid4())
    async with staying(system, system.tokens(anna)) as device:
        refused = asyncio.create_task(device.send(foreign, "not mine"))
        assert (await device.send(conversation, "mine"))["seq"] == 2
        with pytest.raises(Refused, match="NOT_PARTICIPANT"):
            await refused


def tokens_of(system: System, user: UUID, lasts_s: Callable[[bool], float]) -> TokenSource:
    async def token(*, fresh: bool) -> str:
        return system.token(user, lasts_s=lasts_s(fresh))

    return token
