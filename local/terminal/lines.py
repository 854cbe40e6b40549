"""What the message list shows of a conversation, line by line. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from enum import Enum
from typing import Final, Literal
from uuid import UUID

from libs.client.outbox import Item
from local.terminal.conversation import Conversation
from local.terminal.message import Message
from local.terminal.names import name_of
from local.terminal.text import printable
from local.terminal.times import clock, day_of

WHY: Final = {
    "CONVERSATION_ARCHIVED": "the conversation is archived",
    "NOT_PARTICIPANT": "it is not yours",
}


class Tick(Enum):
    """How far a message of one's own has come: the sign, and the word for who sees no colours."""

    FAILED = ("!", "not sent")
    SENDING = ("·", "sending")
    SENT = ("✓", "sent")
    DELIVERED = ("✓✓", "delivered")
    READ = ("✓✓", "read")

    @property
    def sign(self) -> str:
        return self.value[0]

    @property
    def word(self) -> str:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Line:
    """A message, or what stands between two. `key` names it as long as it is shown."""

    key: str
    kind: Literal["message", "gone", "between", "note"]
    text: str
    at: str = ""
    author: str = ""
    tick: Tick | None = None
    """Of one's own."""
    trouble: str = ""
    """Why it was not sent, and what can be done."""

    @property
    def can_be_chosen(self) -> bool:
        return self.kind in ("message", "gone")


@dataclass(frozen=True, slots=True)
class Looking:
    """Who looks at it, and when. With the same conversation and outbox it gives the same lines."""

    me: UUID
    today: date
    zone: tzinfo | None = None
    """The reader's; None: this machine's."""
    divider: str | None = None
    """The id of the first message that was new when the conversation was opened."""
    is_typing: bool = False
    """The other user."""
    hint: str = ""
    """What to do in a conversation without a message."""


def lines_of(
    conversation: Conversation, outbox: Iterable[Item], looking: Looking
) -> tuple[Line, ...]:
    """All that is loaded, what is under way, and who is typing."""
    name = name_of(conversation.other_id)
    return (
        *_beginning(conversation, name, looking.hint),
        *_messages(conversation.messages, name, looking),
        *(_waiting(item) for item in outbox if item.conversation_id == conversation.id),
        *([Line("typing", "note", f"{name} is typing…")] if looking.is_typing else ()),
    )


def _beginning(conversation: Conversation, name: str, hint: str) -> Iterator[Line]:
    if not conversation.is_loaded or conversation.older is not None:
        yield Line("beginning", "note", "Loading…")
        return
    yield Line("beginning", "note", f"You and {name} matched. Say hello.")
    if hint and not conversation.messages:
        yield Line("hint", "note", hint)


def _messages(messages: Sequence[Message], name: str, looking: Looking) -> Iterator[Line]:
    before: datetime | None = None
    for message in messages:
        at = message.timestamp.astimezone(looking.zone)
        if before is None or before.date() != at.date():
            yield Line(f"day {at.date()}", "between", day_of(at.date(), looking.today))
        if message.message_id == looking.divider:
            yield Line("divider", "between", "New messages")
        yield _message(message, at, name, is_own=message.sender_id == looking.me)
        before = at


def _message(message: Message, at: datetime, name: str, *, is_own: bool) -> Line:
    author = "You" if is_own else name
    if message.is_deleted:
        return Line(message.message_id, "gone", "Message deleted", clock(at), author)
    tick = Tick[message.status] if is_own else None
    return Line(message.message_id, "message", printable(message.content), clock(at), author, tick)


def _waiting(item: Item) -> Line:
    """One that has no answer yet."""
    key, text = str(item.client_message_id), printable(item.content)
    if item.error is None:
        return Line(key, "message", text, "", "You", Tick.SENDING)
    why = WHY.get(item.error, item.error)
    trouble = f"Not sent: {why}. Select it; R tries again, D discards it."
    return Line(key, "message", text, "", "You", Tick.FAILED, trouble)
