"""Conversations that go on while things happen, and what must be true of them afterwards."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal
from uuid import UUID, uuid4

from libs.client.attending import TokenSource
from libs.client.device import Device
from libs.client.session import Frame, Session
from libs.common.domain.partition import partition_of
from tests.integration.conftest import System
from tests.integration.watching import PARTITIONS, House, until

LANES = 2
"""Messages that each user has begun at once; its device sends them one after the other."""
PAUSE_S = 0.04
"""From an answer to that lane's next message."""
PAUSE_MOST_S = 2.0
"""Between two connects: how soon the service is back is what is tested."""

Live = Literal["all", "some"]
"""Whether each device got every message of the other live, or may have been away for some."""


class Chat:
    """One conversation, one device of each of its users, and what they were told."""

    def __init__(self, conversation: UUID, users: tuple[UUID, UUID], devices: list[Device]) -> None:
        self.conversation = conversation
        self.users = users
        self.devices = devices
        self.acknowledged: list[Frame] = []
        self._numbers = itertools.count()

    @classmethod
    async def begin(
        cls,
        system: System,
        urls: Sequence[str] = (),
        conversation: tuple[UUID, UUID, UUID] | None = None,
    ) -> "Chat":
        """Two fresh users, connected by these URLs, or by the edge."""
        anna, ben, number = conversation or await _new_conversation(system)
        annas, bens = urls or (system.socket_url, system.socket_url)
        devices = [_device(annas, system.tokens(anna)), _device(bens, system.tokens(ben))]
        for device in devices:
            await device.session()
        return cls(number, (anna, ben), devices)

    async def say(self, who: int) -> Frame:
        """Sends until it is acknowledged."""
        content = f"{who} {next(self._numbers)}"
        sent = await self.devices[who].send(self.conversation, content)
        self.acknowledged.append(sent)
        return sent

    def live(self, who: int, session: Session | None = None) -> list[tuple[int, str]]:
        """(seq, messageId) of the other's messages that a user's device got, as they came.

        Of own ones only a second session hears, such as the one that sends again.
        """
        sessions = [session] if session else self.devices[who].sessions
        return [
            (frame["seq"], frame["messageId"])
            for one in sessions
            for frame in one.frames("MESSAGE_RECEIVED")
            if frame["conversationId"] == str(self.conversation)
            and frame["senderId"] == str(self.users[1 - who])
        ]

    async def close(self) -> None:
        for device in self.devices:
            await device.close()


def _device(url: str, token: TokenSource) -> Device:
    return Device(lambda: url, token, pause_most_s=PAUSE_MOST_S, keeps_all=True)


async def _new_conversation(system: System) -> tuple[UUID, UUID, UUID]:
    anna, ben = uuid4(), uuid4()
    return anna, ben, await system.conversation(anna, ben)


@asynccontextmanager
async def chats_everywhere(
    system: System, urls: Sequence[str] = (), each: int = 1
) -> AsyncIterator[list[Chat]]:
    """Chats in every partition, `each` of them."""
    missing = dict.fromkeys(range(PARTITIONS), each)
    chats: list[Chat] = []
    while any(missing.values()):
        conversation = await _new_conversation(system)
        partition = partition_of(conversation[2], PARTITIONS)
        if missing[partition]:
            missing[partition] -= 1
            chats.append(await Chat.begin(system, urls, conversation))
    try:
        yield chats
    finally:
        await asyncio.gather(*(chat.close() for chat in chats))


@asynccontextmanager
async def talking(chats: Sequence[Chat]) -> AsyncIterator[None]:
    """Both users of each chat talk without end; at the end all that was begun is acknowledged."""
    stop = asyncio.Event()

    async def talk(chat: Chat, who: int) -> None:
        while not stop.is_set():
            await chat.say(who)
            await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as tasks:
        for chat in chats:
            for who, _ in itertools.product((0, 1), range(LANES)):
                tasks.create_task(talk(chat, who))
        yield
        stop.set()


async def go_on(chats: Sequence[Chat], within_s: float) -> None:
    """Waits until in each chat both users have got messages that were sent after the call."""
    began = [_counts(chat) for chat in chats]

    def silent() -> list[int]:
        return [
            partition_of(chat.conversation, PARTITIONS)
            for chat, before in zip(chats, began, strict=True)
            if any(now < then for now, then in zip(_counts(chat), before, strict=True))
        ]

    # What was in flight at the call says nothing.
    began = [[count + 2 * LANES for count in counts] for counts in began]

    async def all_talk() -> bool:
        return not silent()

    await until(all_talk, within_s, lambda: f"messages flow; silent in partitions {silent()}")


def _counts(chat: Chat) -> list[int]:
    return [len(chat.acknowledged), len(chat.live(0)), len(chat.live(1))]


async def hold_together(
    system: System, house: House, chats: Sequence[Chat], live: Live = "all"
) -> None:
    """Promises 1 to 4 of all that was said: kept, once, in one order, and known to both users."""
    for chat in chats:
        said = _acknowledged(chat)
        for who in (0, 1):
            await _came_live(chat, who, said, live)
        await _is_stored(house, chat, said)
        await _is_history(system, chat, said)
        await _is_dense(house, chat, wholly_delivered=live == "all")


def _acknowledged(chat: Chat) -> dict[int, str]:
    said = {frame["seq"]: frame["messageId"] for frame in chat.acknowledged}
    assert len(said) == len(chat.acknowledged), "one number for two messages"
    assert len(set(said.values())) == len(said), "one id for two messages"
    return said


async def _came_live(chat: Chat, who: int, said: dict[int, str], live: Live) -> None:
    device = chat.devices[who]
    own = {
        frame["seq"]
        for session in device.sessions
        for frame in session.frames("MESSAGE_SENT") + session.frames("MESSAGE_RECEIVED")
        if "clientMessageId" in frame
    }
    theirs = sorted((seq, message_id) for seq, message_id in said.items() if seq not in own)
    if live == "all":

        async def all_came() -> bool:
            return len(chat.live(who)) >= len(theirs)

        await until(all_came, 5, f"all {len(theirs)} messages came live")
        assert chat.live(who) == theirs
    for session in device.sessions:
        numbers = [seq for seq, _ in chat.live(who, session)]
        assert numbers == sorted(set(numbers)), "live: not in order, or one twice"
    # A user's own come live as well, when they were sent over a connection that has broken since.
    assert set(chat.live(who)) <= set(said.items()), "live: what was never acknowledged"


async def _is_stored(house: House, chat: Chat, said: dict[int, str]) -> None:
    async def rows() -> dict[int, str]:
        found = await house.database.fetch(
            "select seq, id::text from messages where conversation_id = $1", chat.conversation
        )
        return {row["seq"]: row["id"] for row in found}

    async def all_stored() -> bool:
        return len(await rows()) >= len(said)

    await until(all_stored, 10, "every acknowledged message is in PostgreSQL")
    assert await rows() == said


async def _is_history(system: System, chat: Chat, said: dict[int, str]) -> None:
    for user in chat.users:
        history = await system.history(user, chat.conversation)
        assert [(item["seq"], item["messageId"]) for item in history] == sorted(said.items())
    if all(len(device.sessions) == 1 for device in chat.devices):
        _keeps_senders_order(chat, [str(item["content"]) for item in history])


def _keeps_senders_order(chat: Chat, contents: Sequence[str]) -> None:
    """Promise 3: what one session sends keeps the order in which it sent it."""
    for who in (0, 1):
        numbers = [
            int(content.split()[1]) for content in contents if int(content.split()[0]) == who
        ]
        assert numbers == sorted(numbers), "a session's messages changed places"


async def _is_dense(house: House, chat: Chat, *, wholly_delivered: bool) -> None:
    """The log has every number from 1 on, and, where nobody was away, all is DELIVERED."""

    async def numbers() -> tuple[list[int], list[int]]:
        rows = await house.database.fetch(
            "select seq, changed_seq, status from messages where conversation_id = $1",
            chat.conversation,
        )
        head: int = await house.database.fetchval(
            "select head from conversations where id = $1", chat.conversation
        )
        used = {1} | {row["seq"] for row in rows} | {row["changed_seq"] for row in rows}
        sent = sorted(row["seq"] for row in rows if row["status"] != "DELIVERED")
        return sorted(set(range(1, head + 1)) ^ used), sent

    lacking: tuple[list[int], list[int]] = [], []

    async def is_complete() -> bool:
        nonlocal lacking
        lacking = await numbers()
        return not lacking[0] and (not lacking[1] or not wholly_delivered)

    await until(
        is_complete, 10, lambda: "numbers {} missing, messages {} only sent".format(*lacking)
    )


async def sent_away(device: Device) -> Frame:
    """The RECONNECT of its first session, which was closed with 1012 (promise 10)."""
    session = device.sessions[0]
    assert (await session.wait_closed(6)).code == 1012

    async def is_told() -> bool:
        return bool(session.frames("RECONNECT"))

    # Whoever sends may know of the close before what came before it has been read.
    await until(is_told, 1, "a RECONNECT before the close")
    [reconnect] = session.frames("RECONNECT")
    assert reconnect == session.received[-1].frame, "the last word before the close"
    return reconnect


def gateway_urls(house: House) -> list[str]:
    """Each gateway's own address, past the edge."""
    ports = house.stack.gateway_ports()
    return [f"ws://127.0.0.1:{ports[name]}/api/chat/ws" for name in sorted(ports)]
