"""One message through a system that traces everything, as text: `python -m tests.bench.one_trace`.

Starts a stack of its own (`tracing`) and stops it. Prints what `make trace` says, and what an
OpenTelemetry collector got of the message. docs/tracing.md shows both.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from local.layout import ROOT
from local.progress import Progress
from tests.chaos.house import whole_stack
from tests.integration.collector import Collected, Collector, collecting
from tests.integration.talking import Chat, gateway_urls
from tests.integration.watching import until

SETTINGS: Final = {"CHAT_TRACE_SAMPLING": "1", "OTEL_BSP_SCHEDULE_DELAY": "200"}
LAST: Final = "store MarkRead"
"""The span that comes last."""


async def run() -> None:
    with collecting() as collector:
        settings = SETTINGS | {"CHAT_OTLP_ENDPOINT": collector.url}
        async with whole_stack("tracing", Progress(), settings) as whole:
            message_id = await _converse(await Chat.begin(whole.system, gateway_urls(whole.house)))

            async def is_whole() -> bool:
                return LAST in {one.span.name for one in collector.trace(message_id)}

            await until(is_whole, 20, "all spans have come")
            print(_asked(whole.house.variables, message_id))
    print("\n".join(lines(collector, message_id)))


async def _converse(chat: Chat) -> UUID:
    """Anna says something, Ben reads it. Once before, so that all is warm."""
    ben = await chat.devices[1].session()
    for _ in range(2):
        message_id = (await chat.say(0))["messageId"]
        await ben.expect("MESSAGE_DELIVERED", messageId=message_id)
        await ben.mark_as_read(chat.conversation, [UUID(message_id)])
    await chat.close()
    return UUID(message_id)


def _asked(variables: Mapping[str, str], message_id: UUID) -> str:
    command = [sys.executable, "-m", "local.trace", str(message_id)]
    environ = {**os.environ, **variables}
    return subprocess.run(
        command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True
    ).stdout


def lines(collector: Collector, message_id: UUID) -> Sequence[str]:
    """Each span: when it began after the first, how long it took, and the batch it links to."""
    spans = collector.trace(message_id)
    first = spans[0].span.start_time_unix_nano
    batches = {one.span.span_id: one for one in collector.spans}
    printed = [f"trace {message_id.hex}", f"{'began':>9} {'took':>9}"]
    for one in spans:
        took = one.span.end_time_unix_nano - one.span.start_time_unix_nano
        depth = "  " if one.span.parent_span_id else ""
        printed.append(
            f"{_ms(one.span.start_time_unix_nano - first)} {_ms(took)}  "
            f"{depth}{one.span.name:<20} {one.instance:<12}{_links(one, batches)}".rstrip()
        )
    return printed


def _links(one: Collected, batches: Mapping[bytes, Collected]) -> str:
    """The batches, with how many messages and batches each merges."""
    found = [batches[link.span_id] for link in one.span.links if link.span_id in batches]
    return "".join(f" ⇢ {batch.span.name}, {len(batch.span.links)} links" for batch in found)


def _ms(ns: int) -> str:
    return f"{ns / 1_000_000:>7.1f}ms"


if __name__ == "__main__":
    asyncio.run(run())
