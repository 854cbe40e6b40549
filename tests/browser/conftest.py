"""Chromium, as Debian has it, and the page at the edge of the running system."""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.browser.screen import Screen
from tests.integration.conftest import System

Visit = Callable[..., Coroutine[Any, Any, Screen]]
Screens = tuple[Screen, Screen]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    chromium = os.environ.get("CHAT_CHROMIUM") or shutil.which("chromium")
    assert chromium, "Chromium is missing: make test-browser installs it, or set CHAT_CHROMIUM."
    # Chromium's sandbox refuses root; the pages it loads here are ours.
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield launched
        await launched.close()


@pytest.fixture
async def visit(browser: Browser, system: System) -> AsyncIterator[Visit]:
    """Opens the page in a context of its own, or in that of `beside`. No page may complain."""
    complaints: list[str] = []

    async def open_page(path: str, beside: Screen | None = None, **context: Any) -> Screen:
        context = {"locale": "en-GB", "viewport": {"width": 1280, "height": 800}, **context}
        within = beside.page.context if beside else await browser.new_context(**context)
        page = await within.new_page()
        _listen(page, complaints)
        await page.goto(system.edge.replace("127.0.0.1", "localhost") + path)
        return Screen(page)

    yield open_page
    assert complaints == []


@pytest.fixture
async def screens(visit: Visit, pair: tuple[UUID, UUID, UUID]) -> Screens:
    """Anna's and Ben's, each on a page of their own, with their conversation open."""
    anna, ben = [await visit(f"/?user={user_id}") for user_id in pair[:2]]
    await anna.is_ready()
    await ben.is_ready()
    return anna, ben


def _listen(page: Page, complaints: list[str]) -> None:
    """Errors of scripts and of the Content-Security-Policy; a network is cut on purpose."""
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type == "error"
            and "WebSocket connection" not in message.text
            and "Failed to load resource" not in message.text
            else None
        ),
    )
