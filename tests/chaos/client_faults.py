"""What clients do: one never reads, one sends the same on two gateways, all come back at once."""

import asyncio
import base64
import json
import os
import signal
import socket
from contextlib import suppress
from random import Random
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from libs.client.session import Frame, Refused, SessionClosed
from tests.chaos.faults import Done, Fault, Scene, Unexpected, become
from tests.integration.talking import gateway_urls

LONGEST = "🦜" * 4_000
SAID = 20
SYNCS = 60
"""Each asks for all that was said: 16 KB a message, so many times over what a gateway keeps
waiting for one client (1 MiB) and the kernel for one socket."""
NO_PONG_S: Final = 20.0 + 15.0
"""A gateway waits 20 s for a pong."""


# ------------------------------------------------------------------ who never reads


async def _never_reads(scene: Scene, random: Random, *, asks: bool) -> str:
    """It must be closed with 4408; messages flow meanwhile.

    `asks`: it asks for more than a gateway keeps waiting for it. Otherwise what it doesn't do is
    answer the ping behind its first message.
    """
    anna, ben = uuid4(), uuid4()
    conversation = await scene.system.conversation(anna, ben)
    program, url = random.choice(
        list(zip(_gateways(scene), gateway_urls(scene.house), strict=True))
    )
    before = await scene.house.metric(program, "chat_closes_total", code="4408")
    if asks:
        await _say(scene, ben, conversation, SAID)
    with await asyncio.to_thread(_open_and_never_read, url, scene.system.token(anna)) as client:
        if asks:
            asked = {"type": "SYNC", "conversationId": str(conversation), "afterSeq": 0}
            for _ in range(SYNCS):
                # 20 a second are answered.
                await asyncio.to_thread(_write, client, json.dumps(asked))
                await asyncio.sleep(0.06)
        else:
            await _say(scene, ben, conversation, 1)

        async def is_closed() -> bool:
            return await scene.house.metric(program, "chat_closes_total", code="4408") > before

        if scene.is_alone:
            took = await become(is_closed, NO_PONG_S, f"{program} closes it with 4408")
        else:
            await asyncio.sleep(5)
            took = 5.0
    scene.lifted()
    return f"{program} after {took:.1f} s"


async def _say(scene: Scene, user: UUID, conversation: UUID, count: int) -> None:
    async with await scene.system.open(user) as session:
        for _ in range(count):
            await session.send_message(conversation, LONGEST)
            await asyncio.sleep(0.11)


def _open_and_never_read(url: str, token: str) -> socket.socket:
    """Past the handshake. Raises OSError."""
    parts = urlsplit(url)
    client = socket.socket()
    client.settimeout(10)
    # Before connect, so that the window stays small.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((parts.hostname, parts.port))
    headers = {
        "Host": parts.netloc,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Authorization": f"Bearer {token}",
    }
    lines = [f"GET {parts.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    client.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = client.recv(64)
    if not answer.startswith(b"HTTP/1.1 101 "):
        raise OSError(f"no WebSocket: {answer!r}")
    return client


def _write(client: socket.socket, text: str) -> None:
    """A masked text frame of less than 126 bytes; its mask is zero. Nothing when it is closed."""
    payload = text.encode()
    assert len(payload) < 126
    with suppress(OSError):
        client.sendall(bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload)


# ------------------------------------------------------------------ the same, twice


async def _same_on_two_gateways(scene: Scene, random: Random) -> str:
    """One SEND_MESSAGE at the same moment: one message, told the same on both (promise 4)."""
    anna, ben = uuid4(), uuid4()
    conversation = await scene.system.conversation(anna, ben)
    sessions = [await scene.system.open(anna, url=url) for url in gateway_urls(scene.house)]
    repeats = 10
    try:
        for number in range(repeats):
            client_id = uuid4()
            answers = await asyncio.gather(
                *(s.send_message(conversation, f"{number}", client_id) for s in sessions),
                return_exceptions=True,
            )
            told = {(a["messageId"], a["seq"]) for a in map(_frame, answers) if a is not None}
            if len(told) > 1:
                raise Unexpected(f"{client_id} became two messages: {told}")
            if scene.is_alone and not told:
                raise Unexpected(f"{client_id} was not acknowledged: {answers}")
            await asyncio.sleep(0.11)
    finally:
        await asyncio.gather(*(session.close() for session in sessions))
    scene.lifted()
    return f"{repeats} messages"


def _frame(answer: Frame | BaseException) -> Frame | None:
    if isinstance(answer, dict):
        return answer
    if isinstance(answer, (Refused, SessionClosed, TimeoutError)):
        return None
    raise answer


# ------------------------------------------------------------------ all at once


async def _edge_restarted(scene: Scene, random: Random) -> str:
    """nginx ends; all who came by it come back at once."""
    pid = scene.stack.pids().get("nginx")
    if pid is None:
        return "the edge was away already"
    await asyncio.to_thread(scene.stack.signal, "nginx", signal.SIGTERM)
    scene.lifted()

    async def is_another() -> bool:
        return scene.stack.pids().get("nginx", pid) != pid

    await become(is_another, 30, "nginx is started again")
    return f"pid {pid}"


def _gateways(scene: Scene) -> list[str]:
    """In the order of `gateway_urls`."""
    return sorted(scene.stack.gateway_ports())


def faults(*, is_short: bool) -> list[Fault]:
    found: list[Fault] = [
        Done("client never reads", "nobody", None, _never_reads_flood),
        Done("same send on two gateways", "nobody", None, _same_on_two_gateways),
        Done("everyone reconnects", "everyone", None, _edge_restarted),
    ]
    if not is_short:
        found.append(Done("client never answers a ping", "nobody", None, _never_pongs))
    return found


async def _never_reads_flood(scene: Scene, random: Random) -> str:
    return await _never_reads(scene, random, asks=True)


async def _never_pongs(scene: Scene, random: Random) -> str:
    return await _never_reads(scene, random, asks=False)
