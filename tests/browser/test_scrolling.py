"""Far back, without a jump; and found again."""

import asyncio
import re
from uuid import UUID

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.screen import Screen
from tests.integration.conftest import System

Pair = tuple[UUID, UUID, UUID]
MANY = 1_000


async def _fill(system: System, pair: Pair) -> None:
    """A thousand messages of Anna's, the 42nd of which has a word of its own."""
    anna, _, conversation = pair
    async with await system.open(anna) as session:
        for start in range(0, MANY, 100):
            await asyncio.gather(
                *(
                    session.send_message(conversation, f"{n}: {'giraffe' if n == 42 else 'text'}")
                    for n in range(start, start + 100)
                )
            )


@pytest.mark.timeout(180)
async def test_back_through_1000_messages(visit: Visit, system: System, pair: Pair) -> None:
    await _fill(system, pair)
    ben = await visit(f"/?user={pair[1]}")
    await ben.is_ready()
    await ben.sees("text")
    wanted = [str(message["content"]) for message in await system.history(pair[1], pair[2])]
    assert len(wanted) == MANY
    async with asyncio.timeout(120):
        while (shown := await ben.messages.count()) < MANY:
            jump = await ben.scroll.evaluate(_LOAD_ONE_PAGE)
            assert abs(jump) <= 1, f"after {shown} messages it jumped by {jump} px"
    assert await ben.texts() == wanted


_LOAD_ONE_PAGE = """async (box) => {
    // Whether what one looks at stays where it is while older messages come above it.
    box.scrollTop = 40;
    const seen = [...box.querySelectorAll(".message")]
        .find((each) => each.getBoundingClientRect().bottom > box.getBoundingClientRect().top);
    const top = seen.getBoundingClientRect().top, count = box.querySelectorAll(".message").length;
    for (let turns = 0; turns < 600; turns += 1) {
        await new Promise(requestAnimationFrame);
        if (box.querySelectorAll(".message").length > count) break;
    }
    await new Promise(requestAnimationFrame);
    return seen.getBoundingClientRect().top - top;
}"""


@pytest.mark.timeout(180)
async def test_a_search_leads_to_its_place(visit: Visit, system: System, pair: Pair) -> None:
    await _fill(system, pair)
    ben = await visit(f"/?user={pair[1]}")
    await ben.is_ready()
    await ben.button("Search").click()
    await ben.pane.get_by_role("searchbox").fill("giraffe")
    await expect(ben.pane.locator(".hit mark")).to_have_text("giraffe")
    await ben.pane.locator(".hit").click()
    await expect(ben.message("42: giraffe")).to_be_in_viewport()
    await expect(ben.message("42: giraffe")).to_have_attribute("data-target", "true")
    await expect(ben.button("Newest")).to_be_visible()


async def test_who_reads_further_up_is_told_of_what_is_new(
    visit: Visit, system: System, pair: Pair
) -> None:
    anna_id, _, conversation = pair
    async with await system.open(anna_id) as session:
        for number in range(60):
            await session.send_message(conversation, f"line {number}\nof two")
        ben = await visit(f"/?user={pair[1]}")
        await ben.is_ready()
        await _go_up(ben)
        await session.send_message(conversation, "news")
        await session.send_message(conversation, "more news")
    pill = ben.pane.locator(".pill")
    await expect(pill).to_have_text(re.compile("2 new messages"))
    await expect(ben.message("more news")).not_to_be_in_viewport()
    await pill.click()
    await expect(ben.message("more news")).to_be_in_viewport()
    await expect(pill).to_be_hidden()


async def _go_up(screen: Screen) -> None:
    await expect(screen.message("line 59")).to_be_attached()
    await screen.scroll.evaluate("(box) => { box.scrollTop = 300; }")
    await expect(screen.pane.locator(".pill")).to_be_visible()
