"""Frames that cost their sender nothing: how many are answered, and what becomes of who goes on."""

import asyncio
import json
import os
import struct
from contextlib import suppress
from uuid import UUID, uuid4

import pytest

from libs.client.session import Session
from libs.common.protocol.closes import Close
from local.stack import Stack
from tests.integration.conftest import System
from tests.integration.test_connection_limits import Raw, frame, raw_to

MOST = int(os.environ.get("CHAT_FRAMES_PER_SECOND", "50"))
AT_ONCE = MOST * 40
SLACK_S = 3.0
LAST = struct.pack("!BBH", 0x88, 2 + len("RATE_LIMITED"), Close.TOO_MANY) + b"RATE_LIMITED"


def text(**fields: object) -> bytes:
    return frame(0x81, json.dumps(fields).encode())


FLOODS = {
    "PING": text(type="PING"),
    "no JSON": frame(0x81, b"x"),
    "an unknown type": text(type="DANCE"),
    "CONNECT": text(type="CONNECT", token="x"),
    "SYNC": text(type="SYNC", conversationId=str(UUID(int=7)), afterSeq=0),
    "no content": text(type="SEND_MESSAGE", conversationId=str(UUID(int=7)), content=" "),
    "a WebSocket's ping": frame(0x89, b""),
    "a WebSocket's pong": frame(0x8A, b"x"),
    "a fragment": frame(0x00, b""),
}


async def test_so_many_are_answered_and_then_when_to_come_again(system: System) -> None:
    async with await system.open(uuid4()) as session:
        for _ in range(MOST * 2):
            await session.send_frame({"type": "PING"})
        refused = await session.expect("ERROR", error="RATE_LIMITED", ref={"type": "PING"})
        assert refused["code"] == 429
        while len(session.frames("PONG")) + len(session.frames("ERROR")) < MOST * 2:
            await session.expect("ERROR", after=session.count)
        assert MOST <= len(session.frames("PONG")) < MOST * 2
        await asyncio.sleep(session.frames("ERROR")[-1]["retryAfterMs"] / 1000)
        assert await session.ping()


@pytest.mark.parametrize("kind", [*FLOODS, "REFRESH_TOKEN"])
async def test_who_goes_on_is_closed_and_others_do_not_notice(system: System, kind: str) -> None:
    anna, ben, evil = uuid4(), uuid4(), uuid4()
    conversation = await system.conversation(anna, ben)
    port = min(Stack(os.environ["CHAT_STACK"]).gateway_ports().values())
    url = f"ws://127.0.0.1:{port}/api/chat/ws"
    flood = FLOODS.get(kind) or text(type="REFRESH_TOKEN", token=system.token(evil))
    begin = frame(0x01, b"") if kind == "a fragment" else b""
    async with raw_to(port) as raw, await Session.open(url, system.token(anna)) as annas:
        await raw.upgraded(system.token(evil))
        raw.say(begin + flood * AT_ONCE)
        async with asyncio.timeout(SLACK_S):
            await annas.send_message(conversation, "are you there?")
        assert LAST in await until_closed(raw)


async def until_closed(raw: Raw) -> bytes:
    came = b""
    with suppress(ConnectionError):
        async with asyncio.timeout(SLACK_S):
            while LAST not in came and (piece := await raw.reader.read(1 << 16)):
                came += piece
    return came


async def test_who_does_not_even_stop_then_is_not_read(system: System) -> None:
    """Until the connection is cut 5 s later: nothing but the kernels' buffers takes it."""
    pings = frame(0x89, b"x" * 100) * 1000
    async with raw_to() as raw:
        await raw.upgraded(system.token(uuid4()))
        with pytest.raises(TimeoutError):
            await pour(raw, pings)


async def pour(raw: Raw, data: bytes) -> None:
    """Raises TimeoutError when nobody has taken any for a second."""
    while True:
        raw.say(data)
        await asyncio.wait_for(raw.writer.drain(), 1)
