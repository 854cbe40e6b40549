"""Whose chat `make chat` opens, and where (local/chat.py)."""

from uuid import UUID, uuid4

import pytest

from libs.client.session import Session
from local.chat import at_home, elsewhere
from local.failure import StackError
from local.stack import Stack
from local.terminal.names import name_of
from tests.integration.conftest import System
from tests.integration.watching import House

Pair = tuple[UUID, UUID, UUID]


async def test_without_more_two_new_users_match(house: House, system: System) -> None:
    visit = await at_home(house.stack, None, None)
    async with system.rest(visit.user_id) as rest:
        [found] = (await rest.get("/conversations")).json()["items"]
    assert UUID(found["conversationId"]) == visit.open_id
    other = UUID(found["otherUserId"])
    assert name_of(other) != name_of(visit.user_id)
    assert f"make chat USER={other}" in visit.hint(other)
    token = await visit.token(fresh=True)
    async with await Session.open(f"{visit.edge}/api/chat/ws".replace("http", "ws", 1), token):
        pass


async def test_with_somebody_their_conversation_is_opened_or_made(
    house: House, system: System, pair: Pair
) -> None:
    anna, ben, conversation = pair
    assert (await at_home(house.stack, str(anna), None)).open_id is None, "the list"
    assert (await at_home(house.stack, str(anna), str(ben))).open_id == conversation
    async with system.rest(anna) as rest:
        await rest.delete(f"/conversations/{conversation}")
    made = (await at_home(house.stack, str(anna), str(ben))).open_id
    assert made not in (None, conversation), "an archived one is over"
    assert (await at_home(house.stack, str(ben), str(anna))).open_id == made


async def test_elsewhere_it_is_the_tokens_user(system: System, pair: Pair) -> None:
    given = system.token(pair[0])
    visit = elsewhere(f"{system.edge}/", {"CHAT_TOKEN": given})
    assert (visit.edge, visit.user_id) == (system.edge, pair[0])
    assert await visit.token(fresh=True) == given
    for wrong in ({}, {"CHAT_TOKEN": "x"}, {"CHAT_TOKEN": system.token(pair[0], sub="Anna")}):
        with pytest.raises(StackError, match="CHAT_TOKEN has to be your token there"):
            elsewhere(system.edge, wrong)


async def test_what_cannot_be_is_told(house: House) -> None:
    with pytest.raises(StackError, match=r"'Anna' is not a UUID\. For example: make chat USER="):
        await at_home(house.stack, "Anna", None)
    with pytest.raises(StackError, match="not a UUID"):
        await at_home(house.stack, str(uuid4()), "Ben")
    with pytest.raises(StackError, match="Nothing is running"):
        await at_home(Stack(f"nothing-{uuid4().hex[:8]}"), None, None)
