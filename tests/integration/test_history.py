"""History by REST: both directions, cursors, and what was told is there at once."""

from uuid import UUID, uuid4

from tests.integration.conftest import System

Pair = tuple[UUID, UUID, UUID]


async def test_what_was_acknowledged_is_read_at_once(system: System, pair: Pair) -> None:
    """Also in the 100 ms before the persister has written, on every kind of read."""
    anna, ben, conversation = pair
    path = f"/conversations/{conversation}"
    async with await system.open(anna) as phone, system.rest(ben) as rest:
        for number in range(30):
            sent = await phone.send_message(conversation, f"number {number}")
            match number % 4:
                case 0:
                    page = (await rest.get(f"{path}/messages", params={"limit": 1})).json()
                    newest = page["items"][0]
                case 1:
                    newest = (await rest.get(path)).json()["lastMessage"]
                case 2:
                    newest = (await rest.get("/conversations")).json()["items"][0]["lastMessage"]
                case _:
                    newest = (await rest.get(f"/messages/{sent['messageId']}")).json()
            assert newest["messageId"] == sent["messageId"]
            assert newest["content"] == f"number {number}"


async def test_a_new_conversation_is_listed_at_once(system: System, pair: Pair) -> None:
    anna, _, conversation = pair
    async with system.rest(anna) as rest:
        page = (await rest.get("/conversations")).json()
    assert [item["conversationId"] for item in page["items"]] == [str(conversation)]


async def test_pages_in_both_directions(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    path = f"/conversations/{conversation}/messages"
    async with await system.open(anna) as phone:
        sent = [await phone.send_message(conversation, str(n)) for n in range(25)]
    expected = [answer["messageId"] for answer in sent]
    async with system.rest(ben) as rest:
        for direction, wanted in (("before", expected[::-1]), ("after", expected)):
            found: list[str] = []
            parameters = {"limit": "10"} | ({"after": "0"} if direction == "after" else {})
            pages = 0
            while True:
                page = (await rest.get(path, params=parameters)).json()
                found += [message["messageId"] for message in page["items"]]
                pages += 1
                if page["nextCursor"] is None:
                    break
                parameters[direction] = page["nextCursor"]
            assert (found, pages) == (wanted, 3)


async def test_bad_parameters(system: System, pair: Pair) -> None:
    path = f"/conversations/{pair[2]}/messages"
    async with system.rest(pair[0]) as rest:
        for query in ("limit=0", "limit=101", "limit=x", "before=x", "before=1&after=1"):
            response = await rest.get(f"{path}?{query}")
            assert (response.status_code, response.json()["code"]) == (400, "INVALID_FIELD"), query


async def test_conversations_page_by_newest_activity(system: System) -> None:
    anna = uuid4()
    conversations = [await system.conversation(anna, uuid4()) for _ in range(5)]
    async with await system.open(anna) as phone:
        for conversation in (conversations[3], conversations[0]):
            await phone.send_message(conversation, "up")
    expected = [conversations[index] for index in (0, 3, 4, 2, 1)]
    found: list[UUID] = []
    parameters = {"limit": "2"}
    async with system.rest(anna) as rest:
        while True:
            page = (await rest.get("/conversations", params=parameters)).json()
            found += [UUID(item["conversationId"]) for item in page["items"]]
            if page["nextCursor"] is None:
                break
            parameters["cursor"] = page["nextCursor"]
    assert found == expected
