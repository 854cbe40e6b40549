"""Badges of conversations that aren't open: as many as the service counts."""

import asyncio
from uuid import UUID, uuid4

from playwright.async_api import Route, expect

from tests.browser.conftest import Visit
from tests.browser.screen import Screen
from tests.integration.conftest import System

Pair = tuple[UUID, UUID, UUID]
Others = tuple[UUID, UUID, list[str]]


async def _other(system: System, user_id: UUID) -> Others:
    """Somebody who has sent three messages: who, where, and the messages' ids."""
    other = uuid4()
    conversation = await system.conversation(other, user_id)
    async with await system.open(other) as session:
        sent = [await session.send_message(conversation, f"hello {n}") for n in range(3)]
    return other, conversation, [each["messageId"] for each in sent]


async def _delete(system: System, sender: UUID, message_id: str) -> None:
    async with system.rest(sender) as rest:
        response = await rest.delete(f"/messages/{message_id}")
    assert response.status_code == 204, response.text


async def _sees_three(visit: Visit, user_id: UUID) -> Screen:
    screen = await visit(f"/?user={user_id}")
    await expect(screen.badge).to_have_text("3 unread")
    return screen


async def test_a_deleted_message_that_was_never_loaded_counts_no_more(
    visit: Visit, system: System, pair: Pair
) -> None:
    carol, _, messages = await _other(system, pair[0])
    anna = await _sees_three(visit, pair[0])
    await _delete(system, carol, messages[0])
    await expect(anna.badge).to_have_text("2 unread")


async def test_an_answer_that_was_overtaken_is_asked_for_again(
    visit: Visit, system: System, pair: Pair
) -> None:
    carol, conversation, _ = await _other(system, pair[0])
    anna = await _sees_three(visit, pair[0])
    was_overtaken, listing = asyncio.Event(), asyncio.Event()
    async with await system.open(carol) as session:

        async def overtaken(route: Route) -> None:
            row = await route.fetch()
            await session.send_message(conversation, "one more")
            await expect(anna.badge).to_have_text("4 unread")  # the missed one is not counted yet
            was_overtaken.set()
            await route.fulfill(response=row)

        async def slow(route: Route) -> None:
            await listing.wait()
            await route.continue_()

        await anna.button("Pull the cable").click()
        await session.send_message(conversation, "missed")
        await anna.page.route(f"**/api/chat/conversations/{conversation}", overtaken, times=1)
        await anna.page.route("**/api/chat/conversations?*", slow)
        await anna.button("Plug it in").click()
        async with asyncio.timeout(20):
            await was_overtaken.wait()
        await expect(anna.badge).to_have_text("5 unread")
    async with anna.page.expect_response("**/api/chat/conversations?*"):
        listing.set()
