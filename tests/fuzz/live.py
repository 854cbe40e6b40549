"""The other part of `make fuzz`: a whole system that gets generated frames, messages and calls."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from libs.client.session import Refused, Session, SessionClosed
from libs.common.domain.partition import partition_of
from libs.common.protocol.deliveries import Missed
from libs.common.protocol.frames import ClientFrame
from libs.common.topology import typing
from local.roles import REST
from tests.chaos.house import Whole, whole_stack
from tests.fuzz.calls import calls
from tests.fuzz.typed import UNIONS
from tests.fuzz.values import arrays, objects
from tests.integration.conftest import System
from tests.integration.keys import open_keys
from tests.integration.queues import Queues, open_queues
from tests.integration.unharmed import FENCED, unharmed
from tests.integration.watching import PARTITIONS

EACH = 100
"""Frames, and messages for each queue, in one round."""
NO_LIMITS = {
    f"CHAT_{name}": "1000000"
    for name in (
        "MESSAGES_PER_SECOND",
        "CALLS_PER_SECOND",
        "SYNCS_PER_SECOND",
        "READS_PER_SECOND",
        "TYPING_PER_SECOND",
        "FRAMES_PER_SECOND",
        "CONNECTS_PER_MINUTE",
    )
}
MISSED = str(Missed.__struct_config__.tag).encode()
HTTP_ITSELF = {501, 505}
"""Of a method or a version that a server doesn't know: the only 5xx that are a client's doing."""
CLOSES = {1007, 1009, 4400, 4401}
"""What a bad frame may close its own connection with."""


async def run_live(seconds: float) -> Counter[str]:
    """How many of each were sent. Raises AssertionError when anything but the sender suffers."""
    sent: Counter[str] = Counter()
    async with whole_stack("fuzz", settings=NO_LIMITS) as whole:
        with unharmed(whole.house, FENCED):
            ends = monotonic() + seconds
            while monotonic() < ends:
                await _round(whole, sent)
                print(f"  {sum(sent.values()):>8,} frames, messages and calls", flush=True)
    return sent


async def _round(whole: Whole, sent: Counter[str]) -> None:
    system = whole.system
    anna, ben = uuid4(), uuid4()
    conversation = await system.conversation(anna, ben)
    frames = await asyncio.to_thread(drawn, objects(ClientFrame), EACH)
    texts = [json.dumps(_about(frame, str(conversation))) for frame in frames]
    await _send_frames(system, anna, texts)
    sent["frames"] += len(texts)
    messages = await _messages(system, anna, conversation)
    strategy = calls(system.token(anna), [conversation, *messages, anna])
    await _make_calls(whole, await asyncio.to_thread(drawn, strategy, EACH), sent)
    async with open_queues(whole.house.variables) as queues:
        for name, union in UNIONS.items():
            # A well-formed Missed does what it should: it ends all sessions of that gateway.
            some = await asyncio.to_thread(drawn, arrays(union), EACH)
            bodies = [body for body in some if MISSED not in body]
            for queue in await _queues_of(name, partition_of(conversation, PARTITIONS), whole):
                await _put_all(queues, queue, bodies)
                sent[name] += len(bodies)
        conversation = await system.conversation(anna, ben)  # A call may have archived the other.
        async with await system.open(anna) as annas, await system.open(ben) as bens:
            message = await annas.send_message(conversation, "still here")
            await bens.expect("MESSAGE_RECEIVED", messageId=message["messageId"])
        assert message["messageId"] in str(await system.history(ben, conversation))
        await queues.take_dead()


def _about(frame: dict[str, Any], conversation: str) -> dict[str, Any]:
    """Half of them are about what is there."""
    known = isinstance(frame.get("conversationId"), str) and len(json.dumps(frame)) % 2
    return frame | {"conversationId": conversation} if known else frame


async def _send_frames(system: System, user: Any, texts: Sequence[str]) -> None:
    session: Session | None = None
    for text in texts:
        session = session or await system.open(user)
        try:
            await session.send_text(text)
            await _answered(session)
        except SessionClosed as closed:
            if closed.code not in CLOSES:
                raise AssertionError(f"closed by {text!r}") from closed
            session = None
    if session is not None:
        await session.close()


async def _answered(session: Session) -> None:
    """When what was sent before has been looked at."""
    try:
        await session.ping()
    except Refused:
        # That was about the text, a PING with something wrong in it. The PONG is still to come.
        await session.ping()


async def _messages(system: System, user: UUID, conversation: UUID) -> list[UUID]:
    async with await system.open(user) as session:
        sent = [await session.send_message(conversation, f"a message {one}") for one in range(3)]
    return [UUID(one["messageId"]) for one in sent]


async def _make_calls(whole: Whole, requests: Sequence[bytes], sent: Counter[str]) -> None:
    """To the edge and, past it, to a REST process. Some end the conversation that they are of."""
    house = whole.house
    ports = [int(house.variables["CHAT_PORT"])]
    known = json.loads(house.stack.layout.ports.read_text())
    ports += [known[program] for program in house.programs(REST)]
    turns = asyncio.Semaphore(10)

    async def make(number: int, request: bytes) -> None:
        async with turns:
            status = await asyncio.wait_for(status_of(ports[number % len(ports)], request), 15)
        assert status is None or status < 500 or status in HTTP_ITSELF, (status, request)
        sent[f"calls {'unanswered' if status is None else f'{status // 100}xx'}"] += 1

    await asyncio.gather(*(make(number, one) for number, one in enumerate(requests)))


async def status_of(port: int, request: bytes) -> int | None:
    """None: it was no HTTP, and the connection ended without a word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        answer = await reader.read()
    except ConnectionError:
        answer = b""
    writer.close()
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else None


async def _queues_of(name: str, partition: int, whole: Whole) -> list[str]:
    match name:
        case "deliveries":
            async with open_keys(whole.house.variables) as keys:
                found = await keys.redis.zrange("ws:gateways", 0, -1)
            return [f"chat.deliveries.{gateway.decode()}" for gateway in found]
        case "typing":
            return [typing().name]
        case "replies":
            return []  # of each asker's own name; what comes there unasked nobody waits for
        case _:
            return [f"chat.{name}.{partition}"]


async def _put_all(queues: Queues, queue: str, bodies: Sequence[bytes]) -> None:
    await asyncio.gather(*(queues.put(queue, body) for body in bodies))


def drawn(strategy: SearchStrategy[Any], count: int) -> list[Any]:
    """Values as hypothesis draws them, the next ones at each call."""
    found: list[Any] = []

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found
