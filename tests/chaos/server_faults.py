"""RabbitMQ, Redis and PostgreSQL die, stand still, forget, refuse, and are told nonsense."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from time import perf_counter
from uuid import UUID, uuid4

import aio_pika
import asyncpg
from aio_pika.exceptions import DeliveryError
from redis.asyncio import Redis
from uuid_utils.compat import uuid7

from libs.common.domain.partition import partition_of
from libs.common.protocol.codec import WRITES
from libs.common.protocol.writes import InsertMessage
from libs.common.topology import MATCH_CREATED, MATCHES_EXCHANGE, events, matches, signals, writes
from tests.chaos.alarm import memory_alarm
from tests.chaos.faults import Done, Fault, Party, Scene, Servers, Unexpected, become
from tests.integration.watching import PARTITIONS

RABBITMQ_S = 15.0
BACK_UP_S = 5.0
"""Targets: from RabbitMQ's death, and from when Redis or PostgreSQL answer again."""

ALARM_S = 5.0
STALL_S = 10.0
DEADLOCK_TRIES = 5
WAITED_S = 0.5
"""PostgreSQL looks for a deadlock after 1 s."""
CHATS_ON_S = 10.0
"""While PostgreSQL is away: within so many seconds messages flow in every partition."""


# ------------------------------------------------------------------ death and return


async def _killed(scene: Scene, server: str) -> str:
    """SIGKILL; supervisor starts it anew."""
    pid = scene.stack.pids().get(server)
    if pid is None:
        return f"{server} was away already"
    began = perf_counter()
    os.kill(pid, signal.SIGKILL)
    # What RabbitMQ's target counts; the others' is from when they answer.
    scene.lifted()

    async def is_another() -> bool:
        return scene.stack.pids().get(server, pid) != pid

    await become(is_another, 30, f"{server} is started again")
    await scene.servers.answers(server)
    if server != "rabbitmq":
        scene.lifted()
    return f"away for {perf_counter() - began:.1f} s"


async def _away(scene: Scene, server: str, seconds: float) -> str:
    """Stopped gracefully, started after a while."""
    began = perf_counter()
    async with scene.changing:
        try:
            await asyncio.to_thread(scene.stack.stop_program, server)
            if seconds:
                await _chats_on(scene, seconds)
        finally:
            scene.lifted()
            scene.stack.start_program(server)
    await scene.servers.answers(server)
    if server != "rabbitmq":
        scene.lifted()
    return f"away for {perf_counter() - began:.1f} s"


async def _chats_on(scene: Scene, seconds: float) -> None:
    """Users whose conversations are known chat on, early and late in the outage."""
    until = perf_counter() + seconds
    for since in (perf_counter(), until - min(CHATS_ON_S, seconds / 2)):
        await asyncio.sleep(max(0.0, since - perf_counter()))
        within_s = min(CHATS_ON_S, until - perf_counter())
        if scene.is_alone and await scene.flows(since, within_s) is None:
            raise Unexpected(f"no messages flow for {within_s:.0f} s while PostgreSQL is away")
    await asyncio.sleep(max(0.0, until - perf_counter()))


async def _stalled(scene: Scene, server: str, seconds: float) -> str:
    pid = scene.stack.pids().get(server)
    if pid is None:
        return f"{server} was away already"
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    scene.lifted()
    return f"for {seconds:.0f} s"


# ------------------------------------------------------------------ RabbitMQ


async def _memory_alarm(scene: Scene, random: Random) -> str:
    began = perf_counter()
    async with memory_alarm(scene.stack):
        await asyncio.sleep(ALARM_S)
    scene.lifted()
    return f"for {perf_counter() - began:.1f} s"


async def _router_consumer_cancelled(scene: Scene, random: Random) -> str:
    """The queue of a partition's signals is deleted, so that the broker cancels its consumer."""
    queue = signals(random.randrange(PARTITIONS)).name
    async with open_channel(scene.servers) as channel:
        await channel.queue_delete(queue)
    scene.lifted()

    async def is_consumed() -> bool:
        async with open_channel(scene.servers) as channel:
            with suppress(aio_pika.exceptions.ChannelNotFoundEntity):
                found = await channel.declare_queue(queue, passive=True)
                return bool(found.declaration_result.consumer_count)
        return False

    took = await become(is_consumed, 30, f"{queue} is there again with a consumer")
    return f"{queue}, consumed again after {took:.1f} s"


async def _gateway_consumer_cancelled(scene: Scene, random: Random) -> str:
    """The queue of a gateway's deliveries is deleted by the operator."""
    listed = await asyncio.to_thread(scene.stack.rabbitmqctl, "list_queues", "name")
    queues = sorted(q for q in listed.split() if q.startswith("chat.deliveries."))
    if not queues:
        return "there was none"
    queue = random.choice(queues)
    scene.hit.add("-".join(queue.removeprefix("chat.deliveries.").split("-")[:2]))
    await asyncio.to_thread(scene.stack.rabbitmqctl, "delete_queue", queue)
    scene.lifted()
    return queue


async def _matches_unbound(scene: Scene, random: Random) -> str:
    """A match announced meanwhile comes back to the match service, which announces it again."""
    match = {"matchId": str(uuid4()), "user1Id": str(uuid4()), "user2Id": str(uuid4())}
    body = aio_pika.Message(
        json.dumps(match).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT
    )
    async with open_channel(scene.servers) as channel:
        exchange = await channel.get_exchange(MATCHES_EXCHANGE, ensure=False)
        queue = await channel.get_queue(matches().name, ensure=False)
        await queue.unbind(exchange, MATCH_CREATED)
        try:
            with suppress(DeliveryError):
                await exchange.publish(body, routing_key=MATCH_CREATED)
                raise Unexpected("a match that no queue takes was confirmed")
        finally:
            await queue.bind(exchange, MATCH_CREATED)
        scene.lifted()
        await exchange.publish(body, routing_key=MATCH_CREATED)

    async def is_there() -> bool:
        async with open_database(scene.servers) as database:
            return bool(
                await database.fetchval(
                    "select 1 from conversations where match_id = $1", UUID(match["matchId"])
                )
            )

    if scene.is_alone:
        took = await become(is_there, 10, "a match announced again becomes a conversation")
        return f"a conversation {took:.1f} s after it was bound again"
    return ""


async def _poison_for_routers(scene: Scene, random: Random) -> str:
    queue = events(random.randrange(PARTITIONS)).name
    body = b"\xc1 no msgpack " + uuid4().bytes
    scene.explained.append(body)
    await _put(scene, queue, body)
    return queue


# ------------------------------------------------------------------ Redis


async def _emptied(scene: Scene, random: Random) -> str:
    async with Redis.from_url(scene.servers.redis) as redis:
        keys = await redis.dbsize()
        await redis.flushall()
    scene.lifted()
    return f"{keys} keys"


# ------------------------------------------------------------------ PostgreSQL


async def _row_refused(scene: Scene, random: Random) -> str:
    """Either PostgreSQL can't hold it, or its number is another message's."""
    party = random.choice(scene.parties)
    taken: int | None = None
    if random.random() < 0.5:
        async with open_database(scene.servers) as database:
            taken = await database.fetchval(
                "select max(seq) from messages where conversation_id = $1", party.conversation
            )
    write = InsertMessage(
        conversation_id=party.conversation,
        seq=taken or 2**40,
        message_id=uuid7(),
        sender_id=party.users[0],
        client_message_id=uuid4(),
        content="of a router that slept" if taken else "no text of PostgreSQL's: \0",
        created_at=int(time.time() * 1000),
    )
    scene.explained.append(WRITES.encode([write]))
    queue = writes(partition_of(party.conversation, PARTITIONS)).name
    await _put(scene, queue, WRITES.encode([write]))
    return f"{'number taken' if taken else 'U+0000'}, {queue}"


async def _deadlock(scene: Scene, random: Random) -> str:
    """We hold a conversation's row, which the persister locks last of all, and then ask for what
    it has just inserted: two wait for each other, and PostgreSQL ends one."""
    party = random.choice(scene.parties)
    async with open_database(scene.servers) as watcher, open_database(scene.servers) as database:
        for _ in range(DEADLOCK_TRIES):
            transaction = database.transaction()
            await transaction.start()
            try:
                ended = await _embrace(party, watcher, database)
            finally:
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await transaction.rollback()
            scene.lifted()
            if ended is not None:
                return f"PostgreSQL ended {ended}"
    raise Unexpected("no flush of a persister inserted a message")


async def _embrace(
    party: Party,
    watcher: "asyncpg.Connection[asyncpg.Record]",
    database: "asyncpg.Connection[asyncpg.Record]",
) -> str | None:
    """Whose transaction was ended; None: the persister had inserted nothing, only changed."""
    head = await database.fetchval(
        "select head from conversations where id = $1 for no key update", party.conversation
    )
    own = database.get_server_pid()

    async def persister_waits() -> bool:
        return bool(
            await watcher.fetchval(
                "select count(*) from pg_locks "
                "where not granted and $1 = any(pg_blocking_pids(pid))",
                own,
            )
        )

    await become(persister_waits, 10, "the persister waits for the conversation's row")
    began = perf_counter()
    try:
        await database.execute(
            "insert into messages (id, conversation_id, sender_id, content, status,"
            " created_at, seq, changed_seq) select gen_random_uuid(), $1, $2, 'deadlock',"
            " 'SENT', now(), seq, seq from generate_series($3::bigint, $3 + 20) seq",
            party.conversation,
            party.users[0],
            head + 1,
        )
    except asyncpg.DeadlockDetectedError:
        return "ours"
    # Where we had to wait, for one who waited for us, only PostgreSQL can have parted the two.
    return "the persister's" if perf_counter() - began > WAITED_S else None


# ------------------------------------------------------------------ reaching the servers


async def _put(scene: Scene, queue: str, body: bytes) -> None:
    message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    async with open_channel(scene.servers) as channel:
        await channel.default_exchange.publish(message, routing_key=queue)
    scene.lifted()


@asynccontextmanager
async def open_channel(servers: Servers) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    connection = await aio_pika.connect(servers.amqp)
    async with connection:
        yield await connection.channel(on_return_raises=True)


@asynccontextmanager
async def open_database(servers: Servers) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    database = await asyncpg.connect(servers.database)
    try:
        yield database
    finally:
        database.terminate()


def faults(*, is_short: bool) -> list[Fault]:
    outage_s = 6.0 if is_short else 60.0
    return [
        Done(
            "RabbitMQ killed", "everyone", RABBITMQ_S, lambda scene, _: _killed(scene, "rabbitmq")
        ),
        Done(
            "RabbitMQ restarted",
            "everyone",
            RABBITMQ_S,
            lambda scene, _: _away(scene, "rabbitmq", 0),
        ),
        Done("RabbitMQ memory alarm", "nobody", None, _memory_alarm),
        Done("router consumer cancelled", "nobody", None, _router_consumer_cancelled),
        Done("gateway consumer cancelled", "gateway", None, _gateway_consumer_cancelled),
        Done("matches unbound", "nobody", None, _matches_unbound),
        Done("poison for routers", "nobody", None, _poison_for_routers),
        Done("Redis emptied", "nobody", BACK_UP_S, _emptied),
        Done("Redis killed", "nobody", BACK_UP_S, lambda scene, _: _killed(scene, "redis")),
        Done(
            f"Redis stalled {STALL_S:.0f} s",
            "nobody",
            BACK_UP_S,
            lambda scene, _: _stalled(scene, "redis", STALL_S),
        ),
        Done("PostgreSQL killed", "nobody", BACK_UP_S, lambda scene, _: _killed(scene, "postgres")),
        Done(
            f"PostgreSQL away {outage_s:.0f} s",
            "nobody",
            BACK_UP_S,
            lambda scene, _: _away(scene, "postgres", outage_s),
        ),
        Done("PostgreSQL deadlock", "nobody", None, _deadlock),
        Done("PostgreSQL row refused", "nobody", None, _row_refused),
    ]
