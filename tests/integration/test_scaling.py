"""Scaling by count: users on different gateways, partitions that spread and move, nothing lost."""

import asyncio
import signal

from local.roles import PERSISTER, ROUTER
from tests.integration.conftest import System
from tests.integration.talking import (
    Chat,
    chats_everywhere,
    gateway_urls,
    go_on,
    hold_together,
    talking,
)
from tests.integration.watching import House

FLOW_S = 10.0
"""How long a conversation may stand still when its partition moves: the dead one's silence of
2 s, the other's look at the members, and this machine's load."""


async def test_users_on_two_gateways_chat(system: System, house: House) -> None:
    """Both directions, live and DELIVERED (promises 2, 3 and 5), without the edge."""
    urls = gateway_urls(house)
    assert len(urls) == 2
    before = [await house.metric(name, "chat_connections") for name in house.stack.gateway_ports()]
    chat = await Chat.begin(system, urls)
    after = [await house.metric(name, "chat_connections") for name in house.stack.gateway_ports()]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1]
    for who in (0, 1):
        sent = await chat.say(who)
        other = await chat.devices[1 - who].session()
        await other.expect("MESSAGE_RECEIVED", messageId=sent["messageId"], seq=sent["seq"])
        own = await chat.devices[who].session()
        await own.expect("MESSAGE_DELIVERED", messageId=sent["messageId"])
    await hold_together(system, house, [chat])
    await chat.close()


async def test_a_third_router_and_persister_join_die_and_leave_under_load(
    system: System, house: House
) -> None:
    """Shares follow at each step, every conversation goes on, and promises 1 to 4 hold."""
    async with chats_everywhere(system, gateway_urls(house), each=2) as chats:
        async with talking(chats):
            await go_on(chats, FLOW_S)
            added = await asyncio.gather(house.add(ROUTER), house.add(PERSISTER))
            try:
                await are_spread(house, [1, 1, 2])
                await go_on(chats, FLOW_S)
                killed = [house.send(program, signal.SIGKILL) for program in added]
                await go_on(chats, FLOW_S)
                for program, pid in zip(added, killed, strict=True):
                    await house.came_back(program, since=pid)
                await are_spread(house, [1, 1, 2])
                await go_on(chats, FLOW_S)
            finally:
                await asyncio.gather(*(house.remove(program) for program in added))
            await are_spread(house, [2, 2])
            await go_on(chats, FLOW_S)
        await hold_together(system, house, chats)


async def are_spread(house: House, shares: list[int]) -> None:
    for role in (ROUTER, PERSISTER):
        await house.is_spread_within(FLOW_S, role, shares)
