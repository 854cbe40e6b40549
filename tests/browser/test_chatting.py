"""Two users in browsers of their own, or one in two tabs."""

from uuid import UUID, uuid4

from playwright.async_api import expect

from tests.browser.conftest import Screens, Visit
from tests.integration.conftest import System

Pair = tuple[UUID, UUID, UUID]


async def test_two_browsers_chat_and_ticks_go_up(visit: Visit, pair: Pair) -> None:
    anna_id, ben_id, _ = pair
    anna = await visit(f"/?user={anna_id}")
    await anna.is_ready()
    await anna.write("Are you there?")
    await anna.sees("Are you there?", "SENT")
    await expect(anna.pane.locator(".title")).to_contain_text("offline")

    ben = await visit(f"/?user={ben_id}")
    await ben.sees("Are you there?")
    await anna.sees("Are you there?", "READ")
    await expect(anna.pane.locator(".title")).to_contain_text("online")
    await expect(ben.pane.locator(".divider")).to_be_visible()

    await ben.composer.press_sequentially("Yes")
    await expect(anna.pane.locator(".typing")).to_be_visible()
    await ben.composer.press("Enter")
    await anna.sees("Yes")
    await expect(anna.pane.locator(".typing")).to_be_hidden()
    assert await anna.texts() == await ben.texts() == ["Are you there?", "Yes"]


async def test_delivered_is_not_yet_read(visit: Visit) -> None:
    both = await visit("/")
    anna, ben = (both.of(user) for user in await both.users())
    await anna.is_ready()
    await ben.is_ready()
    await anna.write("Look here")
    await anna.sees("Look here", "DELIVERED")
    await expect(ben.badge).to_have_text("1 unread")
    await expect(ben.pane.locator(".divider")).to_be_visible()
    await ben.composer.click()
    await anna.sees("Look here", "READ")
    await expect(ben.badge).to_be_hidden()


async def test_a_reload_keeps_everything(visit: Visit) -> None:
    both = await visit("/")
    users = await both.users()
    anna, ben = (both.of(user) for user in users)
    await anna.is_ready()
    await anna.write("one")
    await anna.sees("one", "DELIVERED")
    await ben.composer.click()
    await ben.write("two")
    await anna.composer.fill("a draft")
    await anna.sees("one", "READ")
    await ben.sees("two", "READ")
    await both.page.reload()
    assert await both.users() == users
    for pane in (anna, ben):
        await pane.is_ready()
        await expect(pane.bubbles).to_have_text(["one", "two"])
    await anna.sees("one", "READ")
    await expect(anna.composer).to_have_value("a draft")


async def test_two_tabs_of_one_user_agree(visit: Visit, system: System) -> None:
    ben, others = uuid4(), [uuid4(), uuid4()]
    conversations = [await system.conversation(other, ben) for other in others]
    for other, conversation in zip(others, conversations, strict=True):
        async with await system.open(other) as session:
            for number in range(3):
                await session.send_message(conversation, f"hello {number}")
    first = await visit(f"/?user={ben}")
    second = await visit(f"/?user={ben}", beside=first)
    for tab in (first, second):
        await expect(tab.badge).to_have_text(["3 unread", "3 unread"])
    await first.open()
    for tab in (first, second):
        await expect(tab.badge).to_have_text(["3 unread"])
    await second.open(1)
    for tab in (first, second):
        await expect(tab.badge).to_have_count(0)
    await second.write("from the second tab")
    # Which brings its conversation to the top of the list, in this tab too.
    await expect(first.pane.locator(".row").first).to_contain_text("from the second tab")
    await first.open(0)
    await first.sees("from the second tab")


async def test_a_deleted_message_leaves_a_tombstone(screens: Screens) -> None:
    anna, ben = screens
    await anna.write("a slip")
    await ben.sees("a slip")
    await anna.message("a slip").hover()
    await anna.button("Delete this message").click()
    await anna.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    for screen in (anna, ben):
        await expect(screen.bubbles).to_have_text(["Message deleted"])
    await ben.page.reload()
    await expect(ben.bubbles).to_have_text(["Message deleted"])


async def test_an_archived_conversation_is_read_only(screens: Screens) -> None:
    anna, ben = screens
    await anna.write("farewell")
    await ben.sees("farewell")
    await anna.button("Archive this conversation").click()
    await anna.page.get_by_role("dialog").get_by_role("button", name="Archive").click()
    for screen in (anna, ben):
        await expect(screen.pane.locator(".closed")).to_be_visible()
        await expect(screen.composer).to_be_hidden()
        await expect(screen.pane.get_by_role("heading", name="Archived")).to_be_visible()
        await screen.sees("farewell")
