"""SYNC: a client that knows number N gets everything after it (promise 6)."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from libs.client.session import Refused, Session
from tests.integration.conftest import System

Pair = tuple[UUID, UUID, UUID]


async def test_what_was_missed_in_the_order_of_its_newest_entry(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with await system.open(anna) as annas, await system.open(ben) as bens:
        sent = [await annas.send_message(conversation, f"number {n}") for n in range(4)]
        await annas.expect("MESSAGE_DELIVERED", messageId=sent[-1]["messageId"])
        known = max(item.frame.get("seq", 0) for item in annas.received)
        read = await bens.mark_as_read(conversation, [UUID(sent[0]["messageId"])])
        async with system.rest(anna) as rest:
            await rest.delete(f"/messages/{sent[2]['messageId']}")
        newest = await bens.send_message(conversation, "after")
        result = await annas.sync(conversation, known)
    assert result["complete"] is True
    assert result["head"] >= newest["seq"]
    first, second, third = result["messages"]
    assert (first["messageId"], first["status"]) == (sent[0]["messageId"], "READ")
    assert first["changedSeq"] == read["seq"]
    assert (second["messageId"], second["content"]) == (sent[2]["messageId"], None)
    assert second["deletedAt"] is not None
    assert (third["messageId"], third["content"]) == (newest["messageId"], "after")
    assert first["clientMessageId"] == sent[0]["clientMessageId"], "own messages carry it"
    assert "clientMessageId" not in third


async def test_from_any_number_live_state_and_sync_agree(system: System, pair: Pair) -> None:
    """Replaying SYNC page by page from each number gives the history as it is."""
    anna, ben, conversation = pair
    async with await system.open(anna) as annas, await system.open(ben) as bens:
        for number in range(30):
            who = (annas, bens)[number % 2]
            sent = await who.send_message(conversation, f"number {number}")
            if number % 5 == 0:
                await (annas if who is bens else bens).mark_as_read(
                    conversation, up_to_seq=sent["seq"]
                )
        history = {item["messageId"]: item for item in await system.history(anna, conversation)}
        head = (await annas.sync(conversation, 0))["head"]
        for after in range(head + 1):
            pages = await all_pages(annas, conversation, after, limit=7)
            expected = {i for i, item in history.items() if int(str(item["changedSeq"])) > after}
            assert expected <= set(pages), f"after {after}"
            changed = [int(page["changedSeq"]) for page in pages.values()]
            assert changed == sorted(changed)
    async with system.rest(ben) as rest:
        page = (await rest.get(f"/conversations/{conversation}/sync?after=0&limit=200")).json()
    assert {m["messageId"] for m in page["messages"]} == set(history)
    assert page["complete"] is True


async def all_pages(
    session: Session, conversation: UUID, after: int, limit: int
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    while True:
        page = await session.sync(conversation, after, limit)
        for message in page["messages"]:
            found.pop(message["messageId"], None)
            found[message["messageId"]] = message
        if page["complete"]:
            return found
        after = page["messages"][-1]["changedSeq"]


async def test_an_answer_has_all_that_was_told_before(system: System, pair: Pair) -> None:
    """Also within the 100 ms before PostgreSQL has it."""
    anna, ben, conversation = pair
    async with await system.open(anna) as annas, await system.open(ben) as bens:
        for number in range(20):
            sent = await annas.send_message(conversation, f"number {number}")
            result = await bens.sync(conversation, sent["seq"] - 1)
            assert sent["messageId"] in {m["messageId"] for m in result["messages"]}


async def test_a_message_that_changes_long_after(system: System, pair: Pair) -> None:
    """More than 256 entries after it was sent: found without an index on what changed last."""
    anna, _, conversation = pair
    async with await system.open(anna) as annas, system.rest(anna) as rest:
        old = await annas.send_message(conversation, "take me back later")
        answers = (annas.send_message(conversation, str(n)) for n in range(300))
        head = max(frame["seq"] for frame in await asyncio.gather(*answers))
        await rest.delete(f"/messages/{old['messageId']}")
        result = await annas.sync(conversation, head)
    assert [message["messageId"] for message in result["messages"]] == [old["messageId"]]
    assert result["messages"][0]["content"] is None


async def test_what_comes_by_sync_is_delivered(system: System, pair: Pair) -> None:
    """Promise 5: the recipient has it when a ping behind the SYNC_RESULT was answered."""
    anna, ben, conversation = pair
    async with await system.open(anna) as annas:
        sent = [await annas.send_message(conversation, f"number {n}") for n in range(3)]
        async with await system.open(ben) as bens:
            assert annas.frames("MESSAGE_DELIVERED") == []
            result = await bens.sync(conversation, 0)
            assert {message["status"] for message in result["messages"]} == {"SENT"}
            delivered = await annas.expect("MESSAGE_DELIVERED")
            assert delivered["messageIds"] == [frame["messageId"] for frame in sent]
            await bens.expect("MESSAGE_DELIVERED", seq=delivered["seq"])
            again = await bens.sync(conversation, 0)
            assert {message["status"] for message in again["messages"]} == {"DELIVERED"}


async def test_who_may_not_and_what_cannot(system: System, pair: Pair) -> None:
    async with await system.open(uuid4()) as stranger:
        for conversation, error in (
            (pair[2], "NOT_PARTICIPANT"),
            (uuid4(), "CONVERSATION_NOT_FOUND"),
        ):
            with pytest.raises(Refused) as refused:
                await stranger.sync(conversation, 0)
            assert refused.value.frame["error"] == error
            assert refused.value.frame["ref"]["type"] == "SYNC"
        await stranger.send_frame(
            {"type": "SYNC", "conversationId": str(pair[2]), "afterSeq": 0, "limit": 201}
        )
        assert (await stranger.expect("ERROR", error="INVALID_FIELD"))["code"] == 400
