"""What each role measures, by what is done to the running system (issue 6, point 4)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID, uuid4

import pytest

from local.roles import GATEWAY, PERSISTER, ROLES, ROUTER, Role
from tests.integration.conftest import System
from tests.integration.watching import PARTITIONS, House, until

Pair = tuple[UUID, UUID, UUID]
Rises = Callable[..., AbstractAsyncContextManager[None]]
WITHIN_S = 5.0
MESSAGES = 20
LONG = "\N{GRINNING FACE}" * 4000
"""16 kB."""
MOST_BATCHES = 60


@pytest.fixture
def rises(house: House) -> Rises:
    """`async with rises(role, metric, by, **labels)`: by exactly so much, and then no more."""

    @asynccontextmanager
    async def rising(role: Role, metric: str, by: float, **labels: str) -> AsyncIterator[None]:
        before = await house.total(role, metric, **labels)
        yield
        now = before

        async def risen() -> bool:
            nonlocal now
            now = await house.total(role, metric, **labels)
            return now - before >= by

        await until(risen, WITHIN_S, lambda: f"{metric} {labels} {before} → {now}, not by {by}")
        assert now - before == by

    return rising


async def test_a_message_is_measured_at_each_of_its_steps(
    system: System, rises: Rises, pair: Pair
) -> None:
    """Each once: its answer, its delivery to the one session that receives it, its storing."""
    anna, ben, conversation = pair
    async with (
        await system.open(anna) as annas,
        await system.open(ben) as bens,
        rises(GATEWAY, "chat_frames_total", MESSAGES, type="SEND_MESSAGE"),
        rises(GATEWAY, "chat_answer_seconds_count", MESSAGES),
        rises(GATEWAY, "chat_delivery_seconds_count", MESSAGES),
        rises(GATEWAY, "chat_delivery_seconds_bucket", MESSAGES, le="10.0"),
        rises(ROUTER, "chat_events_total", MESSAGES, type="send"),
        rises(PERSISTER, "chat_stored_seconds_count", MESSAGES),
        rises(PERSISTER, "chat_stored_seconds_bucket", MESSAGES, le="10.0"),
    ):
        sent = [await annas.send_message(conversation, f"no. {n}") for n in range(MESSAGES)]
        await bens.expect("MESSAGE_RECEIVED", messageId=sent[-1]["messageId"])
        await annas.expect("MESSAGE_DELIVERED", messageId=sent[-1]["messageId"])


async def test_a_batch_is_measured_on_its_way(system: System, house: House, pair: Pair) -> None:
    """Confirms by kind of queue, waiting in both queues, the router's steps, its memory."""
    wanted = (
        *((GATEWAY, "chat_confirm_seconds_count", {"queue": kind}) for kind in ("events",)),
        *((ROUTER, "chat_confirm_seconds_count", {"queue": q}) for q in ("writes", "deliveries")),
        (ROUTER, "chat_queue_wait_seconds_count", {"queue": "events"}),
        (PERSISTER, "chat_queue_wait_seconds_count", {"queue": "writes"}),
        (ROUTER, "chat_stage_seconds_count", {"stage": "router_batch"}),
        (PERSISTER, "chat_stage_seconds_count", {"stage": "store"}),
        (ROUTER, "chat_cache_total", {"cache": "conversations", "result": "hit"}),
    )
    before = [await house.total(role, name, **labels) for role, name, labels in wanted]
    anna, _, conversation = pair
    async with await system.open(anna) as annas:
        await annas.send_message(conversation, "measured")

    async def all_risen() -> bool:
        now = [await house.total(role, name, **labels) for role, name, labels in wanted]
        return all(later > earlier for later, earlier in zip(now, before, strict=True))

    await until(all_risen, WITHIN_S, "every step has counted")


async def test_what_waited_for_its_user_is_no_slow_delivery(
    system: System, rises: Rises, pair: Pair
) -> None:
    """SYNC brings a message of before the session: DELIVERED, but it measures nobody's speed."""
    anna, ben, conversation = pair
    async with (
        await system.open(anna) as annas,
        rises(GATEWAY, "chat_delivery_seconds_count", 0),
    ):
        sent = await annas.send_message(conversation, "while Ben was away")
        async with await system.open(ben) as bens:
            await bens.sync(conversation, 0)
            await annas.expect("MESSAGE_DELIVERED", messageId=sent["messageId"])


async def test_a_session_counts_by_how_it_began(system: System, rises: Rises) -> None:
    async with (
        rises(GATEWAY, "chat_connects_total", 2, outcome="opened"),
        rises(GATEWAY, "chat_connect_seconds_count", 2),
        rises(GATEWAY, "chat_connects_total", 0, outcome="failed"),
    ):
        for _ in range(2):
            async with await system.open(uuid4()):
                pass


async def test_who_does_not_read_is_closed_as_slow_and_counted(
    system: System, house: House, rises: Rises, pair: Pair
) -> None:
    """4408 for a full buffer: the system's own for the connection, and 1 MiB of the gateway's."""
    anna, ben, conversation = pair
    port = house.stack.gateway_ports()[house.programs(GATEWAY)[0]]
    async with (
        await system.open(anna) as annas,
        rises(GATEWAY, "chat_slow_closes_total", 1, cause="buffer"),
        rises(GATEWAY, "chat_closes_total", 1, code="4408"),
    ):
        writer = await deaf(port, system.token(ben))
        before = await house.total(GATEWAY, "chat_slow_closes_total")
        for _ in range(MOST_BATCHES):
            await asyncio.gather(*(annas.send_message(conversation, LONG) for _ in range(20)))
            if await house.total(GATEWAY, "chat_slow_closes_total") > before:
                break
        writer.close()


async def deaf(port: int, token: str) -> asyncio.StreamWriter:
    """A session, past the edge, that is open and then reads nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET /api/chat/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n"
    )
    await asyncio.wait_for(reader.readuntil(b"CONNECT_SUCCESS"), WITHIN_S)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    return writer


async def test_every_loop_says_how_late_it_is(house: House) -> None:
    """Four times a second, all of them: the REST API's commands have a loop, too."""
    before = [await house.total(role, "chat_loop_lag_seconds_count") for role in ROLES]

    async def all_risen() -> bool:
        now = [await house.total(role, "chat_loop_lag_seconds_count") for role in ROLES]
        return all(later - earlier >= 4 for later, earlier in zip(now, before, strict=True))

    await until(all_risen, WITHIN_S, "each role has looked four times")
    for role in ROLES:
        assert await house.total(role, "chat_ready") == len(house.programs(role))


@pytest.mark.parametrize("role", [ROUTER, PERSISTER], ids=lambda role: role.name)
async def test_every_partition_has_an_owner(house: House, role: Role) -> None:
    owners = await asyncio.gather(
        *(
            house.total(role, "chat_partition_owned", partition=str(partition))
            for partition in range(PARTITIONS)
        )
    )
    assert owners == [1] * PARTITIONS
    assert await house.metric(house.programs(role)[0], "chat_partitions") == PARTITIONS
