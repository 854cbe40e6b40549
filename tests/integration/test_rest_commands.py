"""What changes something by REST: done when it answers, told to everybody, safe to repeat."""

import asyncio
import signal
from uuid import UUID, uuid4

from local.roles import ROUTER
from tests.integration.conftest import System
from tests.integration.watching import until, whole_house

Pair = tuple[UUID, UUID, UUID]


async def test_reading_a_message(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with (
        await system.open(anna) as annas,
        system.rest(anna) as sender,
        system.rest(ben) as reader,
    ):
        sent = [await annas.send_message(conversation, str(n)) for n in range(3)]
        path = f"/messages/{sent[1]['messageId']}"
        for _ in range(2):
            answer = await reader.put(f"{path}/read")
            assert (answer.status_code, answer.content) == (204, b"")
        told = await annas.expect("MESSAGE_READ")
        assert (told["messageIds"], told["readerId"]) == ([sent[1]["messageId"]], str(ben))
        assert len(annas.frames("MESSAGE_READ")) == 1
        for rest in (sender, reader):
            message = (await rest.get(path)).json()
            assert (message["status"], message["readAt"]) == ("READ", told["readAt"])
        unread = (await reader.get("/unread")).json()
        assert unread == {"total": 2, "conversations": {str(conversation): 2}}
        assert (await reader.get(f"/conversations/{conversation}")).json()["unreadCount"] == 2
        refused = await sender.put(f"{path}/read")
        assert (refused.status_code, refused.json()["code"]) == (403, "NOT_RECIPIENT")


async def test_who_may_not_and_what_is_not_there(system: System, pair: Pair) -> None:
    anna, _, conversation = pair
    async with await system.open(anna) as annas, system.rest(anna) as own:
        sent = await annas.send_message(conversation, "mine")
        await own.get(f"/messages/{sent['messageId']}")
        calls = (
            ("PUT", f"/messages/{sent['messageId']}/read", "MESSAGE_NOT_FOUND"),
            ("DELETE", f"/messages/{sent['messageId']}", "MESSAGE_NOT_FOUND"),
            ("DELETE", f"/conversations/{conversation}", "CONVERSATION_NOT_FOUND"),
            ("GET", f"/conversations/{conversation}/sync?after=0", "CONVERSATION_NOT_FOUND"),
        )
        for method, path, not_found in calls:
            for stranger in (system.rest(uuid4()), system.rest()):
                async with stranger:
                    refused = await stranger.request(method, path)
                assert (refused.status_code, refused.json()["code"]) == (403, "NOT_PARTICIPANT")
            known = sent["messageId"] if "/messages/" in path else str(conversation)
            missing = await own.request(method, path.replace(known, str(uuid4())))
            assert (missing.status_code, missing.json()["code"]) == (404, not_found)
            odd = await own.request(method, path.replace(known, "x"))
            assert (odd.status_code, odd.json()["code"]) == (400, "INVALID_FIELD")


async def test_archiving_what_is_archived(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with await system.open(ben) as bens, system.rest(anna) as rest:
        for _ in range(3):
            assert (await rest.delete(f"/conversations/{conversation}")).status_code == 204
        await bens.expect("CONVERSATION_ARCHIVED")
        assert len(bens.frames("CONVERSATION_ARCHIVED")) == 1
        seen = (await rest.get(f"/conversations/{conversation}")).json()
        assert seen["archivedAt"] is not None
        assert seen["otherUserOnline"] is False, "archived: nobody's presence is shown"


async def test_sync_in_pages_is_the_same_as_by_websocket(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    path = f"/conversations/{conversation}/sync"
    async with await system.open(anna) as annas, system.rest(ben) as rest:
        sent = [await annas.send_message(conversation, str(n)) for n in range(7)]
        deleted = f"/messages/{sent[0]['messageId']}"
        async with system.rest(anna) as sender:
            assert (await sender.delete(deleted)).status_code == 204
        pages, after = [], 0
        while True:
            page = (await rest.get(path, params={"after": after, "limit": 3})).json()
            pages.append(page)
            if page["complete"]:
                break
            after = page["messages"][-1]["changedSeq"]
        told = await annas.sync(conversation, 0)
        messages = [message for page in pages for message in page["messages"]]
        assert [one["messageId"] for one in messages] == [
            one["messageId"] for one in (*sent[1:], sent[0])
        ]
        assert (messages[-1]["content"], messages[0]["content"]) == (None, "1")
        assert [one["changedSeq"] for one in told["messages"]] == [
            one["changedSeq"] for one in messages
        ]
        assert pages[-1]["head"] == told["head"] == messages[-1]["changedSeq"]
        nothing = (await rest.get(path, params={"after": told["head"]})).json()
        assert (nothing["messages"], nothing["complete"]) == ([], True)
        beyond = (await rest.get(path, params={"after": 2**63 - 1})).json()
        assert (beyond["messages"], beyond["complete"]) == ([], True)
        for wrong in ("", "?after=x", "?after=-1", "?after=0&limit=201"):
            refused = await rest.get(path + wrong)
            assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_FIELD")


async def test_who_is_online_is_shown(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair

    async def is_shown(online: bool) -> bool:
        async with system.rest(ben) as rest:
            one = (await rest.get(f"/conversations/{conversation}")).json()
            [listed] = (await rest.get("/conversations")).json()["items"]
        return one["otherUserOnline"] is listed["otherUserOnline"] is online

    assert await is_shown(False)
    async with await system.open(anna):
        await until(lambda: is_shown(True), 5, "Anna is online")
    await until(lambda: is_shown(False), 10, "Anna is offline")


async def test_a_command_without_an_answer(system: System, pair: Pair) -> None:
    """503 in time, with when to come back; repeated, it is done once."""
    anna, _, conversation = pair
    async with whole_house() as house, await system.open(anna) as annas, system.rest(anna) as rest:
        sent = await annas.send_message(conversation, "gone in any case")
        path = f"/messages/{sent['messageId']}"
        await rest.get(path)
        routers = house.programs(ROUTER)
        for router in routers:
            house.send(router, signal.SIGSTOP)
        try:
            # Two at once: each waits for its whole deadline.
            answers = await asyncio.gather(rest.delete(path), rest.delete(path))
        finally:
            for router in routers:
                house.send(router, signal.SIGCONT)
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
            assert int(answer.headers["retry-after"]) >= 1
        assert (await rest.delete(path)).status_code == 204
        await annas.expect("MESSAGE_DELETED")
        assert (await rest.get(path)).json()["content"] is None
        assert len(annas.frames("MESSAGE_DELETED")) == 1
