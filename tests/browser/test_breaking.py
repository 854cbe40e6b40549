"""Cables and gateways: nothing is lost, nothing comes twice, and one is told what goes on."""

import os
import re
import signal
from uuid import UUID

from playwright.async_api import expect

from local.stack import Stack
from tests.browser.conftest import Screens, Visit
from tests.integration.conftest import System

Pair = tuple[UUID, UUID, UUID]


async def _kept(system: System, user: UUID, conversation: UUID) -> list[object]:
    return [message["content"] for message in await system.history(user, conversation)]


async def test_a_cable_pulled_during_50_sends(screens: Screens, system: System, pair: Pair) -> None:
    _, ben_id, conversation = pair
    anna, ben = screens
    network = anna.page.context
    wanted = [f"message {number}" for number in range(50)]
    for number, text in enumerate(wanted):
        match number:
            case 10:
                await network.set_offline(True)
            case 20:
                await expect(anna.banner).to_contain_text("Offline")
                await network.set_offline(False)
            case 30:
                await anna.button("Pull the cable").click()
            case 40:
                await expect(anna.banner).to_contain_text("wait to be sent")
                await anna.button("Plug it in").click()
        await anna.write(text)
    for screen in (anna, ben):
        await expect(screen.bubbles).to_have_text(wanted)
        await expect(screen.pane.locator(".waiting")).to_have_count(0)
    assert await _kept(system, ben_id, conversation) == wanted


async def test_a_gateway_killed_during_100_sends(
    screens: Screens, system: System, pair: Pair
) -> None:
    _, ben_id, conversation = pair
    anna, ben = screens
    await anna.button("Send 100").click()
    await anna.sees("5 of 100")
    await anna.button("Kill its gateway").click()
    await expect(anna.notice).to_contain_text("Killed gateway-")
    wanted = [f"{number} of 100" for number in range(1, 101)]
    for screen in (anna, ben):
        await expect(screen.bubbles).to_have_text(wanted)
        await expect(screen.banner).to_be_hidden()
    assert await _kept(system, ben_id, conversation) == wanted
    await anna.pane.get_by_text("Frames").click()  # the box gets smaller, and stays at its end
    await expect(anna.message("100 of 100")).to_be_in_viewport(ratio=0.9)


async def test_gateways_that_restart_say_when_to_come_back(visit: Visit, pair: Pair) -> None:
    anna = await visit(f"/?user={pair[0]}")
    await anna.is_ready()
    await anna.pane.get_by_text("Frames").click()
    stack = Stack(os.environ["CHAT_STACK"])
    for gateway in stack.gateway_ports():
        stack.signal(gateway, signal.SIGTERM)
    # The other one may tell her again, where she comes before it has stopped to listen.
    told = anna.pane.locator(".frame").filter(has_text="RECONNECT")
    await expect(told.first).to_contain_text("afterMs")
    await anna.write("Here again")
    await anna.sees("Here again", "SENT")
    await expect(anna.banner).to_be_hidden()
    assert await told.count() <= len(stack.gateway_ports())


async def test_what_waits_survives_a_reload(visit: Visit, system: System, pair: Pair) -> None:
    anna_id, ben_id, conversation = pair
    anna = await visit(f"/?user={anna_id}")
    anna.page.on("dialog", lambda dialog: dialog.accept())  # it warns of what is not sent yet
    await anna.is_ready()
    await anna.button("Pull the cable").click()
    for text in ("one", "two", "three"):
        await anna.write(text)
        await anna.sees(text, "SENDING")
    await anna.page.reload()
    await anna.sees("three", "SENT")
    await expect(anna.bubbles).to_have_text(["one", "two", "three"])
    assert await _kept(system, ben_id, conversation) == ["one", "two", "three"]


async def test_an_offline_banner_counts_down(visit: Visit, pair: Pair) -> None:
    anna = await visit(f"/?user={pair[0]}")
    await anna.is_ready()
    await anna.button("Pull the cable").click()
    await expect(anna.banner).to_contain_text(re.compile(r"Trying again in [2-9] s"))
    await anna.button("Plug it in").click()
    await expect(anna.banner).to_be_hidden()


async def test_the_drawer_shows_the_frames_without_the_token(visit: Visit, pair: Pair) -> None:
    anna = await visit(f"/?user={pair[0]}")
    await anna.is_ready()
    await anna.write("Hello")
    await anna.sees("Hello", "SENT")
    await anna.pane.get_by_text("Frames").click()
    frames = anna.pane.locator(".frame")
    await expect(frames.first).to_contain_text("CONNECT_SUCCESS")
    await expect(frames.filter(has_text="MESSAGE_SENT")).to_have_text(
        re.compile(r"^\s*\d\d:\d\d:\d\d\.\d{3}")
    )
    assert "eyJ" not in "".join(await frames.all_text_contents())
