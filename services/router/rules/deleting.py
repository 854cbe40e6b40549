"""Deletion: the content goes for both, the tombstone stays."""

from libs.common.domain import permission
from libs.common.domain.moment import rfc3339
from libs.common.domain.permission import Act
from libs.common.protocol import frames
from libs.common.protocol.events import DeleteMessage
from libs.common.protocol.writes import DeleteContent
from services.router.conversation import Conversation, Message
from services.router.rules.decisions import Decisions


def delete(event: DeleteMessage, conversation: Conversation | None, decided: Decisions) -> None:
    """Only its sender may, at any time; again is the same."""
    message = conversation.message(event.message_id) if conversation else None
    refusal = _refusal(event, conversation, message)
    if refusal is not None or conversation is None or message is None:
        ref = frames.ErrorRef(conversation_id=event.conversation_id)
        error = refusal or "MESSAGE_NOT_FOUND"
        decided.refuse(error, ref, origin=None, reply_to=event.reply_to)
        return
    if message.deleted_at is None:
        _delete(event, conversation, message, decided)
    if message.deleted_at == event.deleted_at:  # by this very event
        _tell(conversation, message, event.deleted_at, decided)
    decided.reply(event.reply_to)


def _refusal(
    event: DeleteMessage, conversation: Conversation | None, message: Message | None
) -> str | None:
    if conversation is None:
        return "MESSAGE_NOT_FOUND"  # the asker has named no conversation, only a message
    sender_id = None if message is None else message.sender_id
    return permission.refusal(
        Act.DELETE, event.user_id, conversation
    ) or permission.message_refusal(Act.DELETE, event.user_id, sender_id)


def _delete(
    event: DeleteMessage, conversation: Conversation, message: Message, decided: Decisions
) -> None:
    seq = conversation.head + 1
    if message.is_unread:
        conversation.unread[conversation.place(conversation.other(message.sender_id))] -= 1
    message.deleted_at = event.deleted_at
    message.changed_seq = seq
    decided.grow(
        conversation,
        DeleteContent(
            conversation_id=conversation.conversation_id,
            seq=seq,
            message_id=message.message_id,
            actor_id=event.user_id,
            deleted_at=event.deleted_at,
            because=event.because,
        ),
    )


def _tell(conversation: Conversation, message: Message, at: int, decided: Decisions) -> None:
    seq = message.changed_seq
    decided.deleted[conversation.conversation_id] = seq
    decided.recount(conversation, conversation.other(message.sender_id))
    frame = frames.MessageDeleted(
        conversation_id=conversation.conversation_id,
        message_id=message.message_id,
        deleted_at=rfc3339(at),
        seq=seq,
    )
    decided.announce_to_both(conversation, seq, frame)
