"""The device, against a service that says on cue what the real one says only in trouble.

Real sockets; tests/integration has it against the real service.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid4

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.http11 import Request, Response

from libs.client.device import Device
from libs.client.session import KEPT, Refused, SessionClosed
from tests.unit.on_cue import ME, WAIT_S, C, Frame, say, welcome, when

D = uuid4()
Act = Callable[[ServerConnection], Awaitable[None]]


class Service:
    """Each connection is met by the next of `acts`, the last one by the last for ever."""

    def __init__(self, *acts: Act, turns_away: Callable[[str], HTTPStatus | None]) -> None:
        self.tokens: list[str] = []
        self._acts = list(acts)
        self._turns_away = turns_away

    async def meet(self, connection: ServerConnection) -> None:
        act = self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]
        await act(connection)

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.tokens.append(request.headers["Authorization"].removeprefix("Bearer "))
        status = self._turns_away(self.tokens[-1])
        return None if status is None else connection.respond(status, "")


@asynccontextmanager
async def device_of(
    *acts: Act, turns_away: Callable[[str], HTTPStatus | None] = lambda _: None, **options: Any
) -> AsyncIterator[tuple[Device, Service]]:
    service = Service(*acts, turns_away=turns_away)
    wishes = iter(range(1000))

    async def token(*, fresh: bool) -> str:
        return f"{'fresh' if fresh else 'kept'} {next(wishes)}"

    async with serve(service.meet, "127.0.0.1", 0, process_request=service.admit) as server:
        device = Device(lambda: address(server), token, **options)
        async with asyncio.timeout(WAIT_S):
            yield device, service
        await device.close()


def address(server: Server) -> str:
    port = next(iter(server.sockets)).getsockname()[1]
    return f"ws://127.0.0.1:{port}/api/chat/ws"


async def heard(connection: ServerConnection) -> Frame:
    frame: Frame = json.loads(await connection.recv())
    return frame


async def sent(connection: ServerConnection, frame: Frame, seq: int) -> None:
    kept = {"clientMessageId": frame["clientMessageId"], "messageId": uuid4(), "seq": seq}
    conversation = frame["conversationId"]
    await say(connection, "MESSAGE_SENT", conversationId=conversation, timestamp="", **kept)


async def refuse(connection: ServerConnection, frame: Frame, code: int, **fields: object) -> None:
    ref = {name: frame[name] for name in ("type", "clientMessageId", "conversationId")}
    await say(connection, "ERROR", code=code, error="E", message="m", ref=ref, **fields)


async def keep(connection: ServerConnection) -> None:
    """Keeps each message as it comes."""
    await welcome(connection)
    seq = 1
    async for text in connection:
        frame = json.loads(text)
        if frame["type"] == "SEND_MESSAGE":
            seq += 1
            await sent(connection, frame, seq)


def closing(code: int) -> Act:
    async def act(connection: ServerConnection) -> None:
        await connection.close(code)

    return act


async def test_a_first_handshakes_401_gets_one_fresh_token_and_is_then_raised() -> None:
    async with device_of(keep, turns_away=lambda _: HTTPStatus.UNAUTHORIZED) as (device, service):
        with pytest.raises(SessionClosed, match="401") as raised:
            await device.session()
        assert raised.value.code == 4401
        assert service.tokens == ["kept 0", "fresh 1"]


async def test_a_token_that_has_ended_is_replaced_by_a_fresh_one() -> None:
    def old(token: str) -> HTTPStatus | None:
        return HTTPStatus.UNAUTHORIZED if token.startswith("kept") else None

    async with device_of(keep, turns_away=old) as (device, service):
        await device.session()
        assert service.tokens == ["kept 0", "fresh 1"]


async def test_4400_ends_it_and_who_sends_is_told() -> None:
    async with device_of(closing(4400)) as (device, service):
        with pytest.raises(SessionClosed, match="4400"):
            await device.send(C, "hi")
        assert len(service.tokens) == 1


async def test_a_broken_handshake_and_a_broken_session_are_tried_again() -> None:
    statuses = iter([HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE])
    acts = closing(1011), closing(4500), keep
    async with device_of(*acts, turns_away=lambda _: next(statuses, None)) as (device, service):
        assert (await device.send(C, "hi"))["seq"] == 2
        assert len(service.tokens) == 5
        assert len(device.sessions) == 1


async def test_a_reconnect_names_the_slot_also_before_connect_success() -> None:
    times = []

    async def leave(connection: ServerConnection) -> None:
        times.append(asyncio.get_running_loop().time())
        await say(connection, "RECONNECT", afterMs=700, reason="drain")
        await connection.close(1012)

    async with device_of(leave, keep) as (device, _):
        await device.session()
        assert asyncio.get_running_loop().time() - times[0] >= 0.69


async def test_who_sends_again_sends_the_same_message() -> None:
    tries: list[Frame] = []

    async def lose(connection: ServerConnection) -> None:
        await welcome(connection)
        tries.append(await heard(connection))
        connection.transport.abort()

    async def answer(connection: ServerConnection) -> None:
        await welcome(connection)
        tries.append(await heard(connection))
        await sent(connection, tries[-1], 7)
        await connection.wait_closed()

    async with device_of(lose, answer) as (device, _):
        assert (await device.send(C, "hi"))["seq"] == 7
        assert tries[0] == tries[1]


async def test_one_message_of_a_conversation_at_a_time_also_when_one_is_put_off() -> None:
    came: list[str] = []

    async def limit(connection: ServerConnection) -> None:
        await welcome(connection)
        first, other = await heard(connection), await heard(connection)
        came.extend((first["content"], other["content"]))
        await refuse(connection, first, 429, retryAfterMs=150)
        await sent(connection, other, 2)
        for seq in (2, 3):
            frame = await heard(connection)
            came.append(frame["content"])
            await sent(connection, frame, seq)
        await connection.wait_closed()

    async with device_of(limit) as (device, _):
        said = [(C, "one"), (C, "two"), (D, "other")]
        await asyncio.gather(*(device.send(*one) for one in said))
        assert came == ["one", "other", "one", "two"]


async def test_a_final_refusal_is_raised_and_the_next_goes_on() -> None:
    async def refusing(connection: ServerConnection) -> None:
        await welcome(connection)
        await refuse(connection, await heard(connection), 403)
        await sent(connection, await heard(connection), 2)
        await connection.wait_closed()

    async with device_of(refusing) as (device, _):
        first, second = (asyncio.create_task(device.send(C, text)) for text in ("a", "b"))
        with pytest.raises(Refused, match="403"):
            await first
        assert (await second)["seq"] == 2


async def test_a_message_that_an_earlier_session_sent_is_answered_by_its_entry() -> None:
    async def echo(connection: ServerConnection) -> None:
        await welcome(connection)
        frame = await heard(connection) | {"senderId": ME, "seq": 9, "messageId": uuid4()}
        del frame["type"]
        await say(connection, "MESSAGE_RECEIVED", **frame)

    async with device_of(echo) as (device, _):
        assert (await device.send(C, "hi"))["seq"] == 9


async def test_a_connection_that_is_silent_for_two_heartbeats_is_ended() -> None:
    async def silent(connection: ServerConnection) -> None:
        await welcome(connection, heartbeat_s=0.2)
        await connection.wait_closed()

    async def pinging(connection: ServerConnection) -> None:
        await welcome(connection, heartbeat_s=0.2)
        for _ in range(6):
            await asyncio.sleep(0.15)
            await connection.ping()
        await say(connection, "PONG", timestamp="")
        await connection.wait_closed()

    async with device_of(silent, pinging) as (device, _):
        dead = await device.session()
        await dead.wait_closed()
        living = await device.session()
        assert living is not dead
        await living.expect("PONG")
        assert living.closed is None, "pings have kept it"


@pytest.mark.parametrize("keeps_all", [False, True])
async def test_it_remembers_all_only_where_it_should(keeps_all: bool) -> None:
    async def talkative(connection: ServerConnection) -> None:
        await welcome(connection)
        for number in range(3 * KEPT):
            await say(connection, "PONG", timestamp=number)

    async with device_of(talkative, keeps_all=keeps_all) as (device, _):
        first = await device.session()
        await first.expect("PONG", timestamp=3 * KEPT - 1)
        await first.wait_closed()
        last = await device.session()
        await last.wait_closed()
        assert (len(last.received), last.count) == (last.count if keeps_all else KEPT, 3 * KEPT + 1)
        assert device.sessions == ([first, last] if keeps_all else [last])
        with pytest.raises(SessionClosed):
            await last.expect("PONG", after=last.count)
        newest = await last.expect("PONG", after=last.count - 1)
        assert newest["timestamp"] == 3 * KEPT - 1


async def test_what_comes_at_once_hides_nothing_from_who_waits() -> None:
    async def busy(connection: ServerConnection) -> None:
        await welcome(connection)
        await heard(connection)
        frames = [{"type": "PONG", "timestamp": number} for number in range(3 * KEPT)]
        wire = (WireFrame(Opcode.TEXT, json.dumps(frame).encode()) for frame in frames)
        connection.transport.write(b"".join(one.serialize(mask=False) for one in wire))
        await connection.wait_closed()

    async with device_of(busy) as (device, _):
        session = await device.session()
        first = asyncio.create_task(session.expect("PONG", timestamp=0))
        await asyncio.sleep(0)
        await session.send_frame({"type": "PING"})
        await first
        assert len(session.received) == KEPT


async def test_a_newer_head_is_fetched_page_by_page() -> None:
    asked = []

    async def paging(connection: ServerConnection) -> None:
        await welcome(connection, head=9)
        for head, complete in ((5, False), (9, True)):
            asked.append((await heard(connection))["afterSeq"])
            page = [{"messageId": uuid4(), "seq": 4, "changedSeq": head}]
            fields = {"messages": page, "head": 9, "complete": complete}
            await say(connection, "SYNC_RESULT", conversationId=C, **fields)
        await say(connection, "PONG", timestamp="")
        await connection.wait_closed()

    async with device_of(paging) as (device, _):
        device.follow(C, 3)
        await (await device.session()).expect("PONG")
        assert asked == [3, 5]
        assert device.known(C) == 9


async def test_a_token_is_replaced_before_its_end() -> None:
    shown = []

    async def short(connection: ServerConnection) -> None:
        await welcome(connection, lasts_s=2)
        shown.append((await heard(connection))["token"])
        await say(connection, "TOKEN_REFRESHED", expiresAt="2999-01-01T00:00:00.000Z")
        await connection.wait_closed()

    async with device_of(short) as (device, _):
        session = await device.session()
        await session.expect("TOKEN_REFRESHED")
        assert shown == ["fresh 1"]
        assert session.closed is None


async def test_what_the_token_source_can_not_mend_is_raised() -> None:
    async def token(*, fresh: bool) -> str:
        raise LookupError("logged out")

    with pytest.raises(LookupError, match="logged out"):
        await Device(lambda: "ws://127.0.0.1:1", token).send(UUID(int=1), "hi")


async def test_what_is_posted_is_sent_while_somebody_stays() -> None:
    kept: list[tuple[str, str]] = []
    states: list[str] = []
    async with device_of(closing(1012), keep) as (device, _):
        device.on_kept = lambda item, frame: kept.append((item.content, frame["type"]))
        device.on_state = lambda state: states.append(state.name)
        ids = [device.post(C, text) for text in ("one", "two")]
        assert [item.client_message_id for item in device.outbox] == ids
        staying = asyncio.create_task(device.stay())
        await when(lambda: not device.outbox)
        staying.cancel()
        assert kept == [("one", "MESSAGE_SENT"), ("two", "MESSAGE_SENT")]
        assert states == ["connecting", "waiting", "connecting", "online"]
    assert device.state.name == "stopped"


async def test_what_was_refused_for_good_is_tried_again_or_discarded() -> None:
    tries = 0

    async def act(connection: ServerConnection) -> None:
        nonlocal tries
        await welcome(connection)
        async for text in connection:
            frame = json.loads(text)
            tries += 1
            if tries <= 2:
                await refuse(connection, frame, 403)
            else:
                await sent(connection, frame, 2)

    async with device_of(act) as (device, _):
        await device.session()
        one, two = device.post(C, "one"), device.post(D, "two")
        await when(lambda: all(item.error for item in device.outbox))
        assert [item.error for item in device.outbox] == ["E", "E"]
        device.discard(two)
        device.retry(one)
        await when(lambda: not device.outbox)
        assert tries == 3


async def test_who_is_impatient_does_not_wait() -> None:
    async def full(connection: ServerConnection) -> None:
        await say(
            connection, "ERROR", code=429, error="E", message="m", ref={}, retryAfterMs=60_000
        )
        await connection.close(4429)

    async with device_of(full, keep) as (device, service):
        staying = asyncio.create_task(device.stay())
        await when(lambda: device.state.name == "waiting")
        assert device.state.code == 4429
        assert device.state.retry_at > time.perf_counter() + 5
        device.wake()
        await when(lambda: device.state.name == "online")
        assert len(service.tokens) == 2
        staying.cancel()


async def test_a_reading_is_told_until_it_is_acknowledged() -> None:
    told: list[int] = []
    done = asyncio.Event()

    async def heard_reading(connection: ServerConnection) -> None:
        told.append((await heard(connection))["upToSeq"])

    async def lost(connection: ServerConnection) -> None:
        await welcome(connection)
        await heard_reading(connection)

    async def put_off(connection: ServerConnection) -> None:
        await lost(connection)
        ref = {"type": "MARK_AS_READ", "conversationId": str(C)}
        await say(connection, "ERROR", code=429, error="E", message="m", ref=ref, retryAfterMs=1)
        await heard_reading(connection)
        await acknowledge(connection)
        device.read(C, 5)  # no news
        device.read(C, 8)
        await heard_reading(connection)
        await acknowledge(connection)

    async def afterwards(connection: ServerConnection) -> None:
        await welcome(connection)
        for _ in range(2):
            device.post(C, "hi")
            frame = await heard(connection)
            assert frame["type"] == "SEND_MESSAGE", "what is acknowledged is not told again"
            await sent(connection, frame, 10)
        done.set()

    async with device_of(lost, put_off, afterwards) as (device, _):
        staying = asyncio.create_task(device.stay())
        device.read(C, 5)
        await done.wait()
        assert told == [5, 5, 5, 8]
        staying.cancel()


async def acknowledge(connection: ServerConnection) -> None:
    fields: dict[str, object] = {"messageId": None, "messageIds": [], "seq": 6, "readAt": ""}
    await say(connection, "MESSAGE_READ", conversationId=C, readerId=ME, **fields)


async def test_typing_is_told_as_often_as_is_of_use() -> None:
    told: asyncio.Queue[str] = asyncio.Queue()

    async def act(connection: ServerConnection) -> None:
        await welcome(connection)
        async for text in connection:
            frame = json.loads(text)
            await told.put(frame["type"])
            if frame["type"] == "SEND_MESSAGE":
                await sent(connection, frame, 2)

    async with device_of(act) as (device, _):
        await device.typing(C)  # nobody to tell
        await device.session()
        await device.typing(D)
        await device.typing(D)
        await device.send(D, "written")
        await device.typing(D, False)
        await device.typing(D)
        assert [await told.get() for _ in range(3)] == [
            "TYPING_START",
            "SEND_MESSAGE",
            "TYPING_START",
        ]
        assert told.empty()
