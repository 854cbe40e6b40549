"""Deletion and archiving: gone for both, everywhere, at once; the log goes on."""

import json
from uuid import UUID, uuid4

import pytest

from libs.client.session import Refused
from tests.integration.conftest import System
from tests.integration.keys import open_keys
from tests.integration.queues import open_queues
from tests.integration.watching import until

Pair = tuple[UUID, UUID, UUID]


async def test_a_deleted_message_is_gone_everywhere_at_once(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    secret = f"secret{uuid4().hex}"
    path = f"/conversations/{conversation}"
    async with (
        await system.open(anna) as annas,
        await system.open(ben) as bens,
        system.rest(anna) as sender,
        system.rest(ben) as reader,
    ):
        sent = await annas.send_message(conversation, secret)
        message = f"/messages/{sent['messageId']}"
        assert secret in (await reader.get(f"{path}/messages")).text, "and now it is cached"
        assert secret in (await reader.get(f"/messages/search?q={secret}")).text
        for _ in range(2):
            assert (await sender.delete(message)).status_code == 204
        for session in (annas, bens):
            deleted = await session.expect("MESSAGE_DELETED")
            assert deleted["messageId"] == sent["messageId"]
            assert len(session.frames("MESSAGE_DELETED")) == 1
        for call in (message, path, f"{path}/messages", "/conversations", f"{path}/sync?after=0"):
            answer = await reader.get(call)
            assert answer.status_code == 200, call
            assert secret not in answer.text, call
        assert (await reader.get(f"/messages/search?q={secret}")).json()["items"] == []
        tombstone = (await reader.get(message)).json()
        assert (tombstone["content"], tombstone["deletedAt"]) == (None, deleted["deletedAt"])
        assert tombstone["changedSeq"] == deleted["seq"]
        assert (await reader.get("/unread")).json()["total"] == 0
        async with open_keys() as keys:
            cached = await keys.redis.hgetall(f"messages:{conversation}")
            assert secret not in str(cached)


async def test_who_may_not_delete(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with await system.open(anna) as annas:
        sent = await annas.send_message(conversation, "mine")
    for user, code, error in ((ben, 403, "NOT_SENDER"), (uuid4(), 403, "NOT_PARTICIPANT")):
        async with system.rest(user) as rest:
            answer = await rest.delete(f"/messages/{sent['messageId']}")
            assert (answer.status_code, answer.json()["code"]) == (code, error)
            unknown = await rest.delete(f"/messages/{uuid4()}")
            assert (unknown.status_code, unknown.json()["code"]) == (404, "MESSAGE_NOT_FOUND")
    [message] = await system.history(ben, conversation)
    assert message["content"] == "mine"


async def test_an_archived_conversation_is_read_only_for_both(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with (
        await system.open(anna) as annas,
        await system.open(ben) as bens,
        system.rest(ben) as rest,
    ):
        client_id = uuid4()
        sent = await annas.send_message(conversation, "before", client_id)
        for _ in range(2):
            assert (await rest.delete(f"/conversations/{conversation}")).status_code == 204
        for session in (annas, bens):
            archived = await session.expect("CONVERSATION_ARCHIVED")
            assert archived["conversationId"] == str(conversation)
            with pytest.raises(Refused) as refused:
                await session.send_message(conversation, "after")
            assert refused.value.frame["error"] == "CONVERSATION_ARCHIVED"
            assert len(session.frames("CONVERSATION_ARCHIVED")) == 1
        again = await annas.send_message(conversation, "before", client_id)
        assert again["messageId"] == sent["messageId"], "a repeated send is still answered"
        read = await bens.mark_as_read(conversation, [UUID(sent["messageId"])])
        assert read["messageIds"] == [sent["messageId"]]
        active = (await rest.get("/conversations?archived=false")).json()["items"]
        assert active == []
        [item] = (await rest.get("/conversations?archived=true")).json()["items"]
        assert item["archivedAt"] == archived["archivedAt"]
        assert (await rest.get("/unread")).json() == {"total": 0, "conversations": {}}
    async with await system.open(anna) as annas:
        assert annas.heads == {}
    assert len(await system.history(anna, conversation)) == 1


async def test_a_removed_match_archives_its_conversation(system: System) -> None:
    anna, ben, match_id = uuid4(), uuid4(), uuid4()
    match = {"matchId": str(match_id), "user1Id": str(anna), "user2Id": str(ben)}
    async with await system.open(anna) as annas, open_queues() as queues:
        await queues.announce("match.created", json.dumps(match).encode())
        created = await annas.expect("CONVERSATION_CREATED")
        await queues.announce("match.removed", json.dumps(match).encode())
        archived = await annas.expect("CONVERSATION_ARCHIVED")
        assert (archived["conversationId"], archived["seq"]) == (created["conversationId"], 2)
        # Once more, and one that nobody knows: no harm.
        await queues.announce("match.removed", json.dumps(match).encode())
        unknown = match | {"matchId": str(uuid4())}
        await queues.announce("match.removed", json.dumps(unknown).encode())
        other = match | {"matchId": str(uuid4())}
        await queues.announce("match.created", json.dumps(other).encode())
        await annas.expect("CONVERSATION_CREATED", matchId=other["matchId"])
        assert len(annas.frames("CONVERSATION_ARCHIVED")) == 1
        assert await queues.take_dead() == []


async def test_created_and_removed_in_one_breath(system: System) -> None:
    """No removal overtakes its match's creation."""
    anna = uuid4()
    async with await system.open(anna) as annas, open_queues() as queues:
        for _ in range(20):
            match = {"matchId": str(uuid4()), "user1Id": str(anna), "user2Id": str(uuid4())}
            for key in ("match.created", "match.removed"):
                await queues.announce(key, json.dumps(match).encode())
        last = match["matchId"]
        created = await annas.expect("CONVERSATION_CREATED", matchId=last)
        await annas.expect("CONVERSATION_ARCHIVED", conversationId=created["conversationId"])

        async def all_archived() -> bool:
            return len(annas.frames("CONVERSATION_ARCHIVED")) == 20

        await until(all_archived, 5, "all are archived, in every partition")
