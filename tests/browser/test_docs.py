"""/api/chat/docs: both contracts, rendered, from this service alone."""

from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, expect

from tests.browser.axe import violations
from tests.integration.conftest import System


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_contracts_are_rendered_without_the_internet(
    browser: Browser, system: System, scheme: str
) -> None:
    page = await browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    await page.goto(f"{system.edge}/docs")
    assert page.url == f"{system.base}/docs"
    await expect(page.get_by_role("heading", name="Chat: the contracts")).to_be_visible()
    for said in ("/messages/search", "SEND_MESSAGE", "CONVERSATION_ARCHIVED"):
        await expect(page.get_by_text(said).first).to_be_visible()
    await page.get_by_role("navigation").get_by_role("link", name="SYNC_RESULT").first.click()
    await expect(page.locator(":target")).to_contain_text("SYNC_RESULT")
    assert await violations(page) == []
    await page.set_viewport_size({"width": 360, "height": 740})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    assert hosts == {urlsplit(system.edge).netloc}
