"""The pictures of the README: `make screenshots` puts them into docs/images/."""

import os
import re
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from playwright.async_api import expect

from libs.client.session import Session
from tests.browser.conftest import Visit
from tests.integration.conftest import System

DESK = {"width": 1440, "height": 860}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": DESK},
    "dark": {"color_scheme": "dark", "viewport": DESK},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
SCRIPT = (
    (0, "Hi! We both said the lighthouse walk is the best one 🙂"),
    (1, "We did! Have you been up there since they opened the lantern room?"),
    (0, "Not yet. I hear you can see three islands on a clear day."),
    (1, "Four, if you believe the keeper. He also sells terrible coffee."),
    (0, "Terrible coffee and four islands. I'm in 🏝️"),
    (1, "Saturday, ten o'clock, by the old jetty?"),
    (0, "Saturday it is."),
)
OTHERS = (
    "Thanks for the book tip, I finished it last night!",
    "صباح الخير! هل نلتقي غدًا؟",
    "Did the cat come home? 🐈",
)


async def _scene(system: System, users: list[UUID]) -> None:
    for text in OTHERS:
        other = uuid4()
        conversation = await system.conversation(users[0], other)
        async with await system.open(other) as session:
            await session.send_message(conversation, text)
    async with system.rest(users[1]) as rest:
        (conversation,) = (await rest.get("/conversations")).json()["items"]
    sessions = [await system.open(user) for user in users]
    try:
        await _play(sessions, UUID(conversation["conversationId"]))
    finally:
        for session in sessions:
            await session.close()


async def _play(sessions: list[Session], conversation: UUID) -> None:
    for speaker, text in SCRIPT:
        sent = await sessions[speaker].send_message(conversation, text)
        await sessions[1 - speaker].mark_as_read(conversation, up_to_seq=sent["seq"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    chosen = Path(os.environ.get("CHAT_SCREENSHOTS") or tmp_path)
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


async def test_a_picture_of_a_pulled_cable(visit: Visit, folder: Path) -> None:
    page = await visit("/", **LOOKS["light"])
    left, right = (page.of(user) for user in await page.users())
    await left.is_ready()
    await right.is_ready()
    await left.button("Send 100").click()
    await left.sees("20 of 100", "DELIVERED")
    await left.button("Pull the cable").click()
    await left.pane.get_by_text("Frames").click()
    await expect(left.banner).to_contain_text(re.compile(r"Trying again in [2-9] s"))
    await page.page.screenshot(path=folder / "chat-cable.png")


@pytest.mark.parametrize("look", LOOKS)
async def test_screenshots(visit: Visit, system: System, look: str, folder: Path) -> None:
    page = await visit("/", **LOOKS[look])
    users = await page.users()
    await _scene(system, users)
    await page.page.reload()
    left, right = (page.of(user) for user in users)
    await left.open()
    await left.sees("Saturday it is.", "READ")
    if look == "phone":
        await page.page.screenshot(path=folder / "chat-phone.png")
        return
    await right.is_ready()
    await right.composer.press_sequentially("Bring")
    await expect(left.pane.locator(".typing")).to_be_visible()
    await left.write("I'll bring proper coffee ☕")
    await left.sees("proper coffee")
    await right.sees("proper coffee")
    await page.page.screenshot(path=folder / f"chat-{look}.png")
