"""The rules of chat: an event and the state it meets → what shall happen. Pure.

A rule first decides whether it refuses, then changes the state, so that a rule which raises has
changed nothing. What it decides becomes known only after the writes are confirmed (promises 1
and 2); if that fails the changed state is thrown away with the partition.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from libs.common.domain.moment import rfc3339
from libs.common.domain.status import Status
from libs.common.protocol import frames
from libs.common.protocol.errors import REFUSALS
from libs.common.protocol.events import CreateConversation, Delivered, ReplyTo, Send
from libs.common.protocol.replies import ConversationReady, Refused, Reply
from libs.common.protocol.writes import InsertConversation, InsertMessage, MarkDelivered, Write
from services.router.conversation import Conversation, Message


class ImpossibleMatch(Exception):
    """Its reason is a constant of `protocol.errors`."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """An entry of a log that every session of a user gets, but `except_session_id`."""

    user_id: UUID
    conversation_id: UUID
    seq: int
    frame: frames.ServerFrame
    message_id: UUID | None = None
    """Set for the recipient of a message: see `deliveries.ToUser`."""
    except_session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """MESSAGE_SENT or ERROR for one try of one session."""

    gateway_id: str
    session_id: UUID
    try_id: UUID
    frame: frames.ServerFrame


@dataclass(slots=True)
class Decisions:
    """What a batch of events shall bring about, in order."""

    writes: list[Write] = field(default_factory=list)
    notices: list[Announcement | Answered] = field(default_factory=list)
    """In the order of the log: a session must not see the number of its own message before
    another's smaller one."""
    replies: list[tuple[str, Reply]] = field(default_factory=list)
    """Reply queue and reply."""
    changed: dict[UUID, Conversation] = field(default_factory=dict)
    """Conversations whose log grew."""
    duplicates: int = 0

    @property
    def announcements(self) -> list[Announcement]:
        return [notice for notice in self.notices if isinstance(notice, Announcement)]

    @property
    def answers(self) -> list[Answered]:
        return [notice for notice in self.notices if isinstance(notice, Answered)]


def send(event: Send, conversation: Conversation | None, decided: Decisions) -> None:
    """A message, or a further try of one (promise 4)."""
    refusal = _refusal(event, conversation)
    if refusal is not None or conversation is None:
        decided.notices.append(_refused(event, refusal or "CONVERSATION_NOT_FOUND"))
        return
    message = conversation.same(event.sender_id, event.client_message_id, event.try_id)
    if message is not None:
        decided.duplicates += 1
    elif conversation.archived_at is not None:
        decided.notices.append(_refused(event, "CONVERSATION_ARCHIVED"))
        return
    else:
        message = _append(event, conversation, decided)
    decided.notices.append(_sent(event, message))
    # The very event that made the message: it is new, or a router died before it was announced
    # for certain. Gateways drop what they have written already.
    if message.message_id == event.try_id:
        _announce_message(event, conversation, message, decided)


def _refusal(event: Send, conversation: Conversation | None) -> str | None:
    if conversation is None:
        return "CONVERSATION_NOT_FOUND"
    return None if conversation.has(event.sender_id) else "NOT_PARTICIPANT"


def _append(event: Send, conversation: Conversation, decided: Decisions) -> Message:
    seq = conversation.head + 1
    message = Message(
        message_id=event.try_id,
        sender_id=event.sender_id,
        client_message_id=event.client_message_id,
        seq=seq,
        created_at=event.accepted_at,
        changed_seq=seq,
    )
    decided.writes.append(
        InsertMessage(
            conversation_id=conversation.conversation_id,
            seq=seq,
            message_id=message.message_id,
            sender_id=message.sender_id,
            client_message_id=message.client_message_id,
            content=event.content,
            created_at=message.created_at,
        )
    )
    conversation.head = seq
    conversation.remember(message)
    decided.changed[conversation.conversation_id] = conversation
    return message


def _sent(event: Send, message: Message) -> Answered:
    frame = frames.MessageSent(
        client_message_id=message.client_message_id,
        message_id=message.message_id,
        conversation_id=event.conversation_id,
        seq=message.seq,
        timestamp=rfc3339(message.created_at),
    )
    return Answered(event.gateway_id, event.session_id, event.try_id, frame)


def _refused(event: Send, error: str) -> Answered:
    row = REFUSALS[error]
    frame = frames.Error(
        code=row.code,
        error=row.error,
        message=row.message,
        ref=frames.ErrorRef("SEND_MESSAGE", event.client_message_id, event.conversation_id),
    )
    return Answered(event.gateway_id, event.session_id, event.try_id, frame)


def _announce_message(
    event: Send, conversation: Conversation, message: Message, decided: Decisions
) -> None:
    received = frames.MessageReceived(
        message_id=message.message_id,
        conversation_id=conversation.conversation_id,
        sender_id=message.sender_id,
        content=event.content,
        timestamp=rfc3339(message.created_at),
        seq=message.seq,
    )
    own = received
    if message.client_message_id is not None:
        own = frames.MessageReceived(
            message_id=received.message_id,
            conversation_id=received.conversation_id,
            sender_id=received.sender_id,
            content=received.content,
            timestamp=received.timestamp,
            seq=received.seq,
            client_message_id=message.client_message_id,
        )
    decided.notices += (
        Announcement(
            conversation.other(message.sender_id),
            conversation.conversation_id,
            message.seq,
            received,
            message_id=message.message_id,
        ),
        Announcement(
            message.sender_id,
            conversation.conversation_id,
            message.seq,
            own,
            except_session_id=event.session_id,
        ),
    )


def delivered(event: Delivered, conversation: Conversation | None, decided: Decisions) -> None:
    """The recipient has these messages: those that were only SENT rise, as one entry."""
    if conversation is None or not conversation.has(event.user_id):
        return
    named = [conversation.message(message_id) for message_id in event.message_ids]
    theirs = [known for known in named if known and known.sender_id != event.user_id]
    # The same event once more, after a router died before it was announced for certain.
    again = [message for message in theirs if message.delivered_at == event.delivered_at]
    risen = [message for message in theirs if message.status < Status.DELIVERED]
    if risen:
        _raise_to_delivered(event, conversation, risen, decided)
    for seq in sorted({message.changed_seq for message in again}):
        batch = [message for message in again if message.changed_seq == seq]
        _announce_delivered(conversation, batch, seq, event.delivered_at, decided)


def _raise_to_delivered(
    event: Delivered, conversation: Conversation, risen: list[Message], decided: Decisions
) -> None:
    seq = conversation.head + 1
    _announce_delivered(conversation, risen, seq, event.delivered_at, decided)
    decided.writes.append(
        MarkDelivered(
            conversation_id=conversation.conversation_id,
            seq=seq,
            message_ids=[message.message_id for message in risen],
            delivered_at=event.delivered_at,
        )
    )
    conversation.head = seq
    for message in risen:
        message.status = Status.DELIVERED
        message.delivered_at = event.delivered_at
        message.changed_seq = seq
    decided.changed[conversation.conversation_id] = conversation


def _announce_delivered(
    conversation: Conversation, messages: list[Message], seq: int, at: int, decided: Decisions
) -> None:
    messages = sorted(messages, key=lambda message: message.seq)
    frame = frames.MessageDelivered(
        conversation_id=conversation.conversation_id,
        message_id=messages[-1].message_id,
        message_ids=[message.message_id for message in messages],
        delivered_at=rfc3339(at),
        seq=seq,
    )
    _announce_to_both(conversation, seq, frame, decided)


def create(
    event: CreateConversation, existing: Conversation | None, decided: Decisions
) -> Conversation | None:
    """The conversation of a match, made if it has none; None when the asker was refused.

    Raises ImpossibleMatch when nobody asked who could be told.
    """
    users = {event.user1_id, event.user2_id}
    refusal = None
    if len(users) != 2:
        refusal = "SAME_USER"
    elif existing is not None and users != {existing.user1_id, existing.user2_id}:
        refusal = "MATCH_CONFLICT"
    if refusal is not None:
        if event.reply_to is None:
            raise ImpossibleMatch(refusal)
        _reply(event.reply_to, lambda to: Refused(to.correlation_id, refusal), decided)
        return None
    conversation = existing or _begin(event, decided)
    # By this very event: now, or before a router died that had not announced it for certain.
    created = conversation.conversation_id == event.conversation_id
    if created:
        frame = frames.ConversationCreated(
            conversation_id=conversation.conversation_id,
            match_id=conversation.match_id,
            user_ids=[conversation.user1_id, conversation.user2_id],
            created_at=rfc3339(conversation.created_at),
            seq=1,
        )
        _announce_to_both(conversation, 1, frame, decided)
    ready = conversation.conversation_id
    _reply(event.reply_to, lambda to: ConversationReady(to.correlation_id, ready, created), decided)
    return conversation


def _begin(event: CreateConversation, decided: Decisions) -> Conversation:
    conversation = Conversation(
        conversation_id=event.conversation_id,
        match_id=event.match_id,
        user1_id=event.user1_id,
        user2_id=event.user2_id,
        created_at=event.created_at,
        head=1,
    )
    decided.writes.append(
        InsertConversation(
            conversation_id=event.conversation_id,
            seq=1,
            match_id=event.match_id,
            user1_id=event.user1_id,
            user2_id=event.user2_id,
            created_at=event.created_at,
        )
    )
    decided.changed[event.conversation_id] = conversation
    return conversation


def _announce_to_both(
    conversation: Conversation, seq: int, frame: frames.ServerFrame, decided: Decisions
) -> None:
    decided.notices += (
        Announcement(conversation.user1_id, conversation.conversation_id, seq, frame),
        Announcement(conversation.user2_id, conversation.conversation_id, seq, frame),
    )


def _reply(to: ReplyTo | None, make: Callable[[ReplyTo], Reply], decided: Decisions) -> None:
    if to is not None:
        decided.replies.append((to.queue, make(to)))
