"""OpenTelemetry over the whole system: what a collector gets, by OTLP over HTTP."""

import os
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from uuid import UUID, uuid4

import pytest

from tests.chaos.house import whole_stack
from tests.integration.collector import Collected, Collector, collecting
from tests.integration.talking import Chat, gateway_urls
from tests.integration.watching import until

SETTINGS = {
    "CHAT_TRACE_SAMPLING": "1",
    "OTEL_BSP_SCHEDULE_DELAY": "200",  # the SDK's own variable: ms until what waits is sent
}
WHOLE = {
    ("ws_gateway", "SEND_MESSAGE"),
    ("router", "route Send"),
    ("persister", "store InsertMessage"),
    ("ws_gateway", "deliver ToUser"),
    ("ws_gateway", "deliver Answer"),
    ("ws_gateway", "pong"),
    ("ws_gateway", "publish Delivered"),
    ("router", "route Delivered"),
    ("persister", "store MarkDelivered"),
}


@pytest.mark.timeout(180)
async def test_one_trace_from_the_frame_to_the_pong() -> None:
    with collecting() as collector:
        settings = SETTINGS | {"CHAT_OTLP_ENDPOINT": collector.url}
        async with whole_stack("tracing", settings=settings) as whole:
            chat = await Chat.begin(whole.system, gateway_urls(whole.house))
            first = UUID((await chat.say(0))["messageId"])

            def came() -> set[tuple[str, str]]:
                return {(one.role, one.span.name) for one in collector.trace(first)}

            async def is_whole() -> bool:
                return came() >= WHOLE

            await until(is_whole, 20, lambda: f"spans: {sorted(came())}")
            await says_nothing_of_content(chat, collector)
            await chat.close()
        hangs_together(collector, first)
        merges_are_linked(collector)


async def says_nothing_of_content(chat: Chat, collector: Collector) -> None:
    """Nor a token: neither is in any attribute, event or name of a span."""
    word = f"canary{uuid4().hex}"
    sent = await chat.devices[0].send(chat.conversation, word)

    async def came() -> bool:
        return bool(collector.trace(UUID(sent["messageId"])))

    await until(came, 20, "spans of the message")
    told = " ".join(str(one) for one in collector.spans)
    assert [secret for secret in (word, "eyJ") if secret in told] == []


def hangs_together(collector: Collector, message_id: UUID) -> None:
    """One root; all others are below it, in time, each in the process where it happened."""
    spans = collector.trace(message_id)
    [root] = [one for one in spans if not one.span.parent_span_id]
    assert (root.span.name, root.instance) == ("SEND_MESSAGE", "gateway-1")
    assert {one.span.parent_span_id for one in spans if one is not root} == {root.span.span_id}
    [pong] = [one for one in spans if one.span.name == "pong"]
    assert pong.instance == "gateway-2"
    assert began(root) <= began(pong) <= pong.span.end_time_unix_nano
    ids = {
        a.value.string_value
        for one in spans
        for a in one.span.attributes
        if a.key == "chat.message.id"
    }
    assert ids == {str(message_id)}
    contents = [a for one in spans for a in one.span.attributes if a.value.string_value == "0 0"]
    assert not contents, "never a content"


def began(one: Collected) -> int:
    start: int = one.span.start_time_unix_nano
    return start


def merges_are_linked(collector: Collector) -> None:
    """Each batch span links, over the AMQP header, to the batch of the role before it."""
    batches = {one.span.span_id: one for one in collector.spans if not one.span.parent_span_id}
    ways = {
        (batches[link.span_id].span.name, one.span.name)
        for one in batches.values()
        for link in one.span.links
        if link.span_id in batches and batches[link.span_id].span.name != "SEND_MESSAGE"
    }
    assert ways >= {("publish", "route"), ("route", "store"), ("route", "deliver")}
    for one in collector.spans:
        if one.span.parent_span_id and one.span.name != "pong":
            assert {link.span_id for link in one.span.links} <= batches.keys()


async def test_a_wrong_endpoint_stops_the_start_and_is_named() -> None:
    process = await create_subprocess_exec(
        *(sys.executable, "-m", "services.router"),
        env=dict(os.environ) | {"CHAT_OTLP_ENDPOINT": "localhost:4318", "CHAT_TRACE_SAMPLING": "2"},
        stdout=PIPE,
        stderr=PIPE,
    )
    _, printed = await process.communicate()
    assert process.returncode == 78
    assert b"CHAT_OTLP_ENDPOINT" in printed
    assert b"CHAT_TRACE_SAMPLING" in printed
