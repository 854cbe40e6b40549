"""Processes die in the midst of conversations: nothing acknowledged is lost, doubled, reordered."""

import asyncio
import os
import signal
from collections import defaultdict
from uuid import UUID, uuid4

import asyncpg
import pytest

from libs.client.device import Device
from libs.client.session import Session
from local.stack import Stack
from tests.integration.conftest import System

USERS = 20
MESSAGES = 2_000
IN_FLIGHT = 4
PAUSE_MOST_S = 2.0
"""Between two connects: how soon the service is back is what is tested."""
KILLS = ((0.2, "router-1"), (0.45, "persister-1"), (0.7, "gateway-1"))
"""At which part of the messages which process gets SIGKILL."""

Sent = tuple[int, str]
"""seq and messageId of an acknowledged message."""


class Talk:
    """Pairs of users who all send at once, several messages of each in flight."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.pairs: dict[UUID, tuple[UUID, UUID]] = {}
        self.devices: dict[UUID, Device] = {}
        self.acknowledged: defaultdict[UUID, list[Sent]] = defaultdict(list)
        self._done = 0
        self._marks = {round(MESSAGES * part): asyncio.Event() for part, _ in KILLS}

    async def begin(self) -> None:
        for _ in range(USERS // 2):
            anna, ben = uuid4(), uuid4()
            self.pairs[await self.system.conversation(anna, ben)] = (anna, ben)
            for user in (anna, ben):
                tokens = self.system.tokens(user)
                self.devices[user] = Device(
                    lambda: self.system.socket_url,
                    tokens,
                    pause_most_s=PAUSE_MOST_S,
                    keeps_all=True,
                )

    async def run(self, stack: Stack) -> None:
        async with asyncio.TaskGroup() as tasks:
            for conversation, pair in self.pairs.items():
                for user in pair * IN_FLIGHT:
                    tasks.create_task(self._send(user, conversation))
            for part, program in KILLS:
                tasks.create_task(self._kill(round(MESSAGES * part), stack, program))

    async def _send(self, user: UUID, conversation: UUID) -> None:
        for number in range(MESSAGES // USERS // IN_FLIGHT):
            sent = await self.devices[user].send(conversation, f"number {number}")
            self.acknowledged[conversation].append((sent["seq"], sent["messageId"]))
            self._done += 1
            if self._done in self._marks:
                self._marks[self._done].set()

    async def _kill(self, at: int, stack: Stack, program: str) -> None:
        await self._marks[at].wait()
        await asyncio.to_thread(stack.signal, program, signal.SIGKILL)

    async def end(self) -> None:
        for device in self.devices.values():
            await device.close()


@pytest.mark.timeout(240)
async def test_a_router_a_persister_and_a_gateway_killed_during_2000_messages(
    system: System,
) -> None:
    talk = Talk(system)
    await talk.begin()
    await talk.run(Stack(os.environ["CHAT_STACK"]))
    database = await asyncpg.connect(os.environ["CHAT_DATABASE_URL"])
    for conversation, pair in talk.pairs.items():
        expected = sorted(talk.acknowledged[conversation])
        assert len({seq for seq, _ in expected}) == len(expected), "a number given twice"
        assert len({message_id for _, message_id in expected}) == len(expected)
        for user in pair:
            history = await system.history(user, conversation)
            assert [(item["seq"], item["messageId"]) for item in history] == expected
            # By session: a router that died may have told one what its successor tells the next.
            for session in talk.devices[user].sessions:
                live = live_messages(session, conversation)
                assert live == sorted(set(live)), "the live order is the log's, each entry once"
                assert set(live) <= set(expected), "told again it is the same message"
        await expect_stored(database, conversation, expected)
    await database.close()
    await talk.end()


def live_messages(session: Session, conversation: UUID) -> list[Sent]:
    """The other user's messages, in the order in which a session got them."""
    return [
        (frame["seq"], frame["messageId"])
        for frame in session.frames("MESSAGE_RECEIVED")
        if frame["conversationId"] == str(conversation)
    ]


async def expect_stored(
    database: "asyncpg.Connection[asyncpg.Record]", conversation: UUID, expected: list[Sent]
) -> None:
    """Just these rows, and a log without a gap: each number is the creation's (1), a message's,
    or a DELIVERED's."""
    async with database.transaction(isolation="repeatable_read"):
        rows = await database.fetch(
            "select seq, id::text, changed_seq from messages "
            "where conversation_id = $1 order by seq",
            conversation,
        )
        head = await database.fetchval("select head from conversations where id = $1", conversation)
    assert [(row["seq"], row["id"]) for row in rows] == expected
    entries = {1, *(row["seq"] for row in rows), *(row["changed_seq"] for row in rows)}
    assert entries == set(range(1, head + 1))
