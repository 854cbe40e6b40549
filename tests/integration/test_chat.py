"""Two users chat through the whole running system (issue: points 3 to 5; promises 1 to 5)."""

import asyncio
from uuid import UUID, uuid4

import jwt
import pytest
from websockets.exceptions import InvalidStatus

from libs.client.session import Session, Via
from tests.integration.conftest import System
from tests.integration.watching import until

Pair = tuple[UUID, UUID, UUID]


@pytest.mark.parametrize("via", ["header", "subprotocol", "frame"])
async def test_all_three_ways_to_authenticate(system: System, pair: Pair, via: Via) -> None:
    anna, _, conversation = pair
    async with await system.open(anna, via=via) as session:
        assert session.user_id == anna
        assert session.heads == {conversation: 1}
        success = session.received[0].frame
        assert success["conversations"] == [str(conversation)]
        assert success["heartbeatSeconds"] > 0
        assert success["expiresAt"].endswith("Z")


async def test_a_message_is_sent_received_and_delivered(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with await system.open(anna) as phone, await system.open(ben) as bens:
        client_id = uuid4()
        sent = await phone.send_message(conversation, "  hello Ben  ", client_id)
        assert sent["clientMessageId"] == str(client_id)
        assert sent["seq"] == 2, "the conversation's creation is entry 1"
        received = await bens.expect("MESSAGE_RECEIVED")
        assert received == {
            "type": "MESSAGE_RECEIVED",
            "messageId": sent["messageId"],
            "conversationId": str(conversation),
            "senderId": str(anna),
            "content": "hello Ben",
            "timestamp": sent["timestamp"],
            "seq": 2,
        }
        delivered = await phone.expect("MESSAGE_DELIVERED")
        assert delivered["messageIds"] == [sent["messageId"]]
        assert delivered["messageId"] == sent["messageId"]
        assert delivered["seq"] == 3
        assert await bens.expect("MESSAGE_DELIVERED") == delivered
        assert phone.frames("MESSAGE_RECEIVED") == []
    async with system.rest(ben) as rest:
        message = (await rest.get(f"/messages/{sent['messageId']}")).json()
    assert message["status"] == "DELIVERED"
    assert message["deliveredAt"] == delivered["deliveredAt"]
    assert (message["seq"], message["changedSeq"]) == (2, 3)


async def test_every_device_of_both_users_gets_each_entry(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    sessions = await asyncio.gather(*(system.open(user) for user in (anna, anna, ben, ben)))
    phone, laptop, bens_phone, bens_laptop = sessions
    sent = await phone.send_message(conversation, "to all", uuid4())
    for device in (bens_phone, bens_laptop):
        received = await device.expect("MESSAGE_RECEIVED")
        assert "clientMessageId" not in received
    own = await laptop.expect("MESSAGE_RECEIVED")
    assert own["clientMessageId"] == sent["clientMessageId"]
    for device in sessions:
        assert (await device.expect("MESSAGE_DELIVERED"))["messageId"] == sent["messageId"]
    # A second device's pong is no second delivery: nothing more has come after the next message.
    await bens_phone.send_message(conversation, "got it")
    await phone.expect("MESSAGE_RECEIVED", content="got it")
    delivered = {frame["seq"] for frame in laptop.frames("MESSAGE_DELIVERED")}
    assert sum(seq <= 4 for seq in delivered) == 1
    for device in sessions:
        await device.close()


async def test_an_offline_recipient_finds_the_message_by_rest(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with await system.open(anna) as phone:
        sent = await phone.send_message(conversation, "for later")
    history = await system.history(ben, conversation)
    assert [message["messageId"] for message in history] == [sent["messageId"]]
    assert history[0]["status"] == "SENT"
    async with await system.open(ben) as bens:
        assert bens.heads == {conversation: sent["seq"]}


async def test_a_repeated_send_is_the_same_message(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    client_id = uuid4()
    async with await system.open(anna) as phone, await system.open(ben) as bens:
        first = await phone.send_message(conversation, "once", client_id)
        again = await phone.send_message(conversation, "once", client_id)
        async with await system.open(anna) as laptop:
            elsewhere = await laptop.send_message(conversation, "once", client_id)
        assert first == again == elsewhere
        tries = await asyncio.gather(
            *(phone.send_message(conversation, "burst", same) for same in [uuid4()] * 2),
        )
        assert tries[0] == tries[1]
        await bens.expect("MESSAGE_RECEIVED", content="burst")
        assert len(bens.frames("MESSAGE_RECEIVED")) == 2
    assert len(await system.history(ben, conversation)) == 2


async def test_one_order_for_both_users_and_history(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with await system.open(anna) as phone, await system.open(ben) as bens:

        async def talk(session: Session, name: str) -> list[int]:
            answers = [session.send_message(conversation, f"{name} {i}") for i in range(40)]
            return [answer["seq"] for answer in await asyncio.gather(*answers)]

        annas_seqs, bens_seqs = await asyncio.gather(talk(phone, "a"), talk(bens, "b"))
        assert annas_seqs == sorted(annas_seqs), "a session's messages keep their order"
        assert bens_seqs == sorted(bens_seqs)
        await phone.expect("MESSAGE_RECEIVED", content="b 39")
        await bens.expect("MESSAGE_RECEIVED", content="a 39")
        # Both histories shall have the same statuses: none may still rise in between.
        await until(lambda: are_delivered(phone, 80), 10, "all are delivered")
        live = {frame["seq"]: frame["content"] for frame in phone.frames("MESSAGE_RECEIVED")}
        live |= {frame["seq"]: frame["content"] for frame in bens.frames("MESSAGE_RECEIVED")}
    history = await system.history(anna, conversation)
    assert [message["seq"] for message in history] == sorted(annas_seqs + bens_seqs)
    assert {message["seq"]: message["content"] for message in history} == live
    assert history == [
        {k: v for k, v in message.items() if k != "clientMessageId"}
        | {k: v for k, v in mine.items() if k == "clientMessageId"}
        for message, mine in zip(await system.history(ben, conversation), history, strict=True)
    ]


async def are_delivered(session: Session, count: int) -> bool:
    told = session.frames("MESSAGE_DELIVERED")
    return len({name for frame in told for name in frame["messageIds"]}) == count


async def test_delivered_waits_for_the_pong(system: System, pair: Pair) -> None:
    """A recipient that reads but never answers pings has not been delivered to (promise 5)."""
    anna, ben, conversation = pair
    reader, writer = await open_raw(system, ben)
    async with await system.open(anna) as phone:
        sent = await phone.send_message(conversation, "do you hear me?")
        read = await read_until(reader, b"do you hear me?")
        ping = read.rindex(b"\x89")
        payload = read[ping + 2 : ping + 2 + read[ping + 1]]
        with pytest.raises(TimeoutError):
            await phone.expect("MESSAGE_DELIVERED", timeout_s=0.5)
        writer.write(bytes((0x8A, 0x80 | len(payload))) + b"\0\0\0\0" + payload)
        assert (await phone.expect("MESSAGE_DELIVERED"))["messageId"] == sent["messageId"]
    writer.close()


async def open_raw(
    system: System, user_id: UUID
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket without a library, to leave pings unanswered."""
    host, port = system.edge.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET /api/chat/ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Authorization: Bearer {system.token(user_id)}\r\n\r\n".encode()
    )
    await read_until(reader, b"CONNECT_SUCCESS")
    return reader, writer


async def read_until(reader: asyncio.StreamReader, text: bytes) -> bytes:
    """What came up to a ping after `text`, or for CONNECT_SUCCESS just up to it."""
    read = b""
    async with asyncio.timeout(10):
        while text not in read or (text != b"CONNECT_SUCCESS" and b"\x89" not in read):
            read += await reader.read(65536)
    return read


async def test_ping_gets_pong(system: System, pair: Pair) -> None:
    async with await system.open(pair[0]) as session:
        await session.send_frame({"type": "PING"})
        assert (await session.expect("PONG"))["timestamp"].endswith("Z")


@pytest.mark.parametrize("how", ["none", "garbage", "wrong secret", "expired", "alg none"])
async def test_a_bad_token_is_refused_at_the_handshake(system: System, how: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await Session.open(system.socket_url, bad_token(system, how))
    assert refused.value.response.status_code == 401


@pytest.mark.parametrize("how", ["garbage", "wrong secret", "expired", "alg none"])
async def test_a_bad_token_in_a_frame_is_final(system: System, how: str) -> None:
    session = await open_unauthenticated(system)
    await session.send_frame({"type": "CONNECT", "token": bad_token(system, how)})
    error = await session.expect("ERROR")
    expected = "TOKEN_EXPIRED" if how == "expired" else "TOKEN_INVALID"
    assert (error["code"], error["error"]) == (401, expected)
    assert (await session.wait_closed()).code == 4401


async def test_without_connect_nothing_is_served(system: System) -> None:
    session = await open_unauthenticated(system)
    await session.send_frame({"type": "PING"})
    assert (await session.expect("ERROR"))["error"] == "UNAUTHENTICATED"
    assert (await session.wait_closed()).code == 4401


async def open_unauthenticated(system: System) -> Session:
    return await Session.connect(system.socket_url)


def bad_token(system: System, how: str) -> str:
    user = uuid4()
    claims = {"sub": str(user), "exp": 4102444800}
    return {
        "none": "",
        "garbage": "not.a.token",
        "wrong secret": jwt.encode(claims, "x" * 32, algorithm="HS256"),
        "expired": system.token(user, lasts_s=-60),
        "alg none": jwt.encode(claims, "", algorithm="none"),
    }[how]
