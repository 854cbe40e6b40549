"""`messages:{conversation}` and `unread:{user}`: read directly, used, never stale, and rebuilt."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import httpx

from services.rest_api.recent import _FILL
from tests.integration.conftest import System
from tests.integration.keys import Keys, open_keys
from tests.integration.watching import until

Pair = tuple[UUID, UUID, UUID]


async def items(rest: httpx.AsyncClient, conversation: UUID, **query: int | str) -> list[Any]:
    answer = await rest.get(f"/conversations/{conversation}/messages", params=query)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["items"]
    return found


async def is_good(keys: Keys, user: UUID, conversation: UUID) -> bool:
    """Whether the copy would be used: it is of the head that the user was told."""
    head = await keys.redis.hget(f"messages:{conversation}", "head")
    return head is not None and head == await keys.redis.hget(f"heads:{user}", str(conversation))


async def forge(keys: Keys, conversation: UUID, content: str) -> None:
    """Puts into the copy what nobody sent: whoever reads it has read the copy."""
    key = f"messages:{conversation}"
    copy = json.loads(await keys.redis.hget(key, "items"))
    copy[0]["content"] = content
    await keys.redis.hset(key, "items", json.dumps(copy))


async def test_the_newest_messages_are_kept_and_used(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    key = f"messages:{conversation}"
    async with (
        open_keys() as keys,
        await system.open(anna) as phone,
        system.rest(ben) as rest,
        system.rest(uuid4()) as stranger,
    ):
        sent = [await phone.send_message(conversation, str(n)) for n in range(60)]
        first = await items(rest, conversation)
        assert [one["messageId"] for one in first] == [
            one["messageId"] for one in reversed(sent[10:])
        ]
        copy = await keys.redis.hgetall(key)
        assert json.loads(copy[b"items"]) == first
        assert (int(copy[b"head"]), copy[b"older"]) == (sent[-1]["seq"], b"1")
        assert 0 < await keys.ttl(key) <= 3600
        await forge(keys, conversation, "forged")
        for query, count in (({}, 50), ({"limit": 1}, 1), ({"limit": 50}, 50)):
            page = await items(rest, conversation, **query)
            assert (page[0]["content"], len(page)) == ("forged", count)
        cursors = [
            (await rest.get(f"/conversations/{conversation}/messages?limit={n}")).json()
            for n in (10, 50)
        ]
        assert [page["nextCursor"] for page in cursors] == [
            str(sent[50]["seq"]),
            str(sent[10]["seq"]),
        ]
        older = await items(rest, conversation, before=cursors[1]["nextCursor"])
        assert [one["content"] for one in older] == [str(n) for n in reversed(range(10))]
        refused = await stranger.get(f"/conversations/{conversation}/messages")
        assert refused.status_code == 403
        for query in ({"limit": 51}, {"after": 0}):
            assert all(
                one["content"] != "forged" for one in await items(rest, conversation, **query)
            )
        await phone.send_message(conversation, "new")
        assert [one["content"] for one in await items(rest, conversation, limit=2)] == ["new", "59"]


async def test_a_short_conversation_ends_where_it_ends(system: System, pair: Pair) -> None:
    anna, _, conversation = pair
    path = f"/conversations/{conversation}/messages"
    async with await system.open(anna) as phone, system.rest(anna) as rest:
        for _ in range(2):
            page = (await rest.get(path)).json()
            assert (page["items"], page["nextCursor"]) == ([], None)
        for n in range(50):
            await phone.send_message(conversation, str(n))
        for _ in range(2):
            page = (await rest.get(path)).json()
            assert (len(page["items"]), page["nextCursor"]) == (50, None)


async def test_a_client_message_id_is_its_senders_alone(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    client_id = uuid4()
    async with (
        open_keys() as keys,
        await system.open(anna) as phone,
        system.rest(anna) as sender,
        system.rest(ben) as reader,
    ):
        await phone.send_message(conversation, "mine", client_id)
        for _ in range(2):
            [seen] = await items(reader, conversation)
            assert "clientMessageId" not in seen
            [own] = await items(sender, conversation)
            assert own["clientMessageId"] == str(client_id)
            assert await is_good(keys, anna, conversation)


async def test_a_deleted_content_stays_gone(system: System, pair: Pair) -> None:
    """Also when a reader that was slow comes with what it has read before."""
    anna, ben, conversation = pair
    key = f"messages:{conversation}"
    async with (
        open_keys() as keys,
        await system.open(anna) as phone,
        system.rest(anna) as sender,
        system.rest(ben) as reader,
    ):
        sent = await phone.send_message(conversation, "secret")
        await items(reader, conversation)
        before = await keys.redis.hgetall(key)
        assert b"secret" in before[b"items"]
        assert (await sender.delete(f"/messages/{sent['messageId']}")).status_code == 204
        assert b"items" not in await keys.redis.hgetall(key), "a bare, higher head"
        stale = (before[b"head"], before[b"items"], "0", "3600")
        assert await keys.redis.eval(_FILL.text, 1, key, *stale) == 0
        for _ in range(2):
            [tombstone] = await items(reader, conversation)
            assert (tombstone["content"], tombstone["messageId"]) == (None, sent["messageId"])
        assert b"secret" not in (await keys.redis.hgetall(key))[b"items"]


async def test_no_reader_ever_misses_what_was_told(system: System, pair: Pair) -> None:
    """Many read at once, over whichever process, while one writes."""
    anna, ben, conversation = pair
    told: list[str] = []
    stop = asyncio.Event()

    async def read(rest: httpx.AsyncClient) -> None:
        while not stop.is_set():
            known = list(told)
            page = await items(rest, conversation)
            newest = [one["messageId"] for one in page]
            assert set(known) <= set(newest)
            assert [one["seq"] for one in page] == sorted(
                (one["seq"] for one in page), reverse=True
            )

    async with (
        await system.open(anna) as phone,
        system.rest(anna) as first,
        system.rest(ben) as second,
        asyncio.TaskGroup() as tasks,
    ):
        told.append((await phone.send_message(conversation, "first"))["messageId"])
        for rest in (first, second, second):
            tasks.create_task(read(rest))
        for n in range(40):
            sent = await phone.send_message(conversation, str(n))
            told.append(sent["messageId"])
        stop.set()


async def test_redis_is_emptied_and_filled_again(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with (
        open_keys() as keys,
        await system.open(anna) as phone,
        system.rest(ben) as rest,
    ):
        sent = [await phone.send_message(conversation, str(n)) for n in range(5)]
        expected = [one["messageId"] for one in reversed(sent)]
        for _ in range(2):
            await keys.empty()
            # Nothing is known of Ben now, and he has no session that would bring it back.
            assert [one["messageId"] for one in await items(rest, conversation)] == expected
            assert (await rest.get("/unread")).json() == {
                "total": 5,
                "conversations": {str(conversation): 5},
            }

        async def is_back() -> bool:
            await items(rest, conversation)
            complete = await keys.redis.hget(f"unread:{ben}", "*")
            return complete is not None and await is_good(keys, ben, conversation)

        await until(is_back, 30, "both caches are filled again")
        assert await keys.unread(ben) == {str(conversation): 5}
        copy = await keys.redis.hgetall(f"messages:{conversation}")
        assert [one["messageId"] for one in json.loads(copy[b"items"])] == expected
        assert [one["messageId"] for one in await items(rest, conversation)] == expected
        await phone.send_message(conversation, "5")
        assert len(await items(rest, conversation)) == 6
        assert (await rest.get("/unread")).json()["total"] == 6


async def test_unread_counts_come_from_redis(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    quiet = await system.conversation(ben, uuid4())
    async with (
        open_keys() as keys,
        await system.open(anna) as phone,
        system.rest(ben) as rest,
        system.rest(anna) as sender,
    ):
        sent = [await phone.send_message(conversation, str(n)) for n in range(3)]

        async def is_complete() -> bool:
            assert (await rest.get("/unread")).json()["total"] == 3
            return await keys.redis.hget(f"unread:{ben}", "*") is not None

        await until(is_complete, 15, "the router has loaded Ben's counts")
        assert await keys.unread(ben) == {str(conversation): 3}
        assert 0 < await keys.ttl(f"unread:{ben}") <= 86400
        await keys.redis.hset(f"unread:{ben}", str(quiet), 1000)
        assert (await rest.get("/unread")).json() == {
            "total": 1003,
            "conversations": {str(conversation): 3, str(quiet): 1000},
        }
        await keys.redis.hdel(f"unread:{ben}", str(quiet))
        assert (await rest.put(f"/messages/{sent[0]['messageId']}/read")).status_code == 204
        assert (await rest.get("/unread")).json()["total"] == 2
        assert (await sender.delete(f"/messages/{sent[1]['messageId']}")).status_code == 204
        assert (await rest.get("/unread")).json()["total"] == 1
        assert (await sender.get("/unread")).json() == {"total": 0, "conversations": {}}
