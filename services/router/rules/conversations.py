"""A conversation's birth by a match, and its archiving."""

from uuid import UUID

from libs.common.domain import permission
from libs.common.domain.moment import rfc3339
from libs.common.domain.permission import Act
from libs.common.protocol import frames, writes
from libs.common.protocol.events import ArchiveConversation, CreateConversation, RemoveMatch
from libs.common.protocol.replies import ConversationReady, Refused
from services.router.conversation import Conversation
from services.router.rules.decisions import Decisions


class ImpossibleMatch(Exception):
    """Its reason is a constant of `protocol.errors`."""


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
        decided.reply(event.reply_to, lambda number: Refused(number, refusal))
        return None
    conversation = existing or _begin(event, decided)
    # By this very event: now, or before a router died that had not announced it for certain.
    created = conversation.conversation_id == event.conversation_id
    if created:
        _announce_created(conversation, decided)
    ready = conversation.conversation_id
    decided.reply(event.reply_to, lambda number: ConversationReady(number, ready, created))
    return conversation


def archive(
    event: ArchiveConversation, conversation: Conversation | None, decided: Decisions
) -> None:
    """By one of its users, for both; again is the same."""
    error = permission.refusal(Act.ARCHIVE, event.user_id, conversation)
    if error is not None or conversation is None:
        ref = frames.ErrorRef(conversation_id=event.conversation_id)
        error = error or "CONVERSATION_NOT_FOUND"
        decided.refuse(error, ref, origin=None, reply_to=event.reply_to)
        return
    _archive(conversation, event.user_id, event.archived_at, decided)
    decided.reply(event.reply_to)


def remove_match(event: RemoveMatch, conversation: Conversation | None, decided: Decisions) -> None:
    """The match service has ended a match. One that never had a conversation needs nothing."""
    if conversation is not None:
        _archive(conversation, None, event.archived_at, decided)


def _begin(event: CreateConversation, decided: Decisions) -> Conversation:
    conversation = Conversation(
        conversation_id=event.conversation_id,
        match_id=event.match_id,
        user1_id=event.user1_id,
        user2_id=event.user2_id,
        created_at=event.created_at,
    )
    decided.grow(
        conversation,
        writes.InsertConversation(
            conversation_id=event.conversation_id,
            seq=1,
            match_id=event.match_id,
            user1_id=event.user1_id,
            user2_id=event.user2_id,
            created_at=event.created_at,
        ),
    )
    return conversation


def _announce_created(conversation: Conversation, decided: Decisions) -> None:
    decided.created[conversation.conversation_id] = conversation
    frame = frames.ConversationCreated(
        conversation_id=conversation.conversation_id,
        match_id=conversation.match_id,
        user_ids=[conversation.user1_id, conversation.user2_id],
        created_at=rfc3339(conversation.created_at),
        seq=1,
    )
    decided.announce_to_both(conversation, 1, frame)


def _archive(
    conversation: Conversation, actor_id: UUID | None, at: int, decided: Decisions
) -> None:
    if not conversation.is_archived:
        seq = conversation.head + 1
        conversation.archived_at, conversation.archived_seq = at, seq
        decided.grow(
            conversation,
            writes.ArchiveConversation(conversation.conversation_id, seq, actor_id, at),
        )
    if conversation.archived_at == at:  # by this very event
        decided.archived.add(conversation.conversation_id)
        for user_id in (conversation.user1_id, conversation.user2_id):
            decided.recount(conversation, user_id)
        frame = frames.ConversationArchived(
            conversation_id=conversation.conversation_id,
            archived_at=rfc3339(at),
            seq=conversation.archived_seq,
        )
        decided.announce_to_both(conversation, conversation.archived_seq, frame)
