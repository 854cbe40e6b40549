"""A gateway that stops or whose clients are old: who is sent away when, and that chat goes on."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from uuid import uuid4

import httpx
import pytest

from libs.client.session import SessionClosed
from libs.common.lifecycle import ended
from tests.bench.rates import fullest_second
from tests.integration.conftest import System
from tests.integration.own import own_gateway, own_rest
from tests.integration.talking import (
    Chat,
    chats_everywhere,
    go_on,
    hold_together,
    talking,
)
from tests.integration.watching import House, until

CLIENTS = 30
RATE = 10
"""CHAT_RECONNECTS_PER_SECOND, the least there is: a drain of CLIENTS takes over three seconds."""


# ------------------------------------------------------------------ SIGTERM


async def test_a_drain_sends_clients_away_slot_by_slot(system: System, house: House) -> None:
    async with own_gateway(house.stack, CHAT_RECONNECTS_PER_SECOND=str(RATE)) as gateway:
        await gateway.ready()
        sessions = [await system.open(uuid4(), url=gateway.url) for _ in range(CLIENTS)]
        gateway.process.send_signal(signal.SIGTERM)
        await until(gateway.is_stopping, 2, "unready long before the end")
        assert await gateway.probe("/livez") == "alive\n"
        assert not all(session.closed for session in sessions), "the drain takes a while"
        with pytest.raises(ConnectionRefusedError):
            await system.open(uuid4(), url=gateway.url)

        closes = await asyncio.gather(*(session.wait_closed() for session in sessions))
        assert {close.code for close in closes} == {1012}
        assert await asyncio.wait_for(gateway.process.wait(), 5) == 0
        assert fullest_second([session.back_at for session in sessions]) <= RATE
        last = max(session.back_at for session in sessions)
        assert last - min(session.back_at for session in sessions) > (CLIENTS - 1) / RATE - 0.5
        for session in sessions:
            told = session.received[-1]
            assert told.frame["type"] == "RECONNECT"
            assert told.frame["reason"] == "restarting"
            assert told.frame["afterMs"] <= 700, "it is not closed long before its slot"


async def test_the_bound_goes_before_the_rate(system: System, house: House) -> None:
    """Whoever were still there at the end would be cut off without a word."""
    settings = {"CHAT_RECONNECTS_PER_SECOND": str(RATE), "CHAT_DRAIN_S": "0.8"}
    async with own_gateway(house.stack, **settings) as gateway:
        await gateway.ready()
        sessions = [await system.open(uuid4(), url=gateway.url) for _ in range(CLIENTS)]
        began = perf_counter()
        gateway.process.send_signal(signal.SIGTERM)
        closes = await asyncio.gather(*(session.wait_closed() for session in sessions))
        assert {close.code for close in closes} == {1012}
        assert max(session.back_at for session in sessions) - began < 3, (
            "as slowly as the rate says"
        )
        assert await asyncio.wait_for(gateway.process.wait(), 5) == 0


async def test_sessions_go_on_until_their_wave(system: System, house: House) -> None:
    """Both sides on the gateway that drains; what is acknowledged until the end is kept."""
    async with own_gateway(house.stack, CHAT_RECONNECTS_PER_SECOND=str(RATE)) as gateway:
        await gateway.ready()
        urls = [gateway.url, gateway.url]
        chats = [await Chat.begin(system, urls) for _ in range(CLIENTS // 2)]
        gateway.process.send_signal(signal.SIGTERM)
        await until(gateway.is_stopping, 2, "the drain has begun")
        await asyncio.gather(*map(talk_until_sent_away, chats))
        # The first wave takes a few; all others have gone on.
        assert sum(bool(chat.acknowledged) for chat in chats) > len(chats) / 2
        for chat in chats:
            kept = [
                one["messageId"] for one in await system.history(chat.users[1], chat.conversation)
            ]
            said = [one["messageId"] for one in chat.acknowledged]
            assert kept[: len(said)] == said
            assert len(kept) <= len(said) + 1, "one more may have lost its answer"


async def talk_until_sent_away(chat: Chat) -> None:
    """Over its first sessions, whose end is awaited."""
    annas, bens = (device.sessions[0] for device in chat.devices)
    with suppress(SessionClosed):
        while True:
            number = len(chat.acknowledged)
            chat.acknowledged.append(await annas.send_message(chat.conversation, f"0 {number}"))
            await asyncio.sleep(0.02)
    assert (await bens.wait_closed()).code == 1012


async def test_every_gateway_is_restarted_under_load(system: System, house: House) -> None:
    """One after the other, through the edge: nothing that was acknowledged is lost."""
    async with chats_everywhere(system, each=2) as chats:
        async with talking(chats), returning(chats):
            await go_on(chats, 10)
            for program in sorted(house.stack.gateway_ports()):
                pid = house.send(program, signal.SIGTERM)
                await house.came_back(program, since=pid)
                await go_on(chats, 10)
        await hold_together(system, house, chats, live="some")
        closes = [
            session.closed.code
            for chat in chats
            for device in chat.devices
            for session in device.sessions
            if session.closed and session is not device.sessions[-1]
        ]
        assert set(closes) == {1012}, "nobody was dropped"
        assert len(closes) >= 2 * len(chats), "everybody was moved"


@asynccontextmanager
async def returning(chats: Sequence[Chat]) -> AsyncIterator[None]:
    """Devices come back by themselves, also those that only listen."""
    staying = [asyncio.create_task(one.stay()) for chat in chats for one in chat.devices]
    try:
        yield
    finally:
        await ended(*staying)


# ------------------------------------------------------------------ age


async def test_old_connections_are_sent_to_others(system: System, house: House) -> None:
    """Not all at once, although they began together; the gateway stays and takes them again."""
    async with own_gateway(house.stack, CHAT_MAX_CONNECTION_AGE_S="4") as gateway:
        await gateway.ready()
        began = perf_counter()
        sessions = [await system.open(uuid4(), url=gateway.url) for _ in range(CLIENTS)]
        closes = await asyncio.gather(*(session.wait_closed() for session in sessions))
        assert {close.code for close in closes} == {1012}
        ages = [session.received[-1].at - began for session in sessions]
        assert min(ages) >= 2, "younger than half of it"
        assert fullest_second(ages) < CLIENTS, "all at once"
        assert {one.received[-1].frame["reason"] for one in sessions} == {"rebalancing"}
        assert await gateway.is_ready()
        async with await system.open(uuid4(), url=gateway.url):
            pass


# ------------------------------------------------------------------ the REST API


async def test_rest_is_unready_while_it_answers_its_last_call(system: System, house: House) -> None:
    """A search that waits for PostgreSQL: it is answered, and meanwhile nobody sends another."""
    anna = uuid4()
    await system.conversation(anna, uuid4())
    async with own_rest(house.stack) as rest:
        await rest.ready()
        base, token = f"http://127.0.0.1:{rest.port}/api/chat", system.token(anna)
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
            async with house.database.transaction():
                await house.database.execute("lock table messages in access exclusive mode")
                call = asyncio.create_task(client.get(f"{base}/messages/search?q=x", timeout=20))
                await until(lambda: waits(house), 10, "the search waits")
                rest.process.send_signal(signal.SIGTERM)
                await until(rest.is_stopping, 5, "unready before the call is answered")
                assert not call.done()
            assert (await call).status_code == 200
        assert await asyncio.wait_for(rest.process.wait(), 10) == 0


async def waits(house: House) -> bool:
    """Whether anybody waits for our lock."""
    return bool(await house.database.fetchval("select count(*) from pg_locks where not granted"))
