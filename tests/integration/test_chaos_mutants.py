"""The checker is checked: it turns red at every system that is wrong on purpose."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import aio_pika
import pytest
from redis.asyncio import Redis

from libs.common.topology import DEAD
from local.roles import GATEWAY, REST, ROLES, Counts, Role
from local.stack import Stack
from tests.chaos.checker import check
from tests.chaos.client import Client
from tests.chaos.collecting import collect
from tests.chaos.evidence import Evidence
from tests.chaos.extra import Extra, extra
from tests.chaos.mutants import MUTANTS
from tests.chaos.recorder import Recorder
from tests.chaos.workload import Workload
from tests.integration.conftest import System
from tests.integration.watching import House, open_house, until

SEED: Final = 4
USERS: Final = 12
BEFORE: Final = 300
"""Messages that are acknowledged before the fault."""
STRIKES: Final = 3
AFTER: Final = 150
ACTS_S: Final = 20.0
"""At most."""
ASLEEP_S: Final = 0.6
"""Some devices don't read for so long, at the beginning."""
PATIENCE_S: Final = 4.0
"""For what is lost, nobody waits long."""
SOUND_PATIENCE_S: Final = 60.0
RATES: Final = {
    "read": 2.0,
    "read_by_rest": 0.3,
    "type": 0.3,
    "delete": 1.0,
    "look": 1.0,
    "history": 3.0,
    "count": 0.3,
    "leave": 0.3,
    "twice": 1.0,
}
"""Of each user, a second: dense enough for each mutant to be met many times."""
MESSAGES_PER_SECOND: Final = 300.0
NOTICED_BY: Final = {
    "acknowledge_before_confirm": "acknowledged_is_stored",
    "acknowledge_before_stored": "acknowledged_is_stored",
    "drop_one_row_in_1000": "acknowledged_is_stored",
    "double_on_redelivery": "one_message_once",
    "swap_two": "a_session_keeps_its_order",
    "exchange_two_contents": "acknowledged_is_stored",
    "gap_in_seq": "numbers_are_dense",
    "flushall_trusted": "an_entry_is_one_thing",
    "delivered_at_write": "delivered_means_heard",
    "status_falls": "an_entry_is_one_thing",
    "unread_never_decremented": "unread_is_true",
    "sync_without_changes": "what_was_told_is_there",
    "stale_copy": "histories_are_the_rows",
    "deleted_content_stays": "deleted_content_is_gone",
}
"""The rule of the checker that must be broken, whatever others are."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    limits = ("CHAT_MESSAGES_PER_SECOND", "CHAT_CALLS_PER_SECOND", "CHAT_SYNCS_PER_SECOND")
    environ = {
        variable: value
        for variable, value in os.environ.items()
        if not variable.startswith("CHAT_") or variable == "CHAT_PARTITIONS"
    }
    stack = Stack("mutants", environ | dict.fromkeys(limits, "1000000"))
    stack.start(Counts(gateway=1, router=1, persister=1, rest=1), fresh=True, tied=True)
    yield stack
    stack.stop()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
async def test_a_sound_system_passes(stack: Stack, role: Role) -> None:
    """The same run, with the same fault, of a process that is as it should be."""
    assert check(await leave_evidence(stack, role, None)) == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mutant", MUTANTS)
async def test_a_wrong_system_is_noticed(stack: Stack, mutant: str) -> None:
    evidence = await leave_evidence(stack, MUTANTS[mutant].role, mutant)
    broken = Counter(violation.rule for violation in check(evidence))
    assert NOTICED_BY[mutant] in broken, broken


async def leave_evidence(stack: Stack, role: Role, mutant: str | None) -> Evidence:
    """What fresh users leave who chat while that role is one process, of that mutant."""
    system = System(stack.environment())
    recorder = Recorder()
    async with AsyncExitStack() as scene:
        house = await scene.enter_async_context(open_house(stack))
        await _bury_the_past(house)
        if role.listens:
            process = await scene.enter_async_context(_replaced(system, stack, role, mutant))
            workload = await scene.enter_async_context(_workload(system, recorder))
        else:
            # Whom a mutant can't even introduce to each other, nobody can watch.
            workload = await scene.enter_async_context(_workload(system, recorder))
            process = await scene.enter_async_context(_replaced(system, stack, role, mutant))
        workload.start()
        for client in _sleepers(workload):
            await _fall_asleep(client)
        before = 1_100 if mutant == "drop_one_row_in_1000" else BEFORE
        await _act(workload, before)
        await _strike(house, process, workload, mutant)
        await _act(workload, AFTER)
        patience_s = PATIENCE_S if mutant else SOUND_PATIENCE_S
        await workload.settle(patience_s)
        return await collect(house, system, workload, recorder, seed=SEED, within_s=patience_s)


@asynccontextmanager
async def _replaced(
    system: System, stack: Stack, role: Role, mutant: str | None
) -> AsyncIterator[Extra]:
    """Instead of the role's program a process of ours; a listening one is met past the edge."""
    program = f"{role.name}-1"
    async with extra(stack, role, f"{role.name}-x", mutant=mutant) as process:
        await asyncio.to_thread(stack.stop_program, program)
        address = f"127.0.0.1:{process.port}/api/chat"
        if role is GATEWAY:
            system.socket_url = f"ws://{address}/ws"
        elif role is REST:
            system.base = f"http://{address}"
        try:
            yield process
        finally:
            await asyncio.to_thread(stack.start_program, program)
            await process.kill()


async def _act(workload: Workload, messages: int) -> None:
    """Until so many more are acknowledged; a system that is wrong may acknowledge nothing."""
    enough = workload.progress().acknowledged + messages

    async def is_enough() -> bool:
        return workload.progress().acknowledged >= enough

    with suppress(AssertionError):
        await until(is_enough, ACTS_S, "messages are acknowledged")


def _workload(system: System, recorder: Recorder) -> Workload:
    return Workload(system, SEED, recorder, users=USERS, rate=MESSAGES_PER_SECOND, rates=RATES)


def _sleepers(workload: Workload) -> list[Client]:
    """The last device of each; of the first users all, so that nobody reads for them."""
    one, other, *others = workload.people
    last = [person.devices[-1] for person in others]
    return [*one.devices, *other.devices, *last[::2]]


async def _fall_asleep(client: Client) -> None:
    """What comes waits in the kernel, and no pong goes, until it wakes."""
    session = client._session
    assert session is not None
    transport = session._socket.transport
    transport.pause_reading()

    def wake() -> None:
        if not transport.is_closing():
            transport.resume_reading()

    asyncio.get_running_loop().call_later(ASLEEP_S, wake)


async def _strike(house: House, process: Extra, workload: Workload, mutant: str | None) -> None:
    match mutant:
        case None:
            await process.restart()
        case "acknowledge_before_confirm" | "acknowledge_before_stored":
            # Once may meet a batch of receipts alone, or the moment between two.
            for _ in range(STRIKES):
                await process.restart()
                await _act(workload, AFTER)
        case "flushall_trusted":
            async with Redis.from_url(house.variables["CHAT_REDIS_URL"]) as redis:
                await redis.flushall()


async def _bury_the_past(house: House) -> None:
    connection = await aio_pika.connect(house.variables["CHAT_AMQP_URL"])
    async with connection, connection.channel() as channel:
        queue = await channel.declare_queue(DEAD, passive=True)
        await queue.purge()
