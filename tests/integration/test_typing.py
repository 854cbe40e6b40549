"""Typing: live, by itself over, never in a durable queue; the table is fed beside it."""

import os
from uuid import UUID, uuid4

import aio_pika
import asyncpg

from tests.integration.conftest import System
from tests.integration.keys import open_keys
from tests.integration.watching import PARTITIONS, until

Pair = tuple[UUID, UUID, UUID]


async def test_typing_reaches_the_other_user_alone(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with (
        open_keys() as keys,
        await system.open(anna) as annas,
        await system.open(anna) as annas_other,
        await system.open(ben) as phone,
        await system.open(ben) as laptop,
    ):
        await annas.typing(conversation)
        for device in (phone, laptop):
            assert await device.expect("TYPING_START") == {
                "type": "TYPING_START",
                "conversationId": str(conversation),
                "userId": str(anna),
                "expiresInMs": 5000,
            }
        assert await keys.typing(conversation) == {str(anna)}
        assert 0 < await keys.ttl(f"typing:{conversation}") <= 5
        await annas.typing(conversation, is_typing=False)
        stopped = await phone.expect("TYPING_STOP")
        assert (stopped["userId"], stopped["expiresInMs"]) == (str(anna), 0)
        assert await keys.typing(conversation) == set()
        for device in (annas, annas_other):
            assert device.frames("TYPING_START") == device.frames("TYPING_STOP") == []


async def test_a_message_ends_it_and_time_does(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with (
        open_keys() as keys,
        await system.open(anna) as annas,
        await system.open(ben) as bens,
    ):
        await annas.typing(conversation)
        await bens.expect("TYPING_START")
        await annas.send_message(conversation, "here it is")
        stopped = await bens.expect("TYPING_STOP", userId=str(anna))
        kinds = [item.frame["type"] for item in bens.received]
        assert kinds.index("MESSAGE_RECEIVED") < kinds.index("TYPING_STOP"), stopped
        before = bens.count
        await annas.typing(conversation)
        await bens.expect("TYPING_START", after=before)

        async def is_over() -> bool:
            return await keys.ttl(f"typing:{conversation}") == -2

        await until(is_over, 8, "it ends by itself after 5 s")
        assert len(bens.frames("TYPING_STOP")) == 1, "the client knows by expiresInMs"


async def test_who_may_not_type(system: System, pair: Pair) -> None:
    anna, _, conversation = pair
    async with await system.open(uuid4()) as stranger, await system.open(anna) as annas:
        await stranger.typing(conversation)
        error = await stranger.expect("ERROR")
        assert (error["code"], error["error"]) == (403, "NOT_PARTICIPANT")
        assert error["ref"] == {"type": "TYPING_START", "conversationId": str(conversation)}
        await annas.typing(uuid4(), is_typing=False)
        assert (await annas.expect("ERROR"))["error"] == "CONVERSATION_NOT_FOUND"
        async with system.rest(anna) as rest:
            assert (await rest.delete(f"/conversations/{conversation}")).status_code == 204
        await annas.typing(conversation)
        assert await annas.expect("ERROR", error="CONVERSATION_ARCHIVED")


async def test_the_table_is_fed_and_no_durable_queue_is_touched(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    database = await asyncpg.connect(os.environ["CHAT_DATABASE_URL"])

    async def types() -> bool:
        found = await database.fetchval(
            "select started_at from typing_status where user_id = $1 and conversation_id = $2",
            anna,
            conversation,
        )
        return found is not None

    async def types_no_more() -> bool:
        return not await types()

    async with await system.open(anna) as annas, await system.open(ben) as bens:
        before = await confirmed(conversation)
        await annas.typing(conversation)
        await until(types, 5, "the row of who types")
        await annas.typing(conversation, is_typing=False)
        await bens.expect("TYPING_STOP")
        await until(types_no_more, 5, "the row is gone")
        assert await confirmed(conversation) == before
    await database.close()


async def confirmed(conversation: UUID) -> int:
    """Messages that the conversation's durable queues hold: none, when nothing is on its way."""
    del conversation
    connection = await aio_pika.connect(os.environ["CHAT_AMQP_URL"])
    async with connection, connection.channel() as channel:
        counts = 0
        for name in ("chat.events", "chat.writes"):
            for partition in range(PARTITIONS):
                queue = await channel.declare_queue(f"{name}.{partition}", passive=True)
                counts += queue.declaration_result.message_count or 0
    return counts
