"""What a router looks up to tell a dead one's reading again, in PostgreSQL."""

import asyncio
import os
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.common.domain.moment import milliseconds
from services.router.store import Store
from tests.integration.conftest import System
from tests.integration.watching import until

Pair = tuple[UUID, UUID, UUID]


async def test_what_was_read_at_a_moment_is_found(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with await system.open(anna) as annas, await system.open(ben) as bens:
        sent = [await annas.send_message(conversation, f"number {n}") for n in range(3)]
        first = await bens.mark_as_read(conversation, up_to_seq=sent[1]["seq"])
        await asyncio.sleep(0.002)  # the next one happens at another moment
        second = await bens.mark_as_read(conversation, up_to_seq=sent[2]["seq"])
    ids = [UUID(frame["messageId"]) for frame in sent]
    async with asyncpg.create_pool(os.environ["CHAT_DATABASE_URL"], min_size=0, max_size=1) as pool:
        store = Store(pool)

        async def found(frame: dict[str, str], reader: UUID) -> set[UUID]:
            moment = milliseconds(datetime.fromisoformat(frame["readAt"]))
            rows = await store.read_messages([(conversation, reader, moment)])
            assert {key for key, _ in rows} <= {conversation}
            return {message.message_id for _, message in rows}

        async def is_stored() -> bool:
            return await found(second, ben) == {ids[2]}

        await until(is_stored, 5, "the readings in PostgreSQL")
        assert await found(first, ben) == set(ids[:2])
        assert await found(first, anna) == set(), "nobody reads their own"
