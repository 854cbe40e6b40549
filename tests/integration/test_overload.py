"""A router that stands still: what comes beyond the backlog is refused, the rest is kept."""

import asyncio
import os
import signal
from uuid import UUID, uuid4

from libs.client.session import Frame, Refused, Session
from tests.integration.conftest import System
from tests.integration.talking import chats_everywhere, gateway_urls, hold_together
from tests.integration.watching import House, until

BACKLOG = int(os.environ.get("CHAT_BACKLOG", "500"))
FLOOD = BACKLOG + 100


async def test_beyond_the_backlog_of_a_silent_partition_429_and_nothing_accepted_is_lost(
    system: System, house: House
) -> None:
    """Promises 1, 4, 9 and 10."""
    async with chats_everywhere(system, gateway_urls(house)) as chats:
        stopped = int(await house.metric("router-1", "chat_partitions_owned"))
        router = house.send("router-1", signal.SIGSTOP)
        try:
            asked = {asyncio.create_task(chat.say(0)): chat for chat in chats}

            async def others_are_answered() -> bool:
                return sum(said.done() for said in asked) == len(chats) - stopped

            await until(others_are_answered, 10, "the other router answers")
            others = [chat for said, chat in asked.items() if said.done()]
            [flooded, *_] = [chat for chat in chats if chat not in others]
            flood = Flood(await flooded.devices[0].session(), flooded.conversation)
            await until(flood.is_decided, 10, "what has no room is refused")
            # The other partitions, on the same gateway, have room.
            for _ in range(3):
                await asyncio.wait_for(
                    asyncio.gather(*(chat.say(who) for chat in others for who in (0, 1))), 10
                )
        finally:
            os.kill(router, signal.SIGCONT)
        await asyncio.gather(*asked)
        accepted, refused = await flood.results()
        # One that waited before it, and perhaps one a second that asks whether the router is back.
        assert BACKLOG - 1 <= len(accepted) <= BACKLOG + 10
        for frame in refused.values():
            assert (frame["code"], frame["error"]) == (429, "OVERLOADED")
            assert frame["retryAfterMs"] > 0
        flooded.acknowledged += accepted
        await hold_together(system, house, chats)  # so what was refused has not appeared
        session = await flooded.devices[0].session()
        for client_id in refused:
            flooded.acknowledged.append(await flood.send(session, client_id))
        await hold_together(system, house, chats)


class Flood:
    """More from one user at once than may wait."""

    def __init__(self, session: Session, conversation: UUID) -> None:
        self._session = session
        self._conversation = conversation
        self._ids = [uuid4() for _ in range(FLOOD)]
        self._tries = [asyncio.create_task(self.send(session, one)) for one in self._ids]

    async def send(self, session: Session, client_id: UUID) -> Frame:
        return await session.send_message(self._conversation, f"2 {client_id}", client_id)

    async def is_decided(self) -> bool:
        """Whether as many were refused as have no room."""
        return sum(one.done() for one in self._tries) >= FLOOD - BACKLOG

    async def results(self) -> tuple[list[Frame], dict[UUID, Frame]]:
        """MESSAGE_SENT of the accepted; ERROR by clientMessageId."""
        accepted: list[Frame] = []
        refused: dict[UUID, Frame] = {}
        for client_id, one in zip(self._ids, self._tries, strict=True):
            try:
                accepted.append(await one)
            except Refused as error:
                refused[client_id] = error.frame
        return accepted, refused
