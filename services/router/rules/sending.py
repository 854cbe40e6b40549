"""SEND_MESSAGE: a message, or a further try of one (promise 4)."""

from libs.common.domain import permission
from libs.common.domain.moment import rfc3339
from libs.common.domain.permission import Act
from libs.common.domain.permit import Permit
from libs.common.protocol import frames
from libs.common.protocol.events import Origin, Send
from libs.common.protocol.writes import InsertMessage
from services.router.conversation import Conversation, Message
from services.router.rules.decisions import Announcement, Decisions, refusal


def needs_permit(event: Send, conversation: Conversation | None) -> bool:
    """Whether it would be a new message: only those count against the rate limit."""
    return (
        conversation is not None
        and permission.refusal(Act.SEND, event.sender_id, conversation) is None
        and not _known(event, conversation)
    )


def send(
    event: Send, conversation: Conversation | None, permit: Permit, decided: Decisions
) -> None:
    """`permit` matters to a new message alone; its time becomes the message's."""
    error = permission.refusal(Act.SEND, event.sender_id, conversation)
    # Sent before it was archived it is answered as ever. A stranger has sent nothing.
    message = None if conversation is None else _known(event, conversation)
    if conversation is None or (error is not None and message is None):
        decided.answer(_origin(event), refusal(error or "CONVERSATION_NOT_FOUND", _ref(event)))
        return
    if message is not None:
        decided.duplicates += 1
    elif permit.granted_at is None:
        limited = refusal("RATE_LIMITED", _ref(event), permit.retry_after_ms)
        decided.answer(_origin(event), limited)
        return
    else:
        message = _append(event, conversation, permit.granted_at, decided)
    decided.answer(_origin(event), _sent(event, message))
    # The very event that made the message: it is new, or told again.
    if message.message_id == event.try_id and message.deleted_at is None:
        _announce(event, conversation, message, decided)


def _known(event: Send, conversation: Conversation) -> Message | None:
    return conversation.same(event.sender_id, event.identity)


def _origin(event: Send) -> Origin:
    return Origin(event.gateway_id, event.session_id, event.try_id)


def _ref(event: Send) -> frames.ErrorRef:
    return frames.ErrorRef("SEND_MESSAGE", event.client_message_id, event.conversation_id)


def _append(
    event: Send, conversation: Conversation, created_at: int, decided: Decisions
) -> Message:
    seq = conversation.head + 1
    message = Message(
        message_id=event.try_id,
        sender_id=event.sender_id,
        client_message_id=event.client_message_id,
        seq=seq,
        created_at=created_at,
        changed_seq=seq,
    )
    decided.grow(
        conversation,
        InsertMessage(
            conversation_id=conversation.conversation_id,
            seq=seq,
            message_id=message.message_id,
            sender_id=message.sender_id,
            client_message_id=message.client_message_id,
            content=event.content,
            created_at=created_at,
        ),
    )
    conversation.remember(message)
    conversation.unread[conversation.place(conversation.other(event.sender_id))] += 1
    return message


def _sent(event: Send, message: Message) -> frames.MessageSent:
    return frames.MessageSent(
        client_message_id=message.client_message_id,
        message_id=message.message_id,
        conversation_id=event.conversation_id,
        seq=message.seq,
        timestamp=rfc3339(message.created_at),
    )


def _announce(
    event: Send, conversation: Conversation, message: Message, decided: Decisions
) -> None:
    received = _received(event, message)
    own = received
    if message.client_message_id is not None:
        own = _received(event, message, client_message_id=message.client_message_id)
    recipient = conversation.other(message.sender_id)
    decided.recount(conversation, recipient)
    decided.notices += (
        Announcement(
            recipient,
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


def _received(event: Send, message: Message, **own: object) -> frames.MessageReceived:
    return frames.MessageReceived(
        message_id=message.message_id,
        conversation_id=event.conversation_id,
        sender_id=message.sender_id,
        content=event.content,
        timestamp=rfc3339(message.created_at),
        seq=message.seq,
        **own,  # type: ignore[arg-type]
    )
