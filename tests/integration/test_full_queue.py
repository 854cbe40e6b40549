"""A gateway that reads nothing while its queue fills up: what is refused then, its clients find."""

import signal
from uuid import UUID, uuid4

import aio_pika
from aio_pika.exceptions import DeliveryError
from redis.asyncio import Redis

from libs.common.domain.partition import partition_of
from libs.common.keys import SESSIONS
from libs.common.protocol.codec import DELIVERIES
from libs.common.protocol.deliveries import Note
from libs.common.topology import deliveries
from local.roles import ROUTER
from tests.integration.conftest import System
from tests.integration.talking import Chat, chats_everywhere, gateway_urls, sent_away
from tests.integration.watching import PARTITIONS, House, until

STRANGERS = DELIVERIES.encode([Note(uuid4(), b"x" * 4096)])
"""As long as that, sockets' buffers hold few."""
AT_ONCE = 2_000
MOST = 40_000
"""The queue takes 10,000, buffers on the way some thousand more."""


async def fill(house: House, queue: str) -> None:
    """Until it refuses."""
    connection = await aio_pika.connect(house.variables["CHAT_AMQP_URL"])
    async with connection:
        quick = await connection.channel(publisher_confirms=False)
        asking = await connection.channel(on_return_raises=True)
        for _ in range(MOST // AT_ONCE):
            for _ in range(AT_ONCE):
                await quick.default_exchange.publish(aio_pika.Message(STRANGERS), queue)
            try:
                await asking.default_exchange.publish(aio_pika.Message(STRANGERS), queue)
            except DeliveryError:
                return
    raise AssertionError(f"{queue} took {MOST}")


async def gateway_of(house: House, user_id: UUID) -> str:
    async with Redis.from_url(house.variables["CHAT_REDIS_URL"], decode_responses=True) as redis:
        [gateway_id] = await redis.hvals(SESSIONS(user_id))
    return str(gateway_id)


async def found(chat: Chat, message_id: str) -> bool:
    """Whether Ben's client has it, by SYNC."""
    return any(
        message["messageId"] == message_id
        for session in chat.devices[1].sessions
        for result in session.frames("SYNC_RESULT")
        for message in result["messages"]
    )


async def test_what_a_full_queue_refused_is_found_though_nothing_follows_it(
    system: System, house: House
) -> None:
    """Promise 6: Ben's conversation stays silent afterwards, so no gap in it tells him. What comes
    for another user of his gateway does: all of its clients are sent away and look."""
    async with chats_everywhere(system, gateway_urls(house), each=2) as chats:
        silent, other = (chat for chat in chats if partition_of(chat.conversation, PARTITIONS) == 0)
        ben = silent.devices[1]
        ben.follow(silent.conversation, 1)
        queue = deliveries(await gateway_of(house, silent.users[1])).name
        dropped = await house.total(ROUTER, "chat_unroutable_total")
        house.send("gateway-2", signal.SIGSTOP)
        try:
            await fill(house, queue)
            missed = await silent.say(0)

            async def is_dropped() -> bool:
                return await house.total(ROUTER, "chat_unroutable_total") > dropped

            await until(is_dropped, 5, "a delivery refused")
        finally:
            house.send("gateway-2", signal.SIGCONT)

        async def came() -> bool:
            await other.say(0)
            return bool(other.devices[1].sessions[0].frames("RECONNECT"))

        await until(came, 10, "a RECONNECT once the queue takes something again")
        for chat in (silent, other):
            assert (await sent_away(chat.devices[1]))["reason"] == "recovering"
        await ben.session()
        await until(lambda: found(silent, missed["messageId"]), 15, "the message that was refused")
        assert silent.live(1) == []
