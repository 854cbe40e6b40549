"""DELIVERED and READ: a message's status only rises (promise 7)."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from libs.common.domain import permission
from libs.common.domain.moment import rfc3339
from libs.common.domain.permission import Act
from libs.common.domain.status import Status
from libs.common.protocol import frames, writes
from libs.common.protocol.events import Delivered, MarkRead
from services.router.conversation import ENTRY_MOST, Conversation, Message
from services.router.rules.decisions import Decisions

Entries = list[tuple[int, list[Message]]]
"""Numbers of entries, rising, and the messages that each concerns, in order."""


def delivered(event: Delivered, conversation: Conversation | None, decided: Decisions) -> None:
    """The recipient has these messages (promise 5): those that were only SENT rise."""
    error = permission.refusal(Act.READ, event.user_id, conversation)
    if error is not None or conversation is None:
        return
    named = [conversation.message(message_id) for message_id in event.message_ids]
    theirs = [known for known in named if known and known.sender_id != event.user_id]
    alive = [message for message in _ordered(theirs) if message.deleted_at is None]
    entries = _told_again(
        message
        for message in alive
        if message.status is Status.DELIVERED and message.delivered_at == event.delivered_at
    )
    for messages in _chunks([message for message in alive if message.status < Status.DELIVERED]):
        seq = conversation.head + 1
        ids = [message.message_id for message in messages]
        write = writes.MarkDelivered(conversation.conversation_id, seq, ids, event.delivered_at)
        decided.grow(conversation, write)
        for message in messages:
            message.status = Status.DELIVERED
            message.delivered_at = event.delivered_at
            message.changed_seq = seq
        entries.append((seq, messages))
    for seq, messages in entries:
        frame = frames.MessageDelivered(
            conversation_id=conversation.conversation_id,
            message_id=messages[-1].message_id,
            message_ids=[message.message_id for message in messages],
            delivered_at=rfc3339(event.delivered_at),
            seq=seq,
        )
        decided.announce_to_both(conversation, seq, frame)


def mark_read(event: MarkRead, conversation: Conversation | None, decided: Decisions) -> None:
    """The recipient has read these messages, or all up to a number."""
    refusal = _refusal(event, conversation)
    if refusal is not None or conversation is None:
        ref = frames.ErrorRef("MARK_AS_READ", conversation_id=event.conversation_id)
        error = refusal or "CONVERSATION_NOT_FOUND"
        decided.refuse(error, ref, origin=event.origin, reply_to=event.reply_to)
        return
    named = _named(event, conversation)
    entries = _told_again(
        message
        for message in named
        if message.read_at == event.read_at and message.deleted_at is None
    )
    chunks = list(_chunks([message for message in named if message.is_unread]))
    for place, messages in enumerate(chunks, 1):
        seq = _read(event, conversation, messages, decided, is_last=place == len(chunks))
        entries.append((seq, messages))
    _tell_read(event, conversation, entries, decided)
    decided.reply(event.reply_to)


def _refusal(event: MarkRead, conversation: Conversation | None) -> str | None:
    error = permission.refusal(Act.MARK_READ, event.user_id, conversation)
    if error is not None or conversation is None or event.up_to_seq is not None:
        return error
    named = [conversation.message(message_id) for message_id in event.message_ids]
    senders = {None if message is None else message.sender_id for message in named}
    refusals = {
        permission.message_refusal(Act.MARK_READ, event.user_id, sender_id) for sender_id in senders
    }
    if "MESSAGE_NOT_FOUND" in refusals:
        return "MESSAGE_NOT_FOUND"
    # Own ones among the other's don't count; nothing but own ones is refused.
    return None if None in refusals else "NOT_RECIPIENT"


def _named(event: MarkRead, conversation: Conversation) -> list[Message]:
    """The other's messages that the event is about, in order; own ones among them don't count."""
    theirs = conversation.messages_to(event.user_id)
    if event.up_to_seq is not None:
        return [message for message in theirs if message.seq <= event.up_to_seq]
    ids = set(event.message_ids)
    return [message for message in theirs if message.message_id in ids]


def _read(
    event: MarkRead,
    conversation: Conversation,
    messages: list[Message],
    decided: Decisions,
    *,
    is_last: bool,
) -> int:
    """The number of the new entry. `is_last`: the event reads nothing more."""
    seq = conversation.head + 1
    for message in messages:
        message.status = Status.READ
        message.read_at = event.read_at
        message.changed_seq = seq
    conversation.unread[conversation.place(event.user_id)] -= len(messages)
    # Up to a number all is read in order; of those that are named, older ones may be left.
    certain = 0 if event.up_to_seq is None else messages[-1].seq
    conversation.raise_read_mark(event.user_id, certain)
    if is_last:
        # Looks through all messages: once, of however many entries.
        conversation.find_read_mark(event.user_id)
    ids = [message.message_id for message in messages]
    decided.grow(
        conversation,
        writes.MarkRead(
            conversation.conversation_id, seq, ids, event.read_at, conversation.read_up_to
        ),
    )
    return seq


def _tell_read(
    event: MarkRead, conversation: Conversation, entries: Entries, decided: Decisions
) -> None:
    """Both users; the session that asked has the last entry as its answer."""

    def frame(seq: int, messages: list[Message]) -> frames.MessageRead:
        return frames.MessageRead(
            conversation_id=conversation.conversation_id,
            message_id=messages[-1].message_id if messages else None,
            message_ids=[message.message_id for message in messages],
            reader_id=event.user_id,
            read_at=rfc3339(event.read_at),
            seq=seq,
        )

    if not entries:
        decided.answer(event.origin, frame(conversation.head, []))
        return
    decided.recount(conversation, event.user_id)
    last, _ = entries[-1]
    for seq, messages in entries:
        asker = event.origin if seq == last else None
        told = frame(seq, messages)
        decided.answer(asker, told)
        decided.announce_to_both(conversation, seq, told, asker.session_id if asker else None)


def _told_again(messages: Iterable[Message]) -> Entries:
    """What the same event did before a router died that had not told it for certain."""
    ordered = sorted(messages, key=_changed_seq)
    return [(seq, _ordered(group)) for seq, group in groupby(ordered, key=_changed_seq)]


def _ordered(messages: Iterable[Message]) -> list[Message]:
    return sorted({message.message_id: message for message in messages}.values(), key=_seq)


def _seq(message: Message) -> int:
    return message.seq


def _changed_seq(message: Message) -> int:
    return message.changed_seq


def _chunks(messages: list[Message]) -> Iterator[list[Message]]:
    return (messages[i : i + ENTRY_MOST] for i in range(0, len(messages), ENTRY_MOST))
