"""READ, by ids and up to a number: for both users, on all their devices, once (promises 3, 7)."""

import asyncio
from uuid import UUID, uuid4

import pytest

from libs.client.session import Refused, Session
from tests.integration.conftest import System
from tests.integration.keys import open_keys
from tests.integration.watching import until

Pair = tuple[UUID, UUID, UUID]


async def test_a_reading_on_the_phone_reaches_every_device(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with (
        await system.open(anna) as annas,
        await system.open(ben) as phone,
        await system.open(ben) as laptop,
    ):
        sent = [await annas.send_message(conversation, f"number {n}") for n in range(3)]
        ids = [frame["messageId"] for frame in sent]
        await phone.expect("MESSAGE_RECEIVED", messageId=ids[-1])
        read = await phone.mark_as_read(conversation, message_ids=[UUID(i) for i in ids[:2]])
        assert read["messageIds"] == ids[:2]
        assert (read["messageId"], read["readerId"]) == (ids[1], str(ben))
        for other in (annas, laptop):
            assert await other.expect("MESSAGE_READ", seq=read["seq"]) == read
        assert len(phone.frames("MESSAGE_READ")) == 1, "the asking device has it once"
    async with system.rest(ben) as rest:
        page = (await rest.get(f"/conversations/{conversation}/messages?after=0")).json()
        assert [item["status"] == "READ" for item in page["items"]] == [True, True, False]
        assert page["items"][0]["readAt"] == read["readAt"]
        unread = (await rest.get("/unread")).json()
    assert unread == {"total": 1, "conversations": {str(conversation): 1}}


async def test_up_to_a_number_also_what_no_memory_holds(system: System, pair: Pair) -> None:
    """200 messages that nobody read, more than a router remembers: entries of 50 at most."""
    anna, ben, conversation = pair
    async with await system.open(anna) as annas, await system.open(ben) as bens:
        answers = [annas.send_message(conversation, f"number {n}") for n in range(200)]
        sent = await asyncio.gather(*answers)
        last = max(frame["seq"] for frame in sent)
        ids = [frame["messageId"] for frame in sorted(sent, key=lambda f: f["seq"])]
        nothing = await bens.mark_as_read(conversation, up_to_seq=0)
        assert nothing["messageIds"] == []
        part = await bens.mark_as_read(conversation, up_to_seq=last - 180)
        assert part["messageIds"] == ids[:20]
        await bens.mark_as_read(conversation, up_to_seq=last)

        async def are_told() -> bool:
            """Both users; what `mark_as_read` returned was the first of several entries."""
            return all(len(read_in(session)) >= len(ids) for session in (annas, bens))

        await until(are_told, 5, "all entries")
        assert read_in(annas) == read_in(bens) == ids
        assert all(len(f["messageIds"]) <= 50 for f in annas.frames("MESSAGE_READ"))
        again = await bens.mark_as_read(conversation, up_to_seq=last)
        assert (again["messageIds"], again["messageId"]) == ([], None), "nothing was left to read"
    history = await system.history(anna, conversation)
    assert {item["status"] for item in history} == {"READ"}


def read_in(session: Session) -> list[str]:
    """Message ids of all readings that it was told of."""
    frames = session.frames("MESSAGE_READ")
    return [message_id for frame in frames for message_id in frame["messageIds"]]


async def test_a_reading_by_rest_is_told_live(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with await system.open(anna) as annas, system.rest(ben) as bens:
        sent = await annas.send_message(conversation, "read me")
        for _ in range(2):
            response = await bens.put(f"/messages/{sent['messageId']}/read")
            assert response.status_code == 204, response.text
        read = await annas.expect("MESSAGE_READ")
        assert read["messageIds"] == [sent["messageId"]]
        message = (await bens.get(f"/messages/{sent['messageId']}")).json()
        assert (message["status"], message["readAt"]) == ("READ", read["readAt"])
        assert len(annas.frames("MESSAGE_READ")) == 1
    async with system.rest(anna) as sender:
        own = await sender.put(f"/messages/{sent['messageId']}/read")
        assert (own.status_code, own.json()["code"]) == (403, "NOT_RECIPIENT")
        unknown = await sender.put(f"/messages/{uuid4()}/read")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "MESSAGE_NOT_FOUND")


async def test_what_cannot_be_read(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with await system.open(anna) as annas, await system.open(uuid4()) as stranger:
        sent = await annas.send_message(conversation, "mine")
        refusals = {
            "NOT_RECIPIENT": annas.mark_as_read(conversation, [UUID(sent["messageId"])]),
            "MESSAGE_NOT_FOUND": annas.mark_as_read(conversation, [uuid4()]),
            "CONVERSATION_NOT_FOUND": annas.mark_as_read(uuid4(), [uuid4()]),
            "NOT_PARTICIPANT": stranger.mark_as_read(conversation, up_to_seq=9),
        }
        for error, attempt in refusals.items():
            with pytest.raises(Refused) as refused:
                await attempt
            assert refused.value.frame["error"] == error
            assert refused.value.frame["ref"]["type"] == "MARK_AS_READ"
    assert [item["status"] for item in await system.history(ben, conversation)] == ["SENT"]


async def test_the_unread_key_counts_until_read_and_is_rebuilt(system: System, pair: Pair) -> None:
    """`unread:{userId}`: conversation → count (issue 3, point 5)."""
    anna, ben, conversation = pair
    async with open_keys() as keys, await system.open(anna) as annas, system.rest(ben) as rest:
        sent = [await annas.send_message(conversation, str(n)) for n in range(3)]
        assert await keys.unread(ben) == {str(conversation): 3}
        assert await keys.unread(anna) == {}
        assert await keys.ttl(f"unread:{ben}") > 0
        await rest.put(f"/messages/{sent[0]['messageId']}/read")
        assert await keys.unread(ben) == {str(conversation): 2}
        async with system.rest(anna) as sender:
            await sender.delete(f"/messages/{sent[1]['messageId']}")
        assert await keys.unread(ben) == {str(conversation): 1}

        await keys.empty()
        expected = {"total": 1, "conversations": {str(conversation): 1}}
        assert (await rest.get("/unread")).json() == expected, "from PostgreSQL"

        async def is_rebuilt() -> bool:
            return bool(await keys.redis.hexists(f"unread:{ben}", "*"))

        await until(is_rebuilt, 5, "the router rebuilds the key")
        assert await keys.unread(ben) == {str(conversation): 1}
        assert (await rest.get("/unread")).json() == expected, "from Redis"
        await rest.put(f"/messages/{sent[2]['messageId']}/read")
        assert await keys.unread(ben) == {}
