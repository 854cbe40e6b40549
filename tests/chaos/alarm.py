"""RabbitMQ's memory alarm: every publisher is blocked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from local.stack import Stack
from tests.chaos.faults import become

RAISED_WITHIN_S = 10.0


@asynccontextmanager
async def memory_alarm(stack: Stack) -> AsyncIterator[None]:
    """While the block lasts. Raises Unexpected where it isn't raised in time."""

    async def is_raised() -> bool:
        listed = await asyncio.to_thread(stack.rabbitmqctl, "eval", "rabbit_alarm:get_alarms().")
        return "resource_limit" in listed

    await _set_watermark(stack, "0.00001")
    try:
        await become(is_raised, RAISED_WITHIN_S, "the memory alarm")
        yield
    finally:
        await _set_watermark(stack, "0.4")


async def _set_watermark(stack: Stack, share: str) -> None:
    await asyncio.to_thread(stack.rabbitmqctl, "set_vm_memory_high_watermark", share)
