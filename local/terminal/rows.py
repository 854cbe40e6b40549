"""What the list of conversations shows, row by row. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from libs.client.state import State
from local.terminal.conversation import Conversation
from local.terminal.names import name_of
from local.terminal.text import in_one_line
from local.terminal.times import briefly

MOST_SHOWN = 99


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation; `key` is its id. `unread` is "" for none."""

    key: str
    name: str
    when: str
    preview: str
    unread: str
    is_online: bool
    is_archived: bool
    is_open: bool

    @property
    def can_be_chosen(self) -> bool:
        return True


def rows_of(
    conversations: Iterable[Conversation],
    me: UUID,
    open_id: UUID | None,
    clocks: tuple[datetime, float],
) -> tuple[Row, ...]:
    """The newest activity first, the archived ones below.

    `clocks`: now in the reader's time zone, and by the clock of `Conversation.typing_until`.
    """
    newest = sorted(conversations, key=lambda one: one.active_at, reverse=True)
    ordered = sorted(newest, key=lambda one: one.is_archived)
    now, ticks = clocks
    return tuple(
        Row(
            str(one.id),
            name_of(one.other_id),
            briefly(one.active_at.astimezone(now.tzinfo), now),
            _preview(one, me, ticks),
            "" if not one.unread else str(one.unread) if one.unread <= MOST_SHOWN else "99+",
            one.is_online,
            one.is_archived,
            one.id == open_id,
        )
        for one in ordered
    )


def _preview(one: Conversation, me: UUID, ticks: float) -> str:
    if one.typing_until > ticks:
        return "typing…"
    if one.last is None:
        return "Say hello"
    if one.last.is_deleted:
        return "Message deleted"
    return ("You: " if one.last.sender_id == me else "") + in_one_line(one.last.content)


def presence_of(one: Conversation, now: datetime, ticks: float) -> str:
    """What is known of the other user."""
    if one.is_archived:
        return "archived"
    if one.typing_until > ticks:
        return "typing…"
    if one.is_online:
        return "online"
    if one.last_seen_at is None:
        return "offline"
    return f"last seen {briefly(one.last_seen_at.astimezone(now.tzinfo), now)}"


def banner_of(state: State, waiting: int, ticks: float) -> str:
    """What keeps the user from chatting, and until when; "" while all is well.

    `waiting` messages are in the outbox; `ticks` by the clock of `State.retry_at`.
    """
    kept = f" {waiting} {'messages wait' if waiting > 1 else 'message waits'} to be sent."
    kept = kept if waiting else ""
    match state.name:
        case "connecting":
            return f"Connecting…{kept}"
        case "waiting":
            seconds = max(0, math.ceil(state.retry_at - ticks))
            return f"Offline. Trying again in {seconds} s; Ctrl+T tries now.{kept}"
        case "stopped" if state.code is not None:
            return f"Signed out: {state.reason}. Ctrl+T connects again.{kept}"
    return ""
