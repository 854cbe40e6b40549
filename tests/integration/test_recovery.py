"""Redis is emptied, a router sleeps, RabbitMQ dies: the chat goes on and nothing is lost."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import pytest
from redis.asyncio import Redis

from libs.client.session import Frame, Refused
from libs.common.domain.heads import WARM_MARK, is_warm
from libs.common.domain.partition import partition_of
from libs.common.domain.role import login_of
from libs.common.keys import GATEWAYS, HEADS, SEQ, UNREAD, WARM
from libs.common.topology import signals
from local.roles import GATEWAY, ROUTER, Role
from services.router.dead_gateways import SILENT_MS
from services.router.presence import LOOK_S
from tests.integration.conftest import System
from tests.integration.talking import (
    Chat,
    chats_everywhere,
    gateway_urls,
    go_on,
    hold_together,
    sent_away,
    talking,
)
from tests.integration.watching import PARTITIONS, House, until

AFTER_FLUSH_S = 2.0
LONG = 320
"""More messages than a router remembers of a conversation (256), and loads of it (64)."""
TAKEOVER_S = 25.0
"""RabbitMQ closes a silent connection after two heartbeats of 5 s; what users sent meanwhile is
then answered."""
SIGN_OF_LIFE = "evalsha"
"""The command by which a gateway gives it. Without, the sessions that it has go on."""
RESTART_S = 40.0
"""RabbitMQ starts in 6 s; then everyone connects again with pauses of up to 2 s."""


async def empty_redis() -> None:
    redis = Redis.from_url(os.environ["CHAT_REDIS_URL"])
    await redis.flushall()
    await redis.aclose()


@asynccontextmanager
async def forbidden(redis: Any, role: Role, command: str) -> AsyncIterator[None]:
    """A command that Redis refuses to all processes of this role."""
    await redis.execute_command("ACL", "SETUSER", login_of(role.name), f"-{command}")
    try:
        yield
    finally:
        await redis.execute_command("ACL", "SETUSER", login_of(role.name), f"+{command}")


def same(first: Frame, again: Frame) -> bool:
    return (first["messageId"], first["seq"]) == (again["messageId"], again["seq"])


async def send_as(chat: Chat, client_id: UUID) -> Frame:
    """Anna's first message, or the same once more."""
    session = await chat.devices[0].session()
    return await session.send_message(chat.conversation, "0 -1", client_id)


async def test_redis_is_emptied_in_the_midst_of_conversations(system: System, house: House) -> None:
    """Promise 8, with 4: all go on within 2 s, are read at once, and a repeated send is known."""
    async with chats_everywhere(system, gateway_urls(house), each=2) as chats:
        ids = [uuid4() for _ in chats]
        firsts = await asyncio.gather(*map(send_as, chats, ids))
        for chat, first in zip(chats, firsts, strict=True):
            chat.acknowledged.append(first)
        async with talking(chats):
            for _ in range(2):
                await go_on(chats, 10)
                acknowledged = [ids_of(chat.acknowledged) for chat in chats]
                await empty_redis()
                agains, histories, _ = await asyncio.gather(
                    asyncio.gather(*map(send_as, chats, ids)),
                    asyncio.gather(*(history(system, chat) for chat in chats)),
                    go_on(chats, AFTER_FLUSH_S),
                )
                assert all(map(same, firsts, agains))
                for known, read in zip(acknowledged, histories, strict=True):
                    assert known <= read, "acknowledged, but not in history"
        await hold_together(system, house, chats)  # all of it came live, too
        assert all(len(device.sessions) == 1 for chat in chats for device in chat.devices)


async def test_redis_is_emptied_and_warm_again_before_a_router_looks(
    system: System, house: House
) -> None:
    """Promise 8: no session is registered yet, and nothing is missing that would tell so."""
    async with chats_everywhere(system, gateway_urls(house)) as chats:
        await asyncio.gather(*(chat.say(who) for chat in chats for who in (0, 1)))
        async with Redis.from_url(os.environ["CHAT_REDIS_URL"]) as redis, redis.pipeline() as both:
            both.flushall()
            for partition in range(PARTITIONS):
                both.set(WARM(partition), b"of a standby" + WARM_MARK)
            await both.execute()
        await asyncio.gather(*(chat.say(who) for chat in chats for who in (0, 1)))
        await hold_together(system, house, chats)


def ids_of(messages: Iterable[Frame]) -> set[str]:
    return {message["messageId"] for message in messages}


async def history(system: System, chat: Chat) -> set[str]:
    return ids_of(await system.history(chat.users[1], chat.conversation))


async def test_an_old_send_is_repeated_when_nobody_remembers_it(
    system: System, house: House
) -> None:
    """Promise 4 at any time: out of memory, after a death, with an empty Redis."""
    chat = await Chat.begin(system)
    client_id = uuid4()
    first = await send_as(chat, client_id)
    chat.acknowledged.append(first)
    await asyncio.gather(*(chat.say(number % 2) for number in range(LONG)))
    assert same(first, await send_as(chat, client_id)), "among those that are not remembered"
    pids = {program: house.send(program, signal.SIGKILL) for program in house.programs(ROUTER)}
    await empty_redis()
    assert same(first, await send_as(chat, client_id)), "by a router that has just begun"
    for program, pid in pids.items():
        await house.came_back(program, since=pid)
    newest = max(frame["seq"] for frame in chat.acknowledged)
    assert (await chat.say(0))["seq"] > newest
    await hold_together(system, house, [chat], live="some")
    await chat.close()


async def test_redis_is_emptied_before_new_routers_have_decided_anything(
    system: System, house: House
) -> None:
    """Promise 8: it is warm again long before gateways have registered their sessions, and until
    then each of them is told. What is said first has nothing behind it."""
    async with (
        chats_everywhere(system, gateway_urls(house)) as chats,
        Redis.from_url(os.environ["CHAT_REDIS_URL"]) as redis,
    ):

        async def is_warm_again() -> bool:
            values: list[Any] = await redis.mget(
                [WARM(partition) for partition in range(PARTITIONS)]
            )
            return all(is_warm(value) for value in values)

        pids = {program: house.send(program, signal.SIGKILL) for program in house.programs(ROUTER)}
        for program, pid in pids.items():
            await house.came_back(program, since=pid)
        await until(lambda: house.is_spread(ROUTER, [2, 2]), TAKEOVER_S, "new workers everywhere")
        # By then each of them knows each gateway.
        for partition, url in itertools.product(range(PARTITIONS), gateway_urls(house)):
            somebody = next(
                one for one in iter(uuid4, None) if partition_of(one, PARTITIONS) == partition
            )
            await (await system.open(somebody, url=url)).close()
        # By a sign of life a gateway would see that Redis was emptied.
        async with forbidden(redis, GATEWAY, SIGN_OF_LIFE):
            await empty_redis()
            await until(is_warm_again, 10, "each partition is warm again")
            await asyncio.gather(*(chat.say(0) for chat in chats))
        await hold_together(system, house, chats)


async def test_every_router_dies_between_keeping_and_telling(system: System, house: House) -> None:
    """Promises 1 to 4: what is stored, but was told to nobody, is told later, and is the same."""
    async with (
        chats_everywhere(system, gateway_urls(house), each=2) as chats,
        Redis.from_url(os.environ["CHAT_REDIS_URL"]) as redis,
    ):
        # Here every router stands still after the confirmed write and before it tells anyone.
        async with asyncio.TaskGroup() as tasks, forbidden(redis, ROUTER, "hgetall"):
            for chat in chats:
                tasks.create_task(chat.say(0))
            await until(lambda: is_untold(house, chats), 5, "each partition keeps, can't tell")
            killed = {name: house.send(name, signal.SIGKILL) for name in house.programs(ROUTER)}
        for program, pid in killed.items():
            await house.came_back(program, since=pid)
        await asyncio.gather(*(chat.say(who) for chat in chats for who in (0, 1)))
        await hold_together(system, house, chats)


async def test_gateways_that_have_lost_redis_alone_are_not_held_dead(
    system: System, house: House
) -> None:
    """Promise 6: what is said while they are silent there reaches those who have a session, for
    nothing may follow by which a client would see that it has missed something."""
    async with (
        chats_everywhere(system, gateway_urls(house)) as chats,
        Redis.from_url(os.environ["CHAT_REDIS_URL"]) as redis,
    ):

        async def are_silent() -> bool:
            seconds, _ = await redis.time()
            least = (int(seconds) - 3 * LOOK_S) * 1000 - SILENT_MS
            return bool(await redis.zcount(GATEWAYS(), least, "+inf") == 0)

        async with forbidden(redis, GATEWAY, SIGN_OF_LIFE):
            await until(are_silent, 15, "routers have looked since they could be held dead")
            await asyncio.gather(*(chat.say(who) for chat in chats for who in (0, 1)))
        await hold_together(system, house, chats)


async def is_untold(house: House, chats: Sequence[Chat]) -> bool:
    """Whether in every partition some message is stored that was not acknowledged."""
    stuck: set[int] = set()
    for chat in chats:
        stored = await house.database.fetchval(
            "select count(*) from messages where conversation_id = $1", chat.conversation
        )
        if stored > len(chat.acknowledged):
            stuck.add(partition_of(chat.conversation, PARTITIONS))
    return len(stuck) == PARTITIONS


async def test_a_router_sleeps_until_its_partitions_have_moved_and_wakes(
    system: System, house: House
) -> None:
    """Promises 1, 3 and 4 against two owners at once: the other takes over, the woken one adds
    nothing of what it still held, and takes its share again."""
    async with chats_everywhere(system, gateway_urls(house), each=2) as chats:
        async with talking(chats):
            await go_on(chats, 10)
            pid = house.send("router-1", signal.SIGSTOP)
            try:
                await go_on(chats, TAKEOVER_S)
            finally:
                house.send("router-1", signal.SIGCONT)
            await go_on(chats, 10)
            await house.is_spread_within(15, ROUTER, [2, 2])
            await go_on(chats, 10)
        assert house.stack.pids()["router-1"] == pid, "it rejoined as it was"
        await hold_together(system, house, chats)


async def test_rabbitmq_dies_and_comes_back(system: System, house: House) -> None:
    """Clients get 1012 and come back; all that was acknowledged is there, once (promises 1, 4)."""
    async with chats_everywhere(system, each=2) as chats:
        async with talking(chats):
            await go_on(chats, 10)
            house.send("rabbitmq", signal.SIGKILL)
            for device in (device for chat in chats for device in chat.devices):
                await sent_away(device)
            await go_on(chats, RESTART_S)
        await hold_together(system, house, chats, live="some")


async def test_keys_of_a_wrong_type_stop_nobody(system: System, house: House) -> None:
    """Promise 9: a foreign hand in Redis costs what was in those keys, and nobody's chat."""
    async with (
        chats_everywhere(system, gateway_urls(house)) as chats,
        Redis.from_url(os.environ["CHAT_REDIS_URL"]) as redis,
    ):
        async with talking(chats):
            await go_on(chats, 10)
            for key in (HEADS, UNREAD):
                await redis.mset({key(user): "no hash" for chat in chats for user in chat.users})
            # At once: a router writes these keys all the time.
            spoiling = redis.pipeline(transaction=True)
            for chat in chats:
                spoiling.delete(SEQ(chat.conversation))
                spoiling.hset(SEQ(chat.conversation), "no", "string")
            await spoiling.execute()
            await go_on(chats, 2)
        await hold_together(system, house, chats)


async def test_deleted_queues_come_back(system: System, house: House) -> None:
    """Promise 9: a broker, or a hand, that takes queues away stops nobody for long, and closes no
    session."""
    async with chats_everywhere(system, gateway_urls(house)) as chats:
        async with talking(chats):
            await go_on(chats, 10)
            connection = await aio_pika.connect(os.environ["CHAT_AMQP_URL"])
            async with connection, connection.channel() as channel:
                for partition in range(PARTITIONS):
                    await channel.queue_delete(signals(partition).name)
            await go_on(chats, 10)
        await hold_together(system, house, chats)
        assert all(len(device.sessions) == 1 for chat in chats for device in chat.devices)
        for chat in chats:
            async with await system.open(chat.users[0]):
                pass  # CONNECT_SUCCESS has come, which needs that queue.


async def test_postgresql_dies_and_comes_back(system: System, house: House) -> None:
    """Promise 1: users chat on while it is away, and what they said is stored afterwards."""
    async with chats_everywhere(system, each=2) as chats:
        async with talking(chats):
            await go_on(chats, 10)
            house.send("postgres", signal.SIGKILL)
            await go_on(chats, 5)
            await house.connect_to_database(within_s=30)
        await hold_together(system, house, chats)


async def test_others_chat_on_while_one_needs_postgresql_and_it_is_away(
    system: System, house: House
) -> None:
    """Promise 9: in each partition somebody writes to a conversation that no router knows."""

    async def is_refused(chat: Chat, unknown: UUID) -> None:
        session = await chat.devices[0].session()
        # PostgreSQL is back well before the client gives up (ANSWER_S).
        with pytest.raises(Refused, match="CONVERSATION_NOT_FOUND"):
            await session.send_message(unknown, "anybody?")

    unknown = {partition_of(one, PARTITIONS): one for one in (uuid4() for _ in range(99))}
    async with chats_everywhere(system, each=2) as chats:
        async with talking(chats), asyncio.TaskGroup() as tasks:
            await go_on(chats, 10)
            await asyncio.to_thread(house.stack.stop_program, "postgres")
            try:
                refusals = [
                    tasks.create_task(is_refused(chat, conversation))
                    for chat, conversation in zip(chats, unknown.values(), strict=False)
                ]
                for _ in range(3):
                    await go_on(chats, 3)
                assert not any(refusal.done() for refusal in refusals)
            finally:
                await asyncio.to_thread(house.stack.start_program, "postgres")
            await house.connect_to_database(within_s=30)
            await asyncio.gather(*refusals)
        await hold_together(system, house, chats)
