"""Every bad frame has its typed answer, and its neighbours go through (promises 9 and 10)."""

import json
from uuid import UUID, uuid4

import pytest

from libs.client.session import Refused, Session
from tests.integration.conftest import System

Pair = tuple[UUID, UUID, UUID]


def send(**fields: object) -> str:
    return json.dumps({"type": "SEND_MESSAGE", **fields})


BAD_FRAMES = {
    "not JSON": ("{", "INVALID_JSON"),
    "not an object": ("[1]", "INVALID_JSON"),
    "a string": ('"PING"', "INVALID_JSON"),
    "no type": ("{}", "INVALID_FIELD"),
    "unknown type": ('{"type":"DANCE"}', "UNKNOWN_TYPE"),
    "missing field": (send(conversationId=str(uuid4())), "INVALID_FIELD"),
    "wrong UUID": (send(conversationId="7", content="x"), "INVALID_FIELD"),
    "wrong kind": (send(conversationId=str(uuid4()), content=5), "INVALID_FIELD"),
    "wrong clientMessageId": (
        send(conversationId=str(uuid4()), content="x", clientMessageId="1"),
        "INVALID_FIELD",
    ),
    "connected twice": ('{"type":"CONNECT","token":"x"}', "ALREADY_CONNECTED"),
}
BAD_CONTENTS = {
    "empty": ("", "CONTENT_EMPTY"),
    "only white space": (" \n\t ", "CONTENT_EMPTY"),
    "too long": ("x" * 4_001, "CONTENT_TOO_LONG"),
    "U+0000": ("a\0b", "CONTENT_NOT_STORABLE"),
    "lone surrogate": ("a\ud800b", "CONTENT_NOT_STORABLE"),
    "marks": ("\u0301" * 4_000 + "\u0316" * 4_000, "CONTENT_NOT_STORABLE"),
}


async def proves_alive(session: Session, conversation: UUID) -> None:
    sent = await session.send_message(conversation, "still here")
    assert sent["messageId"]


@pytest.mark.parametrize("bad", BAD_FRAMES)
async def test_a_bad_frame_is_answered_and_the_session_goes_on(
    system: System, pair: Pair, bad: str
) -> None:
    text, expected = BAD_FRAMES[bad]
    anna, _, conversation = pair
    async with await system.open(anna) as session:
        await session.send_text(text)
        error = await session.expect("ERROR")
        assert (error["code"], error["error"]) == (400, expected)
        assert error["message"]
        await proves_alive(session, conversation)


@pytest.mark.parametrize("bad", BAD_CONTENTS)
async def test_bad_content_is_answered_with_a_reference(
    system: System, pair: Pair, bad: str
) -> None:
    content, expected = BAD_CONTENTS[bad]
    anna, _, conversation = pair
    client_id = uuid4()
    async with await system.open(anna) as session:
        with pytest.raises(Refused) as refused:
            await session.send_message(conversation, content, client_id)
        frame = refused.value.frame
        assert (frame["code"], frame["error"]) == (400, expected)
        assert frame["ref"] == {
            "type": "SEND_MESSAGE",
            "clientMessageId": str(client_id),
            "conversationId": str(conversation),
        }
        await proves_alive(session, conversation)


async def test_content_is_kept_in_one_form(system: System, pair: Pair) -> None:
    """NFC, without control characters, live and in history; a try in another form is the same."""
    anna, ben, conversation = pair
    typed, kept, client_id = (
        "\tcafe\u0301\x1b[31m\r\n\u202eok\u200b ",
        "café[31m\n\u202eok\u200b",
        uuid4(),
    )
    async with await system.open(anna) as annas, await system.open(ben) as bens:
        sent = await annas.send_message(conversation, typed, client_id)
        again = await annas.send_message(conversation, kept, client_id)
        assert (again["messageId"], again["seq"]) == (sent["messageId"], sent["seq"])
        received = await bens.expect("MESSAGE_RECEIVED")
        assert received["content"] == kept
    [message] = await system.history(ben, conversation)
    assert message["content"] == kept
    async with system.rest(ben) as rest:
        for asked in ("café", "cafe\u0301"):
            found = (await rest.get("/messages/search", params={"q": asked})).json()
            assert [hit["content"] for hit in found["items"]] == [kept], asked


async def test_exactly_4000_characters_pass(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    content = "\U0001f600" * 4_000
    async with await system.open(anna) as session:
        await session.send_message(conversation, content)
    [message] = await system.history(ben, conversation)
    assert message["content"] == content


async def test_a_frame_over_64_kib_closes_with_1009(system: System, pair: Pair) -> None:
    async with await system.open(pair[0]) as session:
        await session.send_text(send(conversationId=str(pair[2]), content="x" * 65 * 1024))
        assert (await session.wait_closed()).code == 1009


async def test_a_binary_frame_closes_with_4400(system: System, pair: Pair) -> None:
    async with await system.open(pair[0]) as session:
        await session.send_text(b'{"type":"PING"}')
        assert (await session.wait_closed()).code == 4400


async def test_foreign_and_unknown_conversations(system: System, pair: Pair) -> None:
    stranger = uuid4()
    async with await system.open(stranger) as session:
        with pytest.raises(Refused) as foreign:
            await session.send_message(pair[2], "let me in")
        assert foreign.value.frame["code"] == 403
        assert foreign.value.frame["error"] == "NOT_PARTICIPANT"
        with pytest.raises(Refused) as unknown:
            await session.send_message(uuid4(), "anybody?")
        assert unknown.value.frame["code"] == 404
        assert unknown.value.frame["error"] == "CONVERSATION_NOT_FOUND"
    assert await system.history(pair[0], pair[2]) == []
