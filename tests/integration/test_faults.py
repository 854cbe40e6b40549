"""Processes die in the midst of a conversation; nothing acknowledged is lost, doubled, reordered."""

import asyncio
import os
import signal
from collections import defaultdict
from uuid import UUID, uuid4

import asyncpg
import pytest

from libs.client.device import Device
from local.stack import Stack
from tests.integration.conftest import System

USERS = 20
MESSAGES = 2_000
IN_FLIGHT = 4


@pytest.fixture(scope="session")
def stack() -> Stack:
    return Stack(os.environ["CHAT_STACK"])


@pytest.mark.timeout(300)
async def test_kill_a_router_a_persister_a_gateway_during_2000_messages(
    system: System, stack: Stack
) -> None:
    users = [uuid4() for _ in range(USERS)]
    pairs = [(users[i], users[i + 1]) for i in range(0, USERS, 2)]
    conversations = [await system.conversation(*pair) for pair in pairs]
    devices = {user: Device(lambda: system.socket_url, system.token(user)) for user in users}
    acknowledged: dict[UUID, list[tuple[int, str]]] = defaultdict(list)
    done = 0

    async def talk(user: UUID, conversation: UUID, share: int) -> None:
        nonlocal done
        for number in range(share):
            sent = await devices[user].send(conversation, f"{share} {number}")
            acknowledged[conversation].append((sent["seq"], sent["messageId"]))
            done += 1

    async def kill_at(progress: float, program: str) -> None:
        while done < MESSAGES * progress:
            await asyncio.sleep(0.005)
        await asyncio.to_thread(stack.signal, program, signal.SIGKILL)

    async with asyncio.TaskGroup() as tasks:
        for (anna, ben), conversation in zip(pairs, conversations, strict=True):
            for user in (anna, ben):
                for _ in range(IN_FLIGHT):
                    tasks.create_task(
                        talk(user, conversation, MESSAGES // USERS // IN_FLIGHT)
                    )
        for progress, program in ((0.2, "router-1"), (0.45, "persister-1"), (0.7, "gateway-1")):
            tasks.create_task(kill_at(progress, program))
    assert done == MESSAGES

    database = await asyncpg.connect(os.environ["CHAT_DATABASE_URL"])
    for (anna, ben), conversation in zip(pairs, conversations, strict=True):
        expected = sorted(acknowledged[conversation])
        assert len({seq for seq, _ in expected}) == len(expected), "a number given twice"
        for user in (anna, ben):
            history = await system.history(user, conversation)
            assert [(item["seq"], item["messageId"]) for item in history] == expected
        rows = await database.fetch(
            "select seq, id::text from messages where conversation_id = $1 order by seq",
            conversation,
        )
        assert [(row["seq"], row["id"]) for row in rows] == expected
        live = live_messages(devices[ben], conversation)
        assert live == sorted(live), "the live order is the log's"
        changes = await database.fetch(
            "select seq as n from messages where conversation_id = $1 "
            "union select changed_seq from messages where conversation_id = $1",
            conversation,
        )
        head = await database.fetchval(
            "select head from conversations where id = $1", conversation
        )
        assert max(row["n"] for row in changes) == head
    await database.close()
    for device in devices.values():
        await device.close()


def live_messages(device: Device, conversation: UUID) -> list[int]:
    """The numbers of the messages of others that a device got, in the order in which they came."""
    return [
        frame["seq"]
        for session in device.sessions
        for frame in session.frames("MESSAGE_RECEIVED")
        if frame["conversationId"] == str(conversation)
    ]
