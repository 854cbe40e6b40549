"""`make trace ID=…`: where a message went, asked of a running system."""

import asyncio
import os
import re
import sys
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from libs.common.protocol.codec import WRITES
from libs.common.protocol.writes import InsertMessage
from local.layout import ROOT
from local.roles import PERSISTER
from tests.integration.conftest import System
from tests.integration.queues import open_queues
from tests.integration.talking import Chat, gateway_urls
from tests.integration.watching import House, until

LINE = re.compile(r"^(\w+) +(\d{4}-\d\d-\d\dT\S+Z|-) +(?:(-?[\d.]+)ms)? *(.*)$")


async def traced(message_id: UUID, *arguments: str) -> tuple[int | None, str]:
    """Exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local.trace", str(message_id), *arguments),
        cwd=ROOT,
        env=dict(os.environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, printed.decode()


def steps(printed: str) -> dict[str, list[tuple[float | None, str]]]:
    """By the step's name: milliseconds after it was accepted, and the note."""
    found: dict[str, list[tuple[float | None, str]]] = {}
    for line in printed.partition("every AMQP message")[0].splitlines():
        if (match := LINE.match(line)) and match[1] not in ("message", "UTC"):
            found.setdefault(match[1], []).append((float(match[3]) if match[3] else None, match[4]))
    return found


def acts_of(printed: str) -> list[tuple[str, str, str]]:
    """Role, act and kind of queue of all that did not concern deliveries, in order of time."""
    lines = printed.partition("every AMQP message")[2].splitlines()[1:]
    words = [line.split()[2:5] for line in lines]
    return [
        (who.rpartition("-")[0], act, queue.rpartition(".")[0])
        for who, act, queue in words
        if "deliveries" not in queue
    ]


async def test_a_message_that_was_read(system: System, house: House) -> None:
    """Sent over one gateway, received over another: every step has its place and its time."""
    chat = await Chat.begin(system, gateway_urls(house))
    annas, bens = [await device.session() for device in chat.devices]
    sent = await annas.send_message(chat.conversation, "where do I go?")
    await annas.expect("MESSAGE_DELIVERED", messageId=sent["messageId"])
    await bens.mark_as_read(chat.conversation, [UUID(sent["messageId"])])
    await system.history(chat.users[1], chat.conversation)
    await chat.close()

    code, printed = await traced(UUID(sent["messageId"]))
    assert code == 0, printed
    assert "where do I go?" not in printed, "never a content"
    found = steps(printed)
    assert found["accepted"] == [(0.0, "by gateway-1")]
    for name in ("queued", "decided", "kept", "stored", "pong", "read"):
        [(after_ms, _)] = found[name]
        assert after_ms is not None, printed
    assert "chat.events." in found["queued"][0][1]
    assert "confirmed, by router-" in found["kept"][0][1]
    assert "PostgreSQL has it, by persister-" in found["stored"][0][1]
    assert found["pong"][0][1] == "to gateway-2"
    for name, who in (("told", "by router-"), ("written", "by gateway-")):
        notes = " ".join(note for _, note in found[name])
        assert who in notes
        assert re.search(r"gateway-1-\w+: Answer MESSAGE_SENT", notes), printed
        assert re.search(r"gateway-2-\w+: ToUser MESSAGE_RECEIVED", notes), printed
    order = [found[name][0][0] or 0.0 for name in ("kept", "stored")]
    assert order == sorted(order), printed
    # "queued" is when the gateway has heard that the queue has it: the router may be ahead of that.
    assert acts_of(printed)[:4] == [
        ("gateway", "published", "chat.events"),
        ("router", "taken", "chat.events"),
        ("router", "published", "chat.writes"),
        ("persister", "taken", "chat.writes"),
    ], printed
    assert (found["pong"][0][0] or 0) < (found["read"][0][0] or 0)


async def test_a_message_that_was_buried(house: House) -> None:
    """Whoever looks for it finds it in chat.dead, with the reason."""
    nowhere = InsertMessage(uuid4(), 2, UUID(str(uuid7())), uuid4(), None, "x", 1)

    async def dead_letters() -> float:
        return await house.total(PERSISTER, "chat_dead_letters_total", source="writes")

    before = await dead_letters()

    async def is_buried() -> bool:
        return await dead_letters() > before

    async with open_queues() as queues:
        await queues.put("chat.writes.0", WRITES.encode([nowhere]))
        await until(is_buried, 10, "it is buried")
        code, printed = await traced(nowhere.message_id)
        await queues.take_dead()
    assert code == 1
    assert "PostgreSQL does not have it" in printed
    assert "chat.dead has it, writes: 23503: " in printed, "no such conversation"


async def test_a_message_that_nobody_knows(house: House) -> None:
    code, printed = await traced(UUID(str(uuid7())))
    assert code == 1
    assert "chat.dead does not have it either" in printed
    assert steps(printed)["queued"] == [(None, "not seen")]


async def test_a_process_that_does_not_answer_is_named(house: House) -> None:
    nobody = "http://127.0.0.1:1"
    _, printed = await traced(UUID(str(uuid7())), "--admin", nobody)
    assert f"not remembered by {nobody}" in printed


async def test_a_wrong_id_is_refused_by_the_admin_port(house: House) -> None:
    for query in ("", "?id=", "?id=7"):
        answer = await house.ask("router-1", f"/trace{query}")
        assert (answer.status_code, "id=" in answer.text) == (400, True)
