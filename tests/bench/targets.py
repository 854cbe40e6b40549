"""What the service description demands in milliseconds, measured one kind after the other.

`python -m tests.bench.targets` reads a `Plan` as JSON from standard input and prints `Figure`s,
one JSON object a line. The system is otherwise idle: latencies under load are the generator's.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Final
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import uvloop
from uuid_utils.compat import uuid7

from libs.common.domain.partition import id_beside, partition_of
from libs.common.protocol.codec import WRITES
from libs.common.protocol.writes import Entry, InsertConversation, InsertMessage
from libs.common.topology import writes
from tests.bench.connection import Connection
from tests.bench.generator import percentiles, token
from tests.bench.publishing import publishing
from tests.integration.watching import until

OPENERS: Final = 50
CONNECTIONS: Final = 400
READS: Final = 200
TYPING: Final = 300
SEARCHED: Final = 100_000
"""Messages of the one user who searches."""
CONVERSATIONS: Final = 200
WORDS: Final = 5_000
BATCH: Final = 1_000
YEAR_MS: Final = 365 * 86_400_000
PAUSE_MS: Final = 37 * 60_000
"""What was said beforehand was said in the course of the last year."""
WITHIN_S: Final = 120.0

now = time.perf_counter


class Plan(msgspec.Struct):
    """Where the system is."""

    port: int
    secret: str
    amqp_url: str
    database_url: str
    partitions: int


class Figure(msgspec.Struct):
    """One line of the table; `ms` are p50, p95, p99 and maximum."""

    name: str
    count: int
    ms: list[float]
    target_p95_ms: float | None = None
    note: str = ""


def tell(
    name: str, seconds: Sequence[float], target_ms: float | None = None, note: str = ""
) -> None:
    figure = Figure(name, len(seconds), percentiles(list(seconds)), target_ms, note)
    print(msgspec.json.encode(figure).decode(), flush=True)


async def run(plan: Plan) -> None:
    await connection_set_up(plan)
    await conversations_of_who_connects(plan)
    await typing(plan)
    await history(plan)
    await search(plan)


# ---------------------------------------------------------------- connections


async def connection_set_up(plan: Plan) -> None:
    """From the TCP connection to CONNECT_SUCCESS, through the edge, with 50 openers."""
    gate = asyncio.Semaphore(OPENERS)
    connections: list[Connection] = []

    async def one() -> float:
        async with gate:
            connection, seconds = await connect(plan, uuid4())
        connections.append(connection)
        return seconds

    began = now()
    seconds = await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    rate = CONNECTIONS / (now() - began)
    tell("connection set-up", seconds, 200, f"{OPENERS} openers, {rate:,.0f} connections/s")
    for connection in connections:
        connection.close()


async def connect(
    plan: Plan, user: UUID, on_text: Callable[[bytes], None] = lambda _: None
) -> tuple[Connection, float]:
    """The open connection, and how long it took."""
    connection = Connection("127.0.0.1", token(plan.secret, user), on_text)
    began = now()
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: connection, "127.0.0.1", plan.port)
    await asyncio.wait_for(connection.ready, WITHIN_S)
    return connection, now() - began


async def conversations_of_who_connects(plan: Plan) -> None:
    """Presence concerns every conversation of who connects; connecting must not wait for it."""
    few, many = [uuid4() for _ in range(10)], [uuid4() for _ in range(10)]
    for users, count in ((few, 5), (many, 500)):
        await store(plan, [row for user in users for row in born(plan, user, count)])
    for user in (*few, *many):  # Redis is filled from PostgreSQL at the first time
        (await connect(plan, user))[0].close()
    took: dict[int, list[float]] = {5: [], 500: []}
    for one, other in islice(cycle(zip(few, many, strict=True)), 50):
        for count, user in ((5, one), (500, other)):
            connection, seconds = await connect(plan, user)
            took[count].append(seconds)
            connection.close()
    for count, seconds_each in took.items():
        tell(f"connecting with {count} conversations", seconds_each, note="one at a time")


# ---------------------------------------------------------------- typing


async def typing(plan: Plan) -> None:
    """TYPING_START from one user's socket to the other's, 50 a second over ten pairs."""
    arrivals: asyncio.Queue[float] = asyncio.Queue()

    def on_text(text: bytes) -> None:
        if b'"TYPING_START"' in text:
            arrivals.put_nowait(now())

    pairs: list[tuple[Connection, Connection, UUID]] = []
    for _ in range(10):
        anna, ben = uuid4(), uuid4()
        conversation = await post_conversation(plan, anna, ben)
        bens, _ = await connect(plan, ben, on_text)
        annas, _ = await connect(plan, anna)
        pairs.append((annas, bens, conversation))
    took: list[float] = []
    for annas, _, conversation in islice(cycle(pairs), TYPING):
        began = now()
        annas.send(b'{"type":"TYPING_START","conversationId":"%s"}' % str(conversation).encode())
        took.append(await asyncio.wait_for(arrivals.get(), WITHIN_S) - began)
        await asyncio.sleep(0.02)
    tell("typing", took, 50)
    for annas, bens, _ in pairs:
        annas.close()
        bens.close()


async def post_conversation(plan: Plan, user1: UUID, user2: UUID) -> UUID:
    body = {"matchId": str(uuid4()), "user1Id": str(user1), "user2Id": str(user2)}
    async with rest(plan, uuid4(), scope="service") as service:
        response = await service.post("/conversations", json=body)
    response.raise_for_status()
    return UUID(response.json()["conversationId"])


# ---------------------------------------------------------------- reading


async def history(plan: Plan) -> None:
    """A page of 100 messages from PostgreSQL; one of 50, which Redis may hold."""
    anna, ben = uuid4(), uuid4()
    conversation = new_conversation(plan, anna, ben)
    rows: list[Entry] = [conversation]
    rows += (said(conversation, seq, anna, f"message {seq} " + "x" * 90) for seq in range(2, 1_002))
    await store(plan, rows)
    path = f"/conversations/{conversation.conversation_id}/messages"
    async with rest(plan, ben) as client:
        hundred = await timed_reads(client, [f"{path}?limit=100&before=1002"])
        fifty = await timed_reads(client, [f"{path}?limit=50"])
    tell("history of 100 messages", hundred, 500, "from PostgreSQL")
    tell("history of 50 messages", fifty, None, "newest, from the cache")


async def search(plan: Plan) -> None:
    """Rare, common, parts of words, phrases and Chinese, over 100,000 messages of one user."""
    anna = uuid4()
    words = [f"w{number:x}{number * 7919 % WORDS:x}" for number in range(WORDS)]
    rows: list[Entry] = []
    for number in range(CONVERSATIONS):
        conversation = new_conversation(plan, anna, uuid4())
        rows.append(conversation)
        for seq in range(2, 2 + SEARCHED // CONVERSATIONS):
            chosen = (words[(number * 31 + seq * k * 17) % WORDS] for k in range(1, 16))
            text = f"common {' '.join(chosen)} 你好世界" if seq % 10 == 0 else " ".join(chosen)
            rows.append(said(conversation, seq, anna, text))
    await store(plan, rows)
    queries = [
        *words[::50],
        *(word[1:5] for word in words[25::250]),
        "common",
        "你好",
        '"你好世界"',
    ]
    queries = [f"/messages/search?limit=50&q={query}" for query in queries]
    async with rest(plan, anna) as client:
        first = await timed_reads(client, ["/messages/search?q=nowhere"], 1)
        tell("search, the first of all", first, None, "reads 100,000 messages as they are")
        await indexed(plan, anna)
        took = await timed_reads(client, queries)
    tell("search", took, 50, "100,000 messages of one user")


async def indexed(plan: Plan, user: UUID) -> None:
    """Waits until the persister has indexed what the first search has asked for."""
    database = await asyncpg.connect(plan.database_url)

    async def is_indexed() -> bool:
        return not await database.fetchval(
            "select exists (select from conversations where user1_id = $1 and indexed_seq < head)",
            user,
        )

    await until(is_indexed, WITHIN_S, "the messages are indexed")
    await database.close()


async def timed_reads(
    client: httpx.AsyncClient, paths: Sequence[str], count: int = READS
) -> list[float]:
    took: list[float] = []
    for path in islice(cycle(paths), count):
        began = now()
        response = await client.get(path)
        took.append(now() - began)
        response.raise_for_status()
    return took


# ---------------------------------------------------------------- what is there beforehand


def rest(plan: Plan, user: UUID, **claims: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{plan.port}/api/chat",
        headers={"Authorization": f"Bearer {token(plan.secret, user, **claims)}"},
        timeout=60,
    )


def new_conversation(plan: Plan, user1: UUID, user2: UUID) -> InsertConversation:
    match_id = uuid4()
    conversation_id = id_beside(match_id, uuid7, plan.partitions)
    at = time.time_ns() // 1_000_000 - YEAR_MS
    return InsertConversation(conversation_id, 1, match_id, user1, user2, at)


def born(plan: Plan, user: UUID, count: int) -> list[Entry]:
    return [new_conversation(plan, user, uuid4()) for _ in range(count)]


def said(conversation: InsertConversation, seq: int, sender: UUID, content: str) -> InsertMessage:
    return InsertMessage(
        conversation.conversation_id, seq, uuid7(), sender, uuid4(), content,
        conversation.created_at + seq * PAUSE_MS,
    )  # fmt: skip


async def store(plan: Plan, rows: Sequence[Entry]) -> None:
    """By the persister, as a router would; returns when all is stored."""
    by_partition: dict[int, list[Entry]] = {}
    for row in rows:
        partition = partition_of(row.conversation_id, plan.partitions)
        by_partition.setdefault(partition, []).append(row)
    async with publishing(plan.amqp_url) as publish:
        for partition, theirs in by_partition.items():
            for start in range(0, len(theirs), BATCH):
                body = WRITES.encode(theirs[start : start + BATCH])
                await publish(writes(partition).name, body)
    heads = {row.conversation_id: row.seq for row in rows}
    database = await asyncpg.connect(plan.database_url)

    async def all_stored() -> bool:
        count = await database.fetchval(
            "select count(*) from conversations as c "
            "join unnest($1::uuid[], $2::bigint[]) as t (id, head) using (id) "
            "where c.head >= t.head",
            list(heads),
            list(heads.values()),
        )
        return bool(count == len(heads))

    await until(all_stored, WITHIN_S, "all rows are stored")
    await database.close()


if __name__ == "__main__":
    uvloop.run(run(msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)))
