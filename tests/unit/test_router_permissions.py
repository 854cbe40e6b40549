"""Who may do what: every event as everybody, to every conversation."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from libs.common.domain.permit import Permit
from libs.common.domain.status import Status
from libs.common.protocol import frames
from libs.common.protocol.errors import REFUSALS
from libs.common.protocol.events import (
    ArchiveConversation,
    CreateConversation,
    DeleteMessage,
    Delivered,
    MarkRead,
    Origin,
    RemoveMatch,
    ReplyTo,
    Send,
)
from libs.common.protocol.replies import ConversationReady, Done, Refused
from services.router import rules
from services.router.conversation import Conversation, Message
from services.router.rules.decisions import Answered, Decisions

ANNA, BEN, EVE = uuid4(), uuid4(), uuid4()
"""Sender, recipient, stranger."""
MESSAGE, NOWHERE = uuid4(), uuid4()
ORIGIN, REPLY_TO = Origin("gateway", uuid4(), uuid4()), ReplyTo("queue", "7")

Act = Callable[[UUID, Conversation | None, UUID, Decisions], None]
"""User, conversation, message."""


def chat(*, archived: bool = False) -> Conversation:
    """With one message of Anna's."""
    made = Conversation(uuid4(), uuid4(), ANNA, BEN, created_at=1, head=2, unread=[0, 1])
    made.remember(Message(MESSAGE, ANNA, None, seq=2, created_at=2, changed_seq=2))
    if archived:
        made.archived_at, made.archived_seq, made.head = 7, 3, 3
    return made


def key_of(to: Conversation | None) -> UUID:
    return NOWHERE if to is None else to.conversation_id


def send(user: UUID, to: Conversation | None, message: UUID, decided: Decisions) -> None:
    place = (ORIGIN.session_id, ORIGIN.gateway_id)
    event = Send(key_of(to), user, ORIGIN.try_id, None, "hi", 5, *place)
    rules.send(event, to, Permit(5), decided)


def read(user: UUID, to: Conversation | None, message: UUID, decided: Decisions) -> None:
    event = MarkRead(key_of(to), user, [message], None, 9, ORIGIN, REPLY_TO)
    rules.mark_read(event, to, decided)


def read_up_to(user: UUID, to: Conversation | None, message: UUID, decided: Decisions) -> None:
    rules.mark_read(MarkRead(key_of(to), user, [], 2, 9, ORIGIN, REPLY_TO), to, decided)


def delete(user: UUID, to: Conversation | None, message: UUID, decided: Decisions) -> None:
    rules.delete(DeleteMessage(key_of(to), user, message, 9, REPLY_TO), to, decided)


def archive(user: UUID, to: Conversation | None, message: UUID, decided: Decisions) -> None:
    rules.archive(ArchiveConversation(key_of(to), user, 9, REPLY_TO), to, decided)


ASKED_BY: dict[Act, tuple[bool, bool]] = {
    send: (True, False),
    read: (True, True),
    read_up_to: (True, True),
    delete: (False, True),
    archive: (False, True),
}
"""Whether a session is answered, and whether a command is."""

ACTIVE, ARCHIVED, ABSENT = "active", "archived", "absent"

# act, as whom, to which conversation, about which message → the refusal, None when allowed
TABLE: list[tuple[Act, UUID, str, UUID, str | None]] = [
    (send, ANNA, ACTIVE, MESSAGE, None),
    (send, BEN, ACTIVE, MESSAGE, None),
    (send, EVE, ACTIVE, MESSAGE, "NOT_PARTICIPANT"),
    (send, ANNA, ARCHIVED, MESSAGE, "CONVERSATION_ARCHIVED"),
    (send, BEN, ARCHIVED, MESSAGE, "CONVERSATION_ARCHIVED"),
    (send, EVE, ARCHIVED, MESSAGE, "NOT_PARTICIPANT"),
    (send, ANNA, ABSENT, MESSAGE, "CONVERSATION_NOT_FOUND"),
    (read, BEN, ACTIVE, MESSAGE, None),
    (read, ANNA, ACTIVE, MESSAGE, "NOT_RECIPIENT"),
    (read, EVE, ACTIVE, MESSAGE, "NOT_PARTICIPANT"),
    (read, BEN, ACTIVE, NOWHERE, "MESSAGE_NOT_FOUND"),
    (read, EVE, ACTIVE, NOWHERE, "NOT_PARTICIPANT"),
    (read, BEN, ARCHIVED, MESSAGE, None),
    (read, ANNA, ARCHIVED, MESSAGE, "NOT_RECIPIENT"),
    (read, BEN, ABSENT, MESSAGE, "CONVERSATION_NOT_FOUND"),
    (read_up_to, BEN, ACTIVE, MESSAGE, None),
    (read_up_to, ANNA, ACTIVE, MESSAGE, None),
    (read_up_to, EVE, ACTIVE, MESSAGE, "NOT_PARTICIPANT"),
    (read_up_to, BEN, ARCHIVED, MESSAGE, None),
    (read_up_to, BEN, ABSENT, MESSAGE, "CONVERSATION_NOT_FOUND"),
    (delete, ANNA, ACTIVE, MESSAGE, None),
    (delete, BEN, ACTIVE, MESSAGE, "NOT_SENDER"),
    (delete, EVE, ACTIVE, MESSAGE, "NOT_PARTICIPANT"),
    (delete, ANNA, ACTIVE, NOWHERE, "MESSAGE_NOT_FOUND"),
    (delete, ANNA, ARCHIVED, MESSAGE, None),
    (delete, BEN, ARCHIVED, MESSAGE, "NOT_SENDER"),
    (delete, ANNA, ABSENT, MESSAGE, "MESSAGE_NOT_FOUND"),
    (archive, ANNA, ACTIVE, MESSAGE, None),
    (archive, BEN, ACTIVE, MESSAGE, None),
    (archive, EVE, ACTIVE, MESSAGE, "NOT_PARTICIPANT"),
    (archive, BEN, ARCHIVED, MESSAGE, None),
    (archive, EVE, ARCHIVED, MESSAGE, "NOT_PARTICIPANT"),
    (archive, ANNA, ABSENT, MESSAGE, "CONVERSATION_NOT_FOUND"),
]

CODES = {
    "NOT_PARTICIPANT": 403,
    "NOT_SENDER": 403,
    "NOT_RECIPIENT": 403,
    "CONVERSATION_ARCHIVED": 403,
    "CONVERSATION_NOT_FOUND": 404,
    "MESSAGE_NOT_FOUND": 404,
    "SAME_USER": 400,
    "MATCH_CONFLICT": 400,
}


def place(name: str) -> Conversation | None:
    return None if name == ABSENT else chat(archived=name == ARCHIVED)


def label(value: Any) -> str:
    names = {ANNA: "sender", BEN: "recipient", EVE: "stranger", MESSAGE: "it", NOWHERE: "none"}
    return str(names.get(value) or getattr(value, "__name__", value))


@pytest.mark.parametrize(("act", "user", "where", "message", "error"), TABLE, ids=label)
def test_who_may_do_what(
    act: Act, user: UUID, where: str, message: UUID, error: str | None
) -> None:
    to, decided = place(where), Decisions()
    before = None if to is None else state(to)
    act(user, to, message, decided)
    to_session, to_command = ASKED_BY[act]
    answers = [(a.gateway_id, a.session_id, a.try_id) for a in decided.answers]
    assert answers == [(ORIGIN.gateway_id, ORIGIN.session_id, ORIGIN.try_id)] * to_session
    assert [queue for queue, _ in decided.replies] == [REPLY_TO.queue] * to_command
    if error is None:
        assert not any(isinstance(answer.frame, frames.Error) for answer in decided.answers)
        assert [reply for _, reply in decided.replies] == [Done("7")] * to_command
    else:
        assert all_refused(decided, error)
        assert to is None or state(to) == before, "a refused event changes nothing"


def all_refused(decided: Decisions, error: str) -> bool:
    """Everybody who asked got this error with its code, and nothing else happened."""
    for answer in decided.answers:
        assert isinstance(answer.frame, frames.Error)
        assert (answer.frame.error, answer.frame.code) == (error, CODES[error])
        assert answer.frame.message == REFUSALS[error].message
    assert all(reply == Refused("7", error) for _, reply in decided.replies)
    assert all(isinstance(notice, Answered) for notice in decided.notices)
    changes = (decided.writes, decided.changed, decided.recounted, decided.deleted)
    assert not any((*changes, decided.created, decided.archived))
    return True


def state(to: Conversation) -> tuple[object, ...]:
    message = to.message(MESSAGE)
    assert message is not None
    row = (message.status, message.read_at, message.deleted_at, message.changed_seq)
    return (to.head, to.archived_at, to.unread[:], to.read_up_to, row)


@pytest.mark.parametrize(
    ("user", "where", "rises"),
    [
        (BEN, ACTIVE, True),
        (BEN, ARCHIVED, True),
        (ANNA, ACTIVE, False),
        (EVE, ACTIVE, False),
        (BEN, ABSENT, False),
    ],
    ids=label,
)
def test_who_delivers(user: UUID, where: str, rises: bool) -> None:
    """Nobody is told that they may not: no client asked."""
    to, decided = place(where), Decisions()
    rules.delivered(Delivered(key_of(to), user, [MESSAGE], 9), to, decided)
    assert (len(decided.writes), bool(decided.notices)) == (int(rises), rises)
    message = to.message(MESSAGE) if to else None
    assert message is None or message.status is (Status.DELIVERED if rises else Status.SENT)


@pytest.mark.parametrize(("where", "writes"), [(ACTIVE, 1), (ARCHIVED, 0), (ABSENT, 0)])
def test_the_match_service_archives(where: str, writes: int) -> None:
    decided = Decisions()
    rules.remove_match(RemoveMatch(uuid4(), 9), place(where), decided)
    assert (len(decided.writes), len(decided.replies)) == (writes, 0)


@pytest.mark.parametrize(
    ("users", "exists", "error"),
    [
        ((ANNA, BEN), False, None),
        ((ANNA, BEN), True, None),
        ((BEN, ANNA), True, None),
        ((ANNA, EVE), True, "MATCH_CONFLICT"),
        ((ANNA, ANNA), False, "SAME_USER"),
        ((ANNA, ANNA), True, "SAME_USER"),
    ],
    ids=label,
)
def test_a_service_creates(users: tuple[UUID, UUID], exists: bool, error: str | None) -> None:
    decided, existing = Decisions(), chat() if exists else None
    event = CreateConversation(uuid4(), uuid4(), *users, 9, REPLY_TO)
    made = rules.create(event, existing, decided)
    if error is not None:
        assert made is None
        assert all_refused(decided, error)
        assert len(decided.replies) == 1
        return
    assert made is not None
    assert decided.replies == [("queue", ConversationReady("7", made.conversation_id, not exists))]
    assert len(decided.writes) == (0 if exists else 1)
