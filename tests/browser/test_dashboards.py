"""The dashboards as `make observe` shows them: Prometheus' consoles, in Chromium."""

from uuid import UUID

import pytest
from playwright.async_api import Browser, expect

from local.observability.consoles import pages
from local.observability.prometheus import Prometheus
from tests.integration.conftest import System
from tests.integration.watching import until

WITHIN_S = 40.0
SHOWN = {
    "overview.html": ("Frames from clients", "SEND_MESSAGE"),
    "gateway.html": ("Frames from clients", "SEND_MESSAGE"),
    "router.html": ("Partitions", "router-1"),
    "persister.html": ("Partitions", "persister-1"),
    "rest.html": ("Ready", "rest-1"),
}
"""A panel of each page, and a line of it."""


@pytest.mark.parametrize("name", pages())
async def test_a_dashboard_is_drawn(
    browser: Browser,
    prometheus: Prometheus,
    system: System,
    pair: tuple[UUID, UUID, UUID],
    name: str,
) -> None:
    page = await browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    title, line = SHOWN[name]
    heading = page.get_by_role("heading", name=title, exact=True)
    panel = page.locator(".panel", has=heading)

    async def is_drawn() -> bool:
        await page.goto(f"{prometheus.url}/consoles/{name}", wait_until="networkidle")
        return await panel.locator(".rickshaw_legend .line", has_text=line).count() > 0

    async with await system.open(pair[0]) as session:
        await session.send_message(pair[2], "seen on a dashboard")
        await until(is_drawn, WITHIN_S, f"{line} in {title}")
    await expect(panel.locator("path").first).to_be_attached()
    assert complaints == []
