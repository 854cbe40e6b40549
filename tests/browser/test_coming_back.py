"""What was missed while the network, or REST alone, was away is there once it is back."""

import re
from uuid import UUID, uuid4

from playwright.async_api import Route, expect

from tests.browser.conftest import Screens, Visit
from tests.integration.conftest import System

Pair = tuple[UUID, UUID, UUID]
UNREACHABLE = "The service can't be reached."


async def test_what_was_first_opened_offline_is_loaded_afterwards(
    visit: Visit, system: System, pair: Pair
) -> None:
    anna_id, carol = pair[0], uuid4()
    conversation = await system.conversation(carol, anna_id)
    async with await system.open(carol) as session:
        await session.send_message(conversation, "from Carol")
    anna = await visit(f"/?user={anna_id}")
    await expect(anna.pane.locator(".row")).to_have_count(2)
    await anna.button("Pull the cable").click()
    await anna.pane.locator(".row").filter(has_text="from Carol").click()
    await expect(anna.notice).to_have_text(UNREACHABLE)
    await anna.button("Plug it in").click()
    await expect(anna.bubbles).to_have_text(["from Carol"])
    # Whatever went wrong would have been said by now, and for some seconds.
    await expect(anna.notice).to_have_text(re.compile(f"^({re.escape(UNREACHABLE)})?$"), timeout=1)


async def test_what_was_said_before_an_archiving_is_there(screens: Screens) -> None:
    anna, ben = screens
    await anna.button("Pull the cable").click()
    await ben.write("bye")
    await ben.sees("bye", "SENT")
    await ben.button("Archive this conversation").click()
    await ben.page.get_by_role("dialog").get_by_role("button", name="Archive").click()
    await expect(ben.pane.locator(".closed")).to_be_visible()
    await anna.button("Plug it in").click()
    await expect(anna.pane.locator(".closed")).to_be_visible()
    await expect(anna.bubbles).to_have_text(["bye"])
    await expect(anna.badge).to_be_hidden()
    await ben.sees("bye", "READ")


async def test_a_first_list_that_fails_is_asked_again(visit: Visit, pair: Pair) -> None:
    anna = await visit(f"/?user={pair[0]}")
    await anna.is_ready()
    said = []

    async def away(route: Route) -> None:
        said.append(await anna.pane.locator(".empty").text_content())
        await route.fulfill(status=503, headers={"Retry-After": "0"})

    # A call is tried five times: the sixth is of a call after the one that failed.
    await anna.page.route("**/api/chat/conversations?*", away, times=6)
    await anna.page.reload()
    await anna.is_ready()
    assert said == ["Loading…"] * 6
