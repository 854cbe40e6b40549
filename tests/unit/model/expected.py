"""What ought to become of an event, as a person would say it: no log, no memory, no second time."""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from libs.common.domain.status import Status
from libs.common.protocol.events import (
    ArchiveConversation,
    CreateConversation,
    DeleteMessage,
    Delivered,
    MarkRead,
    RemoveMatch,
    Send,
)


@dataclass(frozen=True)
class Outcome:
    """Of one event."""

    error: str | None = None
    message_id: UUID | None = None
    """Of the message that a SEND_MESSAGE made, or had made."""
    conversation_id: UUID | None = None
    """Of the match's conversation."""
    created: bool = False


DONE = Outcome()


@dataclass
class ExpectedMessage:
    sender_id: UUID
    status: Status = Status.SENT
    is_deleted: bool = False


@dataclass
class ExpectedConversation:
    users: frozenset[UUID]
    is_archived: bool = False
    messages: dict[UUID, ExpectedMessage] = field(default_factory=dict)
    tries: dict[tuple[UUID, UUID], UUID] = field(default_factory=dict)

    def unread_by(self, user_id: UUID) -> int:
        return sum(
            message.sender_id != user_id
            and message.status is not Status.READ
            and not message.is_deleted
            for message in self.messages.values()
        )


class Expected:
    """Events come once, in the order in which they are queued."""

    def __init__(self) -> None:
        self.conversations: dict[UUID, ExpectedConversation] = {}
        self._of_match: dict[UUID, UUID] = {}

    def has(self, match_id: UUID) -> bool:
        return match_id in self._of_match

    def send(self, event: Send, *, is_limited: bool) -> Outcome:
        chat = self.conversations.get(event.conversation_id)
        if chat is None:
            return Outcome("CONVERSATION_NOT_FOUND")
        if event.sender_id not in chat.users:
            return Outcome("NOT_PARTICIPANT")
        known = chat.tries.get((event.sender_id, event.identity))
        if known is not None:
            return Outcome(message_id=known)
        if chat.is_archived:
            return Outcome("CONVERSATION_ARCHIVED")
        if is_limited:
            return Outcome("RATE_LIMITED")
        chat.tries[event.sender_id, event.identity] = event.try_id
        chat.messages[event.try_id] = ExpectedMessage(event.sender_id)
        return Outcome(message_id=event.try_id)

    def delivered(self, event: Delivered) -> Outcome:
        chat = self.conversations.get(event.conversation_id)
        if chat is not None and event.user_id in chat.users:
            self._raise(chat, event.user_id, event.message_ids, Status.DELIVERED)
        return DONE

    def mark_read(self, event: MarkRead, meant: Collection[UUID]) -> Outcome:
        """`meant` are the messages that an `up_to_seq` stands for."""
        chat = self.conversations.get(event.conversation_id)
        if chat is None:
            return Outcome("CONVERSATION_NOT_FOUND")
        if event.user_id not in chat.users:
            return Outcome("NOT_PARTICIPANT")
        if event.up_to_seq is None:
            if not all(message_id in chat.messages for message_id in event.message_ids):
                return Outcome("MESSAGE_NOT_FOUND")
            senders = {chat.messages[message_id].sender_id for message_id in event.message_ids}
            if senders == {event.user_id}:
                return Outcome("NOT_RECIPIENT")
        self._raise(chat, event.user_id, meant, Status.READ)
        return DONE

    def _raise(
        self, chat: ExpectedConversation, user_id: UUID, ids: Collection[UUID], status: Status
    ) -> None:
        for message_id in ids:
            message = chat.messages.get(message_id)
            if message and message.sender_id != user_id and not message.is_deleted:
                message.status = max(message.status, status)

    def delete(self, event: DeleteMessage) -> Outcome:
        chat = self.conversations.get(event.conversation_id)
        if chat is None:
            return Outcome("MESSAGE_NOT_FOUND")
        if event.user_id not in chat.users:
            return Outcome("NOT_PARTICIPANT")
        message = chat.messages.get(event.message_id)
        if message is None:
            return Outcome("MESSAGE_NOT_FOUND")
        if message.sender_id != event.user_id:
            return Outcome("NOT_SENDER")
        message.is_deleted = True
        return DONE

    def archive(self, event: ArchiveConversation) -> Outcome:
        chat = self.conversations.get(event.conversation_id)
        if chat is None:
            return Outcome("CONVERSATION_NOT_FOUND")
        if event.user_id not in chat.users:
            return Outcome("NOT_PARTICIPANT")
        chat.is_archived = True
        return DONE

    def remove_match(self, event: RemoveMatch) -> Outcome:
        if event.match_id in self._of_match:
            self.conversations[self._of_match[event.match_id]].is_archived = True
        return DONE

    def create(self, event: CreateConversation) -> Outcome:
        users = frozenset((event.user1_id, event.user2_id))
        if len(users) == 1:
            return Outcome("SAME_USER")
        known = self._of_match.get(event.match_id)
        if known is None:
            self._of_match[event.match_id] = event.conversation_id
            self.conversations[event.conversation_id] = ExpectedConversation(users)
            return Outcome(conversation_id=event.conversation_id, created=True)
        if users != self.conversations[known].users:
            return Outcome("MATCH_CONFLICT")
        return Outcome(conversation_id=known)
