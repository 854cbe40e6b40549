"""The load, in a process of its own: pairs of users whose one sends and whose other receives.

`python -m tests.bench.generator` reads a `Plan` as JSON from standard input and prints a line
when it starts to measure, a line when it has, and a `Result` as JSON.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from random import randrange
from typing import Final
from uuid import UUID, uuid4

import httpx
import jwt
import msgspec
import uvloop

from tests.bench.connection import Connection

now = time.perf_counter
PADDING: Final = (
    b"a one to one chat message that is padded to a hundred bytes in all, as the peers'"
)
BODY: Final = (
    b'{"type":"SEND_MESSAGE","conversationId":"%s",'
    b'"clientMessageId":"00000000-0000-4000-8000-%012x","content":"%012x %s"}'
)
OPENERS: Final = 20
CONNECT_S: Final = 20.0


class SeededPair(msgspec.Struct):
    """Users who are there already, and the sender's conversations, which it takes in turn.

    All of these are with receivers of the plan's other pairs.
    """

    sender: UUID
    receiver: UUID
    conversations: list[UUID]


class Plan(msgspec.Struct):
    """What to do. `rate` in messages/s over all; 0 for a closed loop of `window` a sender."""

    host: str
    port: int
    secret: str
    pairs: int = 100
    window: int = 8
    rate: float = 0.0
    warm_s: float = 3.0
    measured_s: float = 15.0
    seeded: list[SeededPair] = []
    """In place of new users: as many as `pairs`."""


class Result(msgspec.Struct):
    """Times in milliseconds; `*_ms` are p50, p95, p99 and maximum."""

    seconds: float
    received: int
    delivery_ms: list[float]
    acknowledged_ms: list[float]
    sent_in_all: int
    received_in_all: int
    acknowledged_in_all: int
    delivered_in_all: int
    errors: list[str]
    generator_cpu_s: float


class Load:
    """Counts what comes back, and sends."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sent = self.received = self.acknowledged = self.delivered = 0
        self.errors: list[str] = []
        self.closed_loop = False
        self.measuring = False
        self.delivery: list[float] = []
        self.acknowledgement: list[float] = []
        self.senders: list[Connection] = []
        self.conversations: list[Iterator[bytes]] = []
        """Of each sender, in turn and for ever."""
        # Seeded senders come again in the next run; what they sent in this one must not.
        self._first = randrange(1 << 12) << 20
        self._started: dict[int, float] = {}
        self._unanswered: dict[int, float] = {}

    def shoot(self, sender: int) -> None:
        number = self._first + self.sent
        self.sent += 1
        self._started[number] = self._unanswered[number] = now()
        # The number carries the sender, so that whoever receives it can make that one go on.
        code = number << 16 | sender
        conversation = next(self.conversations[sender])
        self.senders[sender].send(BODY % (conversation, code, code, PADDING))

    def on_sender_text(self, text: bytes) -> None:
        if b'"MESSAGE_SENT"' in text:
            self.acknowledged += 1
            at = text.index(b"00000000-0000-4000-8000-") + 24
            started = self._unanswered.pop(int(text[at : at + 12], 16) >> 16)
            if self.measuring:
                self.acknowledgement.append(now() - started)
        elif b'"MESSAGE_DELIVERED"' in text:
            self.delivered += (
                text.count(b'"', text.index(b'"messageIds"'), text.index(b"]")) // 2 - 1
            )
        elif b'"ERROR"' in text:
            self.errors.append(text[:300].decode())

    def on_receiver_text(self, text: bytes) -> None:
        at = text.find(b'"content":"')
        if at < 0:
            return
        code = int(text[at + 11 : at + 23], 16)
        self.received += 1
        took = now() - self._started.pop(code >> 16)
        if self.measuring:
            self.delivery.append(took)
        if self.closed_loop:
            self.shoot(code & 0xFFFF)


async def run(plan: Plan) -> Result:
    """Raises what connecting raises."""
    load = Load(plan)
    connections = await _connect(load)
    gc.collect()
    gc.freeze()
    pacing = asyncio.create_task(_pace(load)) if plan.rate else None
    if pacing is None:
        load.closed_loop = True
        for sender in range(plan.pairs):
            for _ in range(plan.window):
                load.shoot(sender)
    await asyncio.sleep(plan.warm_s)
    print("measuring", flush=True)
    began, received, cpu = now(), load.received, time.process_time()
    load.measuring = True
    await asyncio.sleep(plan.measured_s)
    load.measuring = False
    seconds, received = now() - began, load.received - received
    cpu = time.process_time() - cpu
    print("measured", flush=True)
    load.closed_loop = False
    if pacing:
        pacing.cancel()
    await _settle(load)
    for connection in connections:
        connection.close()
    return Result(
        seconds=seconds,
        received=received,
        delivery_ms=percentiles(load.delivery),
        acknowledged_ms=percentiles(load.acknowledgement),
        sent_in_all=load.sent,
        received_in_all=load.received,
        acknowledged_in_all=load.acknowledged,
        delivered_in_all=load.delivered,
        errors=load.errors[:5],
        generator_cpu_s=cpu,
    )


async def _pace(load: Load) -> None:
    began, number = now(), 0
    while True:
        due = began + number / load.plan.rate
        if (early := due - now()) > 0:
            await asyncio.sleep(early)
        load.shoot(number % load.plan.pairs)
        number += 1


async def _settle(load: Load) -> None:
    """Waits until every message has been received, acknowledged and delivered, 10 s at most."""
    for _ in range(100):
        if load.sent == load.received == load.acknowledged == load.delivered:
            return
        await asyncio.sleep(0.1)


async def _connect(load: Load) -> list[Connection]:
    plan = load.plan
    if plan.seeded:
        users = [(pair.sender, pair.receiver) for pair in plan.seeded]
        ids = [[str(one).encode() for one in pair.conversations] for pair in plan.seeded]
    else:
        users = [(uuid4(), uuid4()) for _ in range(plan.pairs)]
        ids = [[one] for one in await conversations(plan.host, plan.port, plan.secret, users)]
    load.conversations = [cycle(own) for own in ids]
    gate = asyncio.Semaphore(OPENERS)

    async def connect(user: UUID, of_sender: bool) -> Connection:
        on_text = load.on_sender_text if of_sender else load.on_receiver_text
        async with gate:
            connection = Connection(plan.host, token(plan.secret, user), on_text)
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: connection, plan.host, plan.port)
            await asyncio.wait_for(connection.ready, CONNECT_S)
        return connection

    connections = await asyncio.gather(
        *(
            connect(user, of_sender)
            for pair in users
            for user, of_sender in zip(pair, (True, False), strict=True)
        )
    )
    load.senders = connections[::2]
    return connections


async def conversations(
    host: str, port: int, secret: str, users: Sequence[tuple[UUID, UUID]]
) -> list[bytes]:
    """A new conversation of each two."""
    client = httpx.AsyncClient(
        base_url=f"http://{host}:{port}/api/chat",
        headers={"Authorization": f"Bearer {token(secret, uuid4(), scope='service')}"},
        # Most of them wait for one of the few connections, however long it takes.
        timeout=httpx.Timeout(60, pool=None),
        limits=httpx.Limits(max_connections=8),
    )

    async def create(pair: tuple[UUID, UUID]) -> bytes:
        body = {"matchId": str(uuid4()), "user1Id": str(pair[0]), "user2Id": str(pair[1])}
        response = await client.post("/conversations", json=body)
        response.raise_for_status()
        conversation_id: str = response.json()["conversationId"]
        return conversation_id.encode()

    async with client:
        return await asyncio.gather(*map(create, users))


def token(secret: str, user: UUID, **claims: str) -> str:
    now = int(time.time())
    payload = {"sub": str(user), "iat": now, "exp": now + 3600, **claims}
    return jwt.encode(payload, secret, algorithm="HS256")


def percentiles(seconds: list[float]) -> list[float]:
    if not seconds:
        return []
    ranked = sorted(seconds)
    places = (0.5, 0.95, 0.99, 1.0)
    return [round(ranked[min(len(ranked) - 1, int(len(ranked) * p))] * 1000, 2) for p in places]


if __name__ == "__main__":
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    result = uvloop.run(run(plan))
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
