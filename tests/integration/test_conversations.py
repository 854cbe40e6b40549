"""A conversation is born of a match, once; both users learn of it."""

import asyncio
import json
import os
from uuid import UUID, uuid4

import aio_pika
import pytest

from tests.integration.conftest import System


async def publish_match(body: bytes, routing_key: str = "match.created") -> None:
    connection = await aio_pika.connect(os.environ["CHAT_AMQP_URL"])
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(
            "matches", aio_pika.ExchangeType.TOPIC, durable=True
        )
        await exchange.publish(aio_pika.Message(body, delivery_mode=2), routing_key)


def match(match_id: UUID, user1_id: UUID, user2_id: UUID) -> bytes:
    return json.dumps(
        {"matchId": str(match_id), "user1Id": str(user1_id), "user2Id": str(user2_id)}
    ).encode()


async def test_from_a_match_event_twice_is_one_conversation(system: System) -> None:
    anna, ben, match_id = uuid4(), uuid4(), uuid4()
    async with await system.open(anna) as phone, await system.open(ben) as bens:
        assert phone.heads == {}
        await publish_match(match(match_id, anna, ben))
        created = await phone.expect("CONVERSATION_CREATED")
        assert await bens.expect("CONVERSATION_CREATED") == created
        assert created["matchId"] == str(match_id)
        assert created["seq"] == 1
        assert set(created["userIds"]) == {str(anna), str(ben)}
        await publish_match(match(match_id, anna, ben))
        conversation = UUID(created["conversationId"])
        await phone.send_message(conversation, "we matched")
        await bens.expect("MESSAGE_RECEIVED", content="we matched")
    async with system.rest(ben) as rest:
        page = (await rest.get("/conversations")).json()
    assert [item["conversationId"] for item in page["items"]] == [str(conversation)]
    assert page["items"][0]["lastMessage"]["content"] == "we matched"
    assert page["items"][0]["unreadCount"] == 1


async def test_from_rest_by_a_service(system: System) -> None:
    anna, ben = uuid4(), uuid4()
    body = {"matchId": str(uuid4()), "user1Id": str(anna), "user2Id": str(ben)}
    async with await system.open(anna) as phone, system.rest() as service:
        first = await service.post("/conversations", json=body)
        assert first.status_code == 201
        again = await service.post("/conversations", json=body)
        assert again.status_code == 200
        assert again.json()["conversationId"] == first.json()["conversationId"]
        created = await phone.expect("CONVERSATION_CREATED")
        assert created["conversationId"] == first.json()["conversationId"]
        other = await service.post("/conversations", json=body | {"user2Id": str(uuid4())})
        assert (other.status_code, other.json()["code"]) == (400, "MATCH_CONFLICT")
        same = await service.post("/conversations", json=body | {"user2Id": str(anna)})
        assert (same.status_code, same.json()["code"]) == (400, "SAME_USER")


async def test_many_at_once_for_one_match_are_one(system: System) -> None:
    body = {"matchId": str(uuid4()), "user1Id": str(uuid4()), "user2Id": str(uuid4())}
    async with system.rest() as service:
        posts = (service.post("/conversations", json=body) for _ in range(8))
        responses = await asyncio.gather(*posts)
    assert sorted(response.status_code for response in responses) == [200] * 7 + [201]
    assert len({response.json()["conversationId"] for response in responses}) == 1


async def test_users_may_not_make_conversations(system: System) -> None:
    body = {"matchId": str(uuid4()), "user1Id": str(uuid4()), "user2Id": str(uuid4())}
    async with system.rest(uuid4()) as rest:
        response = await rest.post("/conversations", json=body)
    assert (response.status_code, response.json()["code"]) == (403, "NOT_PERMITTED")


async def test_who_may_see_a_conversation(system: System, pair: tuple[UUID, UUID, UUID]) -> None:
    anna, ben, conversation = pair
    async with system.rest(ben) as rest:
        seen = (await rest.get(f"/conversations/{conversation}")).json()
        assert seen["otherUserId"] == str(anna)
        assert set(seen["userIds"]) == {str(anna), str(ben)}
        assert (seen["lastMessage"], seen["archivedAt"], seen["head"]) == (None, None, 1)
        unknown = await rest.get(f"/conversations/{uuid4()}")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "CONVERSATION_NOT_FOUND")
    async with system.rest(uuid4()) as stranger:
        for path in (f"/conversations/{conversation}", f"/conversations/{conversation}/messages"):
            response = await stranger.get(path)
            assert (response.status_code, response.json()["code"]) == (403, "NOT_PARTICIPANT")
            assert response.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize("token", [None, "garbage", "expired"])
async def test_rest_refuses_bad_tokens(system: System, token: str | None) -> None:
    async with system.rest(uuid4()) as rest:
        rest.headers.pop("Authorization")
        if token:
            value = system.token(uuid4(), lasts_s=-60) if token == "expired" else token
            rest.headers["Authorization"] = f"Bearer {value}"
        response = await rest.get("/conversations")
    expected = {None: "UNAUTHENTICATED", "garbage": "TOKEN_INVALID", "expired": "TOKEN_EXPIRED"}
    assert (response.status_code, response.json()["code"]) == (401, expected[token])
    assert response.headers["www-authenticate"].startswith("Bearer")
