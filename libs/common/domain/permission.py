"""Who may do what: the one place that decides it, for router and REST API. Pure.

A conversation is its two users', for ever: archiving ends what would add to it, not what is read,
marked as read or deleted. A message is deleted by its sender and marked as read by its recipient.
New conversations are made by services, which otherwise may do what any user with their id may.

It is decided in this order: is there such a conversation, is it theirs, is it still open, is there
such a message, is it theirs to change. So who is no participant learns nothing that comes after.
"""

from enum import Enum
from typing import Protocol
from uuid import UUID


class Act(Enum):
    """What somebody wants with a conversation or a message in it."""

    READ = "history, SYNC, search, unread counts, presence"
    SEND = "a new message"
    TYPE = "say that one is typing"
    MARK_READ = "say that one has read"
    DELETE = "take a message back"
    ARCHIVE = "end the conversation, for both"


ENDED_BY_ARCHIVING = frozenset({Act.SEND, Act.TYPE})


class Members(Protocol):
    """Whose a conversation is, and whether it goes on."""

    @property
    def user1_id(self) -> UUID: ...
    @property
    def user2_id(self) -> UUID: ...
    @property
    def is_archived(self) -> bool: ...


def refusal(act: Act, user_id: UUID, conversation: Members | None) -> str | None:
    """Why this user may not, a constant of `protocol.errors`; None: they may."""
    if conversation is None:
        return "CONVERSATION_NOT_FOUND"
    if user_id not in (conversation.user1_id, conversation.user2_id):
        return "NOT_PARTICIPANT"
    if conversation.is_archived and act in ENDED_BY_ARCHIVING:
        return "CONVERSATION_ARCHIVED"
    return None


def message_refusal(act: Act, user_id: UUID, sender_id: UUID | None) -> str | None:
    """The same of a message in a conversation of theirs; without a sender there is none."""
    if sender_id is None:
        return "MESSAGE_NOT_FOUND"
    if act is Act.DELETE and user_id != sender_id:
        return "NOT_SENDER"
    if act is Act.MARK_READ and user_id == sender_id:
        return "NOT_RECIPIENT"
    return None


def creation_refusal(*, is_service: bool) -> str | None:
    """The same of a new conversation."""
    return None if is_service else "NOT_PERMITTED"
