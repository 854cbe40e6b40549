"""What strangers can take of a gateway: real sockets against a gateway of its own, with low limits.

An address is what a trusted proxy says, so that one machine can be many. Nobody is called there.
"""

import asyncio
import json
import os
import struct
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from libs.client.session import Session
from libs.common.keys import SESSIONS
from local.stack import Stack
from services.ws_gateway.arrival import MAX_HEAD_BYTES
from services.ws_gateway.sweep import CONNECT_WITHIN_S, HANDSHAKE_WITHIN_S, SWEEP_S
from services.ws_gateway.upgrade import MAX_MESSAGE_BYTES
from tests.chaos.proxy import Link
from tests.integration.conftest import System
from tests.integration.keys import open_keys
from tests.integration.own import Own, own_gateway
from tests.integration.watching import until

ANNA, BEN = "8.8.8.8", "9.9.9.9"
SLACK_S = 3.0


@asynccontextmanager
async def gateway(**limits: str) -> AsyncIterator[Own]:
    async with own_gateway(Stack(os.environ["CHAT_STACK"]), **limits) as own:
        await own.ready()
        yield own


def knocking(url: str, token: str | None = None, **headers: str) -> connect:
    """A WebSocket with these headers, in which `_` stands for `-`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        given["Authorization"] = f"Bearer {token}"
    return connect(url, additional_headers=given, compression=None)


async def refused(url: str, **headers: str) -> tuple[int, str, str | None]:
    """Status, code and Retry-After of the handshake's answer."""
    with pytest.raises(InvalidStatus) as answer:
        await knocking(url, **headers)
    response = answer.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    code: str = json.loads(response.body or b"{}")["code"]
    return response.status_code, code, response.headers.get("Retry-After")


async def counted(own: Own, error: str) -> float:
    """How many were refused so."""
    for line in (await own.probe("/metrics")).splitlines():
        if line.startswith(f'chat_refused_total{{error="{error}"}}'):
            return float(line.rpartition(" ")[2])
    return 0.0


# ---------------------------------------------------------------- web pages


async def test_pages_of_other_origins_may_not_connect(system: System) -> None:
    own_page = system.edge
    async with knocking(system.socket_url, Origin=own_page):
        pass
    for foreign in ("https://evil.example", "null", f"{own_page}.evil.example"):
        answer = await refused(system.socket_url, Origin=foreign)
        assert answer == (403, "ORIGIN_NOT_ALLOWED", None)


# ---------------------------------------------------------------- how many, from where


LOW = {
    "CHAT_TRUSTED_PROXIES": "127.0.0.0/8",
    "CHAT_CONNECTIONS_PER_IP": "2",
    "CHAT_CONNECTS_PER_IP_PER_SECOND": "5",
    "CHAT_MAX_CONNECTIONS": "6",
    "CHAT_ALLOWED_ORIGINS": "https://app.example",
}


async def test_limits_of_a_network_and_of_a_gateway(system: System) -> None:
    async with gateway(**LOW) as own, AsyncExitStack() as stack:

        async def enter(**headers: str) -> ClientConnection:
            return await stack.enter_async_context(
                knocking(own.url, system.token(uuid4()), **headers)
            )

        too_many = (429, "TOO_MANY_FROM_ADDRESS", "2")
        first = await enter(X_Forwarded_For=ANNA)
        await enter(X_Forwarded_For=f"{BEN}, {ANNA}")
        for lie in ("", f"{BEN}, ", "10.0.0.1, ::1, "):
            assert await refused(own.url, X_Forwarded_For=f"{lie}{ANNA}") == too_many
        await enter(X_Forwarded_For="2600:1:2:3::1")
        await enter(X_Forwarded_For="2600:1:2:3:ffff::2")
        assert await refused(own.url, X_Forwarded_For="2600:1:2:3::4") == too_many
        await first.close()

        async def has_room() -> bool:
            try:
                await enter(X_Forwarded_For=ANNA)
            except InvalidStatus:
                return False
            return True

        await until(has_room, 5, "its place is free again")
        # Nobody knows how many users are behind an address of ours: they fill the gateway alone.
        await enter(Origin="https://app.example")
        await enter()
        full = (503, "GATEWAY_FULL", "2")
        assert await refused(own.url) == full
        assert await refused(own.url, X_Forwarded_For="1.1.1.1") == full
        assert await counted(own, "GATEWAY_FULL") == 2


async def test_a_network_knocks_so_often_a_second(system: System) -> None:
    """Also with what is no token."""
    async with gateway(**LOW) as own:

        async def knock() -> int:
            try:
                async with knocking(own.url, "no token", X_Forwarded_For=ANNA):
                    return 101
            except InvalidStatus as answer:
                return answer.response.status_code

        answers = await asyncio.gather(*(knock() for _ in range(40)))
        assert set(answers) == {401, 429}
        assert answers.count(401) < 30, "5 at once, and 5 a second"
        async with knocking(own.url, system.token(uuid4()), X_Forwarded_For=BEN):
            pass


async def test_an_address_that_nobody_vouches_for_is_not_believed(system: System) -> None:
    terms = LOW | {"CHAT_TRUSTED_PROXIES": "192.0.2.0/24", "CHAT_MAX_CONNECTIONS": "100"}
    async with gateway(**terms) as own, AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(knocking(own.url, X_Forwarded_For=ANNA))


# ---------------------------------------------------------------- who is silent or slow


class Raw:
    """A TCP connection that speaks as it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def upgraded(self, token: str | None = None, more: str = "") -> bytes:
        """The head of the answer."""
        self.say(request(token, more) + b"\r\n")
        return await self.reader.readuntil(b"\r\n\r\n")

    async def rest(self, within_s: float) -> bytes:
        """What still comes until the gateway ends it, or its WebSocket."""
        data = b""
        try:
            async with asyncio.timeout(within_s):
                while piece := await self.reader.read(65536):
                    data += piece
                    if ends_with_close(data):
                        break
        except ConnectionError:
            pass
        return data

    async def dribbles(self, data: bytes, within_s: float) -> float:
        """A byte each 0.1 s, for ever; the seconds until it is ended."""
        began = monotonic()

        async def dribble() -> None:
            for byte in data * 100:
                self.say(bytes([byte]))
                await asyncio.sleep(0.1)

        dribbling = asyncio.create_task(dribble())
        await self.rest(within_s)
        dribbling.cancel()
        return monotonic() - began


@asynccontextmanager
async def raw_to(port: int | None = None) -> AsyncIterator[Raw]:
    """To this gateway, or to one of the stack's, past the edge."""
    if port is None:
        port = min(Stack(os.environ["CHAT_STACK"]).gateway_ports().values())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def request(token: str | None = None, more: str = "") -> bytes:
    """A handshake without the empty line at its end."""
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    key = b64encode(os.urandom(16)).decode()
    return (
        "GET /api/chat/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{bearer}{more}"
    ).encode()


def frame(first: int, payload: bytes) -> bytes:
    """Masked with zeros. `first`: FIN, the reserved bits and the opcode."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    return head + bytes(4) + payload


def ends_with_close(data: bytes) -> bool:
    at = data.rfind(b"\x88")
    return at >= 0 and data[at + 1 : at + 2] == bytes([len(data) - at - 2])


def close_code(data: bytes) -> int:
    """Of the close frame at the end of what came."""
    at = data.rindex(b"\x88")
    return int(struct.unpack_from("!H", data, at + 2)[0])


async def test_strangers_are_few_and_have_5_seconds(system: System) -> None:
    """Silent ones, and those who dribble a request or a CONNECT."""
    async with gateway(CHAT_MAX_UNAUTHENTICATED="4") as own, AsyncExitStack() as stack:
        began = monotonic()
        silent, slow_head, slow_connect, waiting = [
            await stack.enter_async_context(raw_to(own.port)) for _ in range(4)
        ]
        for raw in (slow_connect, waiting):
            assert b" 101 " in await raw.upgraded()

        async def is_cut_off() -> bool:
            async with raw_to(own.port) as fifth:
                fifth.say(request(system.token(uuid4())) + b"\r\n")
                return await fifth.rest(SLACK_S) == b""

        await until(is_cut_off, 2, "four are too many")
        assert await counted(own, "TOO_MANY_UNAUTHENTICATED") >= 1
        # One of them says who it is: there is room for another.
        connect_frame = {"type": "CONNECT", "token": system.token(uuid4())}
        waiting.say(frame(0x81, json.dumps(connect_frame).encode()))
        assert b"CONNECT_SUCCESS" in await waiting.reader.read(65536)
        async with await Session.open(own.url, system.token(uuid4())):
            slow_head.say(request())
            _, *dribbled = await asyncio.gather(
                silent.rest(HANDSHAKE_WITHIN_S + SLACK_S),
                slow_head.dribbles(b"X-Slow: 1\r\n", HANDSHAKE_WITHIN_S + SLACK_S),
                slow_connect.dribbles(frame(0x81, b" " * 200), CONNECT_WITHIN_S + SLACK_S),
            )
            assert monotonic() - began > HANDSHAKE_WITHIN_S - SWEEP_S
            assert min(dribbled) > HANDSHAKE_WITHIN_S - 2, "not for what it said"
        for _ in range(3):
            async with await Session.open(own.url, system.token(uuid4())):
                pass


@pytest.mark.parametrize("what", ["one long", "many short", "without end"])
async def test_headers_are_bounded(system: System, what: str) -> None:
    more = {
        "one long": "X: " + "x" * MAX_HEAD_BYTES,
        "many short": "X: 1\r\n" * (MAX_HEAD_BYTES // 6),
        "without end": "x" * MAX_HEAD_BYTES,
    }[what]
    async with raw_to() as raw:
        raw.say(request(more=more))
        answer = await raw.rest(SLACK_S)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"HEADERS_TOO_LARGE"' in answer


@pytest.mark.parametrize(
    "line", [b"\0\r\n\r\n", b"GET / HTTP/0.9\r\n\r\n", b"\x16\x03\x01\x02\0\n"]
)
async def test_what_is_no_http_is_ended(line: bytes) -> None:
    async with raw_to() as raw:
        raw.say(line)
        assert b" 101 " not in await raw.rest(HANDSHAKE_WITHIN_S + SLACK_S)


# ---------------------------------------------------------------- frames


async def test_a_message_is_bounded_in_whatever_number_of_frames(system: System) -> None:
    ping = b'{"type":"PING"' + b" " * (MAX_MESSAGE_BYTES - 15)
    pieces = [ping[at : at + 8192] for at in range(0, len(ping), 8192)]
    fragments = frame(0x01, pieces[0]) + b"".join(frame(0x00, piece) for piece in pieces[1:])
    async with raw_to() as raw:
        await raw.upgraded(system.token(uuid4()))
        raw.say(fragments + frame(0x80, b"}"))
        answer = b""
        async with asyncio.timeout(5):
            while b'"PONG"' not in answer:
                answer += await raw.reader.read(65536)
        raw.say(fragments + frame(0x80, b"} "))
        assert close_code(await raw.rest(10)) == 1009


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(0x81, b"x" * (MAX_MESSAGE_BYTES + 1)), 1009),
        (struct.pack("!BBQ", 0x81, 0xFF, 1 << 62), 1009),
        (frame(0xC1, b"compressed"), 1002),
        (b"\x81\x02{}", 1002),
        (frame(0x83, b"unknown opcode"), 1002),
        (frame(0x89, b"x" * 126), 1002),
        (frame(0x09, b"fragmented ping"), 1002),
        (frame(0x80, b"continues nothing"), 1002),
        (frame(0x01, b"{") + frame(0x81, b"{}"), 1002),
        (frame(0x81, b"\xff"), 1007),
        (frame(0x88, b"\x00"), 1002),
    ],
)
async def test_frames_that_break_the_protocol(system: System, bad: bytes, code: int) -> None:
    async with raw_to() as raw:
        await raw.upgraded(system.token(uuid4()))
        raw.say(bad)
        assert close_code(await raw.rest(10)) == code


async def test_nothing_is_ever_compressed(system: System) -> None:
    """So no small frame becomes a large one here, and no secret is guessed by its size."""
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    async with raw_to() as raw:
        head = await raw.upgraded(system.token(uuid4()), offer)
    assert b" 101 " in head
    assert b"sec-websocket-extensions" not in head.lower()


async def test_who_is_gone_without_a_word_is_found_out(system: System) -> None:
    """The network has forgotten the connection: nothing comes, not even an end."""
    user: UUID = uuid4()
    terms: dict[str, Any] = {"CHAT_HEARTBEAT_SECONDS": "1", "CHAT_PONG_SECONDS": "2"}
    async with gateway(**terms) as own, open_keys() as keys:
        link = Link(own.port)
        port = await link.listen()
        path = urlsplit(own.url).path
        session = await Session.open(f"ws://127.0.0.1:{port}{path}", system.token(user))
        assert link.do("silence") == 1

        async def has_left() -> bool:
            return not await keys.redis.exists(SESSIONS(user))

        took = await until(has_left, 1 + 2 + SLACK_S, "its session is over")
        print(f"after {took:.1f} s")
        assert 'chat_slow_closes_total{cause="pong"} 1.0' in await own.probe("/metrics")
        link.close()
        await session.abort()
