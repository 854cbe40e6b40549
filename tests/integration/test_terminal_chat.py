"""`make chat`: the terminal chat against the running system."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx

from local.terminal.names import name_of
from tests.chaos.proxy import Link
from tests.integration.conftest import System
from tests.integration.terminal import NARROW, Terminal, terminal
from tests.integration.watching import until

Pair = tuple[UUID, UUID, UUID]


@asynccontextmanager
async def cable(system: System) -> AsyncIterator[tuple[Link, str]]:
    """A line to the edge that can be cut, and its address."""
    link = Link(urlsplit(system.edge).port or 80)
    try:
        yield link, f"http://127.0.0.1:{await link.listen()}"
    finally:
        link.close()


@asynccontextmanager
async def offline(system: System, user: UUID) -> AsyncIterator[tuple[Link, Terminal]]:
    """Somebody who has seen an empty conversation, and whose line was cut then."""
    async with cable(system) as (link, edge), terminal(system, user, edge=edge) as shown:
        await shown.sees("Say hello")
        link.do("refuse")
        await shown.sees("Offline.")
        yield link, shown


async def mend(link: Link, shown: Terminal) -> None:
    """Without waiting for the next try."""
    link.do("pass")
    await shown.press("ctrl+t")


async def contents(system: System, user: UUID, conversation: UUID) -> list[object]:
    return [message["content"] for message in await system.history(user, conversation)]


async def test_what_is_typed_arrives_and_its_ticks_go_up(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with terminal(system, anna) as shown:
        await shown.sees("You and", "matched. Say hello.")
        await shown.type("Hi there")
        await shown.sees("You", "Hi there", "✓  sent")
        async with await system.open(ben) as bens:
            await shown.sees("●", name_of(ben))
            [message] = (await bens.sync(conversation, 1))["messages"]
            assert message["content"] == "Hi there"
            await shown.sees("Hi there", "✓✓ delivered")
            await bens.mark_as_read(conversation, up_to_seq=message["seq"])
            await shown.sees("Hi there", "✓✓ read")


async def test_the_other_is_seen_typing_and_what_is_looked_at_is_read(
    system: System, pair: Pair
) -> None:
    anna, ben, conversation = pair
    async with await system.open(ben) as bens, terminal(system, anna, conversation) as shown:
        await shown.sees("Say hello")
        await shown.press("h")
        await bens.expect("TYPING_START", userId=str(anna))
        await bens.typing(conversation)
        await shown.sees(f"{name_of(ben)} is typing…")
        sent = await bens.send_message(conversation, "Look!")
        await shown.sees(name_of(ben), "Look!")
        await shown.sees_no("typing…")
        await bens.expect("MESSAGE_READ", messageId=sent["messageId"], readerId=str(anna))


async def test_what_is_not_looked_at_is_counted_and_opening_it_reads_it(
    system: System, pair: Pair
) -> None:
    anna, ben, first = pair
    clara = uuid4()
    second = await system.conversation(anna, clara)
    async with await system.open(ben) as bens, await system.open(clara) as claras:
        async with terminal(system, anna, second) as shown:
            await shown.sees("Say hello")
            for text in ("one", "two"):
                await bens.send_message(first, text)
            await shown.sees("two", " 2 ")
            await shown.press("escape", "down")
            await shown.press("up", "enter")  # the newest activity is the first row
            await shown.sees("New messages")
            await bens.expect("MESSAGE_READ", readerId=str(anna))
            await shown.sees_no(" 2 ")
        assert not claras.frames("MESSAGE_READ")


async def test_what_is_deleted_before_it_was_looked_at_is_not_counted_any_more(
    system: System, pair: Pair
) -> None:
    anna, ben, conversation = pair
    await system.conversation(anna, uuid4())  # or the only one would be opened
    async with await system.open(ben) as bens, system.rest(ben) as rest:
        sent = [await bens.send_message(conversation, text) for text in ("one", "two")]
        async with terminal(system, anna) as shown:
            await shown.sees("two", " 2 ")
            deleted = await rest.delete(f"/messages/{sent[0]['messageId']}")
            assert deleted.status_code == 204
            await shown.sees("two", " 1 ")


async def test_a_cut_line_and_a_killed_gateway_lose_and_double_nothing(
    system: System, pair: Pair
) -> None:
    """Written while there is no line: kept, counted, and sent in order when there is one."""
    anna, ben, conversation = pair
    wanted = [f"n{number}" for number in range(12)]
    async with cable(system) as (link, edge), terminal(system, anna, edge=edge) as shown:
        await shown.sees("Say hello")
        for text in wanted[:4]:
            await shown.write(text)
        await kill_gateway(system, anna, shown)
        for text in wanted[4:8]:
            await shown.write(text)
        link.do("refuse")
        await shown.sees("Offline. Trying again in", "s; Ctrl+T tries now.")
        for text in wanted[8:]:
            await shown.write(text)
        await shown.sees("n11", "·  sending")
        await shown.sees("4 messages wait to be sent.")
        link.do("pass")
        await shown.press("ctrl+t")
        await shown.sees("n11", "sent")
        await shown.sees_no("Offline")
    assert await contents(system, ben, conversation) == wanted


async def kill_gateway(system: System, user: UUID, shown: Terminal) -> None:
    session = shown.app.person.device.sessions[-1]
    body = {"userId": str(user), "sessionId": session.frames("CONNECT_SUCCESS")[0]["sessionId"]}
    async with httpx.AsyncClient(timeout=30) as client:
        killed = await client.post(f"{system.base}/development/gateway-kills", json=body)
    assert killed.status_code == 200, killed.text


async def test_what_was_said_while_the_line_was_cut_is_there_afterwards(
    system: System, pair: Pair
) -> None:
    anna, ben, conversation = pair
    async with offline(system, anna) as (link, shown):
        async with await system.open(ben) as bens:
            await bens.send_message(conversation, "missed you")
        await mend(link, shown)
        await shown.sees(name_of(ben), "missed you")


async def test_what_was_said_before_it_was_archived_meanwhile_is_there_too(
    system: System, pair: Pair
) -> None:
    anna, ben, conversation = pair
    async with offline(system, anna) as (link, shown):
        async with await system.open(ben) as bens, system.rest(ben) as rest:
            await bens.send_message(conversation, "goodbye for ever")
            assert (await rest.delete(f"/conversations/{conversation}")).status_code == 204
        await mend(link, shown)
        await shown.sees("This conversation is archived.")
        await shown.sees(name_of(ben), "goodbye for ever")


async def test_what_is_refused_says_why_and_can_be_discarded(system: System, pair: Pair) -> None:
    anna, ben, conversation = pair
    async with offline(system, anna) as (link, shown):
        await shown.write("too late")
        async with system.rest(ben) as rest:
            assert (await rest.delete(f"/conversations/{conversation}")).status_code == 204
        await mend(link, shown)
        await shown.sees("Not sent: the conversation is archived.")
        await shown.sees("This conversation is archived. It can still be read.")
        shown.app.query_one("#messages").focus()
        session = shown.app.person.device.sessions[-1]
        heard = session.count
        await shown.press("up", "r")
        await session.expect("ERROR", after=heard, error="CONVERSATION_ARCHIVED")
        await shown.sees("Not sent")
        await shown.press("d")
        await shown.sees_no("too late")
    assert await contents(system, ben, conversation) == []


async def test_older_messages_come_as_one_scrolls_and_the_place_stays(
    system: System, pair: Pair
) -> None:
    anna, ben, conversation = pair
    async with await system.open(ben) as bens:
        for number in range(120):
            await bens.send_message(conversation, f"number {number}.")
    async with terminal(system, anna, conversation) as shown:
        await shown.sees("number 119.")
        await shown.sees_no("number 70.")
        newest = numbers(shown)
        while 0 not in newest:
            await shown.press("pageup")
            before, newest = newest, await settled(shown)
            assert min(newest) <= min(before) <= max(newest) + 1, "no jump: page by page"
        await shown.sees("number 0.")
        for _ in range(20):
            await shown.press("pagedown")
        await shown.sees("number 119.")


LINE = re.compile(r"│ \d\d:\d\d +\w+ +number (\d+)\.")


def numbers(shown: Terminal) -> list[int]:
    return [int(found) for found in re.findall(LINE, "\n".join(shown.screen()))]


async def settled(shown: Terminal) -> list[int]:
    """What is in sight when nothing is being loaded any more."""

    async def rests() -> bool:
        await shown.pilot.pause()
        return not shown.app.person.is_loading

    await until(rests, 10, "older messages are there")
    await shown.pilot.pause()
    return numbers(shown)


async def test_in_a_narrow_terminal_there_is_one_thing_at_a_time(
    system: System, pair: Pair
) -> None:
    anna, ben, _ = pair
    await system.conversation(anna, uuid4())
    async with terminal(system, anna, size=NARROW) as shown:
        await shown.sees("○", name_of(ben))
        await shown.press("tab", "down", "up", "down", "enter")
        await shown.sees("You and", "matched.")
        await shown.sees_no("(you)")
        await shown.write("a long message that has to go over several lines of so few cells")
        await shown.sees("a long message that", "✓")
        await shown.sees("lines of so few cells")
        await shown.press("escape")
        await shown.sees("(you)")
        await shown.sees_no("matched.")
        await shown.pilot.resize_terminal(100, 30)
        await shown.sees("Choose a conversation.")


async def test_nothing_that_somebody_writes_reaches_the_terminal_as_a_command(
    system: System, pair: Pair
) -> None:
    anna, ben, conversation = pair
    nasty = "\x1b]0;owned\x07 \x9b31m [red]not red[/] \u202egnp.exe"
    async with await system.open(ben) as bens, terminal(system, anna, conversation) as shown:
        await bens.send_message(conversation, nasty)
        # Controls went at the gateway; brackets are no markup here, the override is a sign.
        await shown.sees("]0;owned", "[red]not red[/]")
        segments = [
            segment.text
            for widget in (shown.app.query_one("#messages"), shown.app.query_one("#list"))
            for strip in widget.render_lines(widget.size.region)
            for segment in strip
        ]
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", "".join(segments))


async def test_a_message_that_is_too_long_is_not_lost(system: System, pair: Pair) -> None:
    async with terminal(system, pair[0], pair[2]) as shown:
        await shown.sees("Say hello")
        composer = shown.app.query_one("Composer")
        composer.text = "x" * 4_001  # type: ignore[attr-defined]
        await shown.sees("-1 characters left")
        await shown.press("enter")
        await shown.sees("This is longer than 4,000 characters.")
        await shown.press("delete", "enter")
        await shown.sees("You: xxx")
    assert await contents(system, pair[1], pair[2]) == ["x" * 4_000]


async def test_leaving_with_unsent_messages_is_asked_about(system: System, pair: Pair) -> None:
    async with offline(system, pair[0]) as (_, shown):
        await shown.write("stay")
        await shown.press("ctrl+q")
        await shown.sees("1 not sent yet. Ctrl+Q once more")
        assert shown.app.is_running
        await shown.press("ctrl+q")
        assert shown.app._exit


ADDRESSES = re.compile(r"<!--.*?-->\s*|@font-face \{.*?\}\s*", re.DOTALL)
"""Where rich names its maker, and fonts to be had elsewhere."""


async def test_its_picture(system: System, tmp_path: Path) -> None:
    """`make screenshots` puts it into docs/images/."""
    anna, ben, zoe = named("Anna"), named("Ben"), named("Zoe")
    conversation = await system.conversation(anna, ben)
    async with await system.open(ben) as bens, terminal(system, anna, size=(96, 20)) as shown:
        await shown.sees("Say hello")
        await bens.send_message(conversation, "Hi! Four islands, if you believe the keeper.")
        await shown.sees("Four islands")
        await shown.write("And terrible coffee? I'm in.")
        await shown.sees("I'm in.", "delivered")
        history = await system.history(ben, conversation)
        await bens.mark_as_read(conversation, up_to_seq=int(str(history[-1]["seq"])))
        await bens.send_message(conversation, "Saturday, ten o'clock, by the old jetty?")
        await shown.sees("Saturday")
        await shown.write("Saturday it is.")
        for other, text in ((zoe, "Did the cat come home?"), (named("Mia"), "Thanks!")):
            with_other = await system.conversation(anna, other)
            async with await system.open(other) as session:
                await session.send_message(with_other, text)
        await bens.typing(conversation)
        await shown.sees("Thanks!")
        await shown.sees("Saturday it is.", "delivered")
        await shown.sees("is typing…")
        svg = ADDRESSES.sub("", shown.app.export_screenshot(title="make chat"))
    folder = Path(os.environ.get("CHAT_SCREENSHOTS") or tmp_path)
    (folder / "terminal-chat.svg").write_text(svg)
    assert re.findall(r"[a-z]+://[^/\"' ]+", svg) == ["http://www.w3.org"]


def named(name: str) -> UUID:
    return next(one for one in iter(uuid4, None) if name_of(one) == name)
