"""One user: a device, their conversations, and what they look at. The shell of `conversation`."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from libs.client.answers import is_passing
from libs.client.attending import TokenSource
from libs.client.device import Device
from libs.client.outbox import Item
from libs.client.session import Frame, Received, SessionClosed
from local.terminal.conversation import (
    Conversation,
    from_rest,
    is_stale,
    is_uncounted,
    seen_up_to,
    unread_by,
    with_entry,
    with_own,
    with_page,
    with_signal,
    with_synced,
)
from local.terminal.message import Message
from local.terminal.rest import Rest, Unanswered

PAGE: Final = 50
LIST_PAGE: Final = 100
STALE_S: Final = 0.3
"""After so long a row that was older than what has been told is asked for again."""


class Person:
    """`changed` is called after every change; `tell` gets a sentence for the user."""

    def __init__(
        self,
        edge: str,
        user_id: UUID,
        token: TokenSource,
        changed: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        """`edge`: `http://…`, without a path."""
        self.user_id = user_id
        self.conversations: dict[UUID, Conversation] = {}
        self.is_looking = True
        """Whether the user sees the end of the open conversation."""
        self.is_listed = False
        """Whether the list of conversations has been loaded once."""
        self.open_id: UUID | None = None
        self.divider: str | None = None
        """The first message that was unread when the conversation was opened."""
        self.device = Device(
            lambda: f"{edge}/api/chat/ws".replace("http", "ws", 1),
            token,
            on_frame=self._hear,
        )
        self.device.on_kept = self._kept
        self.device.on_state = lambda _: changed()
        self._rest = Rest(f"{edge}/api/chat", token)
        self._changed = changed
        self._tell = tell
        self._again = asyncio.Event()
        self._loading: set[UUID] = set()
        self._stale: set[UUID] = set()
        """Waiting to be asked for again."""
        self._errands: asyncio.TaskGroup

    @property
    def open(self) -> Conversation | None:
        """The conversation that is looked at."""
        return None if self.open_id is None else self.conversations.get(self.open_id)

    @property
    def is_loading(self) -> bool:
        """Whether older messages are on their way."""
        return bool(self._loading)

    async def stay(self) -> None:
        """Connected, and back whenever it must; until cancelled."""
        async with self._rest, asyncio.TaskGroup() as self._errands:
            try:
                while True:
                    self._again.clear()
                    with suppress(SessionClosed):  # `device.state` says it
                        await self.device.stay()
                    await self._again.wait()
            finally:
                await self.device.close()

    # ------------------------------------------------------------------ what the user does

    def connect(self) -> None:
        """Now, in place of later or never."""
        self._again.set()
        self.device.wake()

    def select(self, conversation_id: UUID | None) -> None:
        """None: back to the list."""
        self.open_id = conversation_id
        one = self.open
        self._divide()
        if one is not None and not one.is_loaded:
            self.load_older()
        self._changed()

    def send(self, content: str) -> None:
        """In the open conversation. Raises InvalidContent."""
        assert self.open_id is not None
        self.device.post(self.open_id, content)
        self.divider = None
        self._changed()

    async def typing(self, is_typing: bool) -> None:
        if self.open_id is not None:
            await self.device.typing(self.open_id, is_typing)

    def saw_end(self) -> None:
        """The end of the open conversation is looked at."""
        one = self.open
        if one is None or not one.is_loaded:
            return  # what is new is known when it has been loaded
        seq = seen_up_to(one, self.user_id)
        if seq is not None:
            self.device.read(one.id, seq)

    def retry(self, client_message_id: UUID) -> None:
        self.device.retry(client_message_id)
        self._changed()

    def discard(self, client_message_id: UUID) -> None:
        self.device.discard(client_message_id)
        self._changed()

    def load_older(self) -> None:
        """One page of the open conversation, if there is one; one at a time."""
        one = self.open
        if one is None or one.id in self._loading or (one.is_loaded and one.older is None):
            return
        self._loading.add(one.id)
        self._do(self._load_page(one))

    # ------------------------------------------------------------------ loading

    async def _load_page(self, one: Conversation) -> None:
        query: dict[str, str | int] = {"limit": PAGE}
        if one.older is not None:
            query["before"] = one.older
        try:
            page = await self._rest.get(f"/conversations/{one.id}/messages", query)
        finally:
            self._loading.discard(one.id)
        self._change(one.id, lambda current: with_page(current, page))
        if not one.is_loaded and one.id == self.open_id:
            self._divide()

    async def _load_list(self) -> None:
        async for row in self._rest.every("/conversations", {"limit": LIST_PAGE}):
            self._put(row)
        is_first, self.is_listed = not self.is_listed, True
        if is_first and self.open_id is None and len(self.conversations) == 1:
            self.select(next(iter(self.conversations)))
        elif (one := self.open) is not None and not one.is_loaded:
            self.load_older()

    async def _reload(self, conversation_id: UUID) -> None:
        self._put(await self._rest.get(f"/conversations/{conversation_id}"))

    def _reload_soon(self, conversation_id: UUID) -> None:
        """Once, however many rows were stale."""

        async def errand() -> None:
            await asyncio.sleep(STALE_S)
            self._stale.discard(conversation_id)
            await self._reload(conversation_id)

        if conversation_id not in self._stale:
            self._stale.add(conversation_id)
            self._do(errand())

    def _put(self, row: Frame) -> None:
        conversation_id = UUID(row["conversationId"])
        before = self.conversations.get(conversation_id)
        self.conversations[conversation_id] = from_rest(row, before)
        self.device.follow(conversation_id, 0 if before else row["head"])
        self.device.told(conversation_id, row["head"])
        self._changed()
        if before is not None and is_stale(row, before):
            self._reload_soon(conversation_id)

    def _do(self, errand: Coroutine[Any, Any, None]) -> None:
        """Beside everything else, while it stays; that it came to nothing is told."""

        async def run() -> None:
            try:
                await errand
            except Unanswered as unanswered:
                self._tell(str(unanswered))

        self._errands.create_task(run())

    # ------------------------------------------------------------------ what comes

    def _kept(self, item: Item, frame: Frame) -> None:
        fields = {**frame, "senderId": str(self.user_id), "content": item.content}
        self._change(item.conversation_id, lambda one: with_own(one, Message.of(fields)))

    def _hear(self, received: Received) -> None:
        frame = received.frame
        match frame["type"]:
            case "CONNECT_SUCCESS":
                self._do(self._load_list())  # also what changes without an entry: who is there
            case "SYNC_RESULT":
                conversation_id = UUID(frame["conversationId"])
                self._change(conversation_id, lambda one: with_synced(one, frame["messages"]))
                self._do(self._reload(conversation_id))  # what changed out of sight is counted
            case "ERROR":
                if not is_passing(frame["code"]) and frame["ref"].get("type") != "SEND_MESSAGE":
                    self._tell(frame["message"])
            case _ if "seq" in frame:
                self._enter(frame)
            case _ if "conversationId" in frame:
                conversation_id = UUID(frame["conversationId"])
                self._change(conversation_id, lambda one: with_signal(one, frame, received.at))
        self._changed()

    def _enter(self, frame: Frame) -> None:
        conversation_id = UUID(frame["conversationId"])
        before = self.conversations.get(conversation_id)
        if before is None or is_uncounted(before, frame):
            self._do(self._reload(conversation_id))
        self._change(conversation_id, lambda one: with_entry(one, frame, self.user_id))
        if conversation_id == self.open_id and self.divider is None and not self.is_looking:
            self._divide()

    def _divide(self) -> None:
        one = self.open
        unread = unread_by(one, self.user_id) if one is not None else iter(())
        self.divider = next((message.message_id for message in unread), None)

    def _change(
        self, conversation_id: UUID, change: Callable[[Conversation], Conversation]
    ) -> None:
        one = self.conversations.get(conversation_id)
        if one is not None:
            self.conversations[conversation_id] = change(one)
            self._changed()


def now() -> float:
    """By the clock of `Conversation.typing_until` and `State.retry_at`."""
    return time.perf_counter()
