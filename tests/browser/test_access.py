"""For everybody: axe, keyboard alone, 360 px, less motion, dark."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from playwright.async_api import expect

from tests.browser.axe import violations
from tests.browser.conftest import Visit
from tests.browser.screen import Screen
from tests.integration.conftest import System

Pair = tuple[UUID, UUID, UUID]
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": PHONE,
}


@pytest.mark.parametrize("look", LOOKS)
async def test_axe_finds_nothing(visit: Visit, look: str) -> None:
    both = await visit("/", **LOOKS[look])
    await both.is_ready()
    await both.write("Hello")
    await both.sees("Hello", "DELIVERED")
    await both.button("Pull the cable").click()
    await both.write("Waiting")
    await expect(both.banner).to_contain_text("Offline")
    assert await violations(both.page) == []
    await both.pane.get_by_text("Frames").click()
    await both.button("Plug it in").click()
    await both.sees("Waiting", "DELIVERED")
    assert await violations(both.page) == []
    if look == "phone":
        await both.button("Back to the conversations").click()
    await both.button("Search").click()
    await both.pane.get_by_role("searchbox").fill("hello")
    await expect(both.pane.locator(".hit")).to_have_count(1)
    assert await violations(both.page) == []
    await both.pane.locator(".hit").click()
    await both.message("Hello").hover()
    await both.button("Delete this message").first.click()
    assert await violations(both.page) == []


async def test_by_keyboard_alone(visit: Visit, pair: Pair) -> None:
    anna = await visit(f"/?user={pair[0]}")
    await anna.is_ready()
    await _tab_to(anna, "textarea")
    await anna.page.keyboard.type("first line")
    await anna.page.keyboard.press("Shift+Enter")
    await anna.page.keyboard.type("second line")
    await anna.page.keyboard.press("Enter")
    await anna.sees("second line", "SENT")
    assert await anna.texts() == ["first line\nsecond line"]
    await _tab_to(anna, '[aria-label="Delete this message"]', key="Shift+Tab")
    await anna.page.keyboard.press("Enter")
    dialog = anna.page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await anna.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await _tab_to(anna, '[aria-label="Search"]', key="Shift+Tab")
    await anna.page.keyboard.press("Enter")
    await expect(anna.pane.get_by_role("searchbox")).to_be_focused()
    await anna.page.keyboard.type("second")
    await expect(anna.pane.locator(".hit mark")).to_have_text("second")
    await anna.page.keyboard.press("Escape")
    await expect(anna.pane.get_by_role("searchbox")).to_be_hidden()


async def _tab_to(screen: Screen, selector: str, key: str = "Tab") -> None:
    for _ in range(30):
        if await screen.page.evaluate("(one) => document.activeElement.matches(one)", selector):
            outline = await screen.page.evaluate(
                "() => getComputedStyle(document.activeElement).outlineStyle"
            )
            assert outline == "solid"
            return
        await screen.page.keyboard.press(key)
    raise AssertionError(f"no key leads to {selector}")


async def test_360_pixels_are_enough(visit: Visit) -> None:
    both = await visit("/", **PHONE)
    await both.is_ready()
    await both.write("W" * 300)
    await both.sees("W" * 300, "DELIVERED")
    for _ in range(2):
        width = await both.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360
        await both.button("Back to the conversations").click()
        await expect(both.pane.locator(".row")).to_be_visible()
        await both.open()
    other = both.page.locator('.switch [aria-pressed="false"]')
    await other.click()
    await expect(both.pane).to_be_hidden()
    await expect(both.page.locator(".pane").last).to_be_visible()


async def test_less_motion_where_wished(visit: Visit, pair: Pair) -> None:
    anna_id, ben_id, _ = pair
    anna = await visit(f"/?user={anna_id}", reduced_motion="reduce")
    ben = await visit(f"/?user={ben_id}")
    await anna.is_ready()
    await ben.is_ready()
    await ben.composer.press_sequentially("x")
    dot = anna.pane.locator(".dots i").first
    await expect(dot).to_have_css("animation-name", "none")


async def test_the_policy_is_strict(system: System) -> None:
    async with httpx.AsyncClient(base_url=system.edge) as client:
        page, module = await client.get("/"), await client.get("/chat-client.js")
    for response in (page, module):
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert module.headers["Content-Type"].startswith("text/javascript")
