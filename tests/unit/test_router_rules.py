"""The rules of chat, without a clock or a server."""

from uuid import UUID, uuid4

import pytest

from libs.common.domain.permit import Permit
from libs.common.domain.status import Status
from libs.common.protocol import frames, writes
from libs.common.protocol.events import CreateConversation, Delivered, MarkRead, ReplyTo, Send
from libs.common.protocol.replies import ConversationReady, Refused
from services.router import rules
from services.router.conversation import REMEMBERED, Conversation, Message
from services.router.rules.decisions import Decisions

ANNA, BEN = uuid4(), uuid4()
GRANTED = Permit(5)


def conversation() -> Conversation:
    return Conversation(uuid4(), uuid4(), ANNA, BEN, created_at=1, head=1)


def send(to: Conversation, sender: UUID = ANNA, client_id: UUID | None = None) -> Send:
    return Send(to.conversation_id, sender, uuid4(), client_id, "hi", 5, uuid4(), "gateway")


def refusal(decided: Decisions) -> str:
    [answer] = decided.answers
    assert isinstance(answer.frame, frames.Error)
    assert (decided.writes, decided.announcements, decided.changed) == ([], [], {})
    return answer.frame.error


def test_a_message_is_written_answered_and_announced() -> None:
    chat, decided = conversation(), Decisions()
    event = send(chat, client_id=uuid4())
    rules.send(event, chat, GRANTED, decided)
    [write] = decided.writes
    assert isinstance(write, writes.InsertMessage)
    assert (write.seq, write.message_id, chat.head) == (2, event.try_id, 2)
    to_ben, to_anna = decided.announcements
    assert (to_ben.user_id, to_ben.message_id) == (BEN, event.try_id)
    assert (to_anna.user_id, to_anna.message_id) == (ANNA, None)
    assert to_anna.except_session_id == event.session_id
    assert isinstance(to_ben.frame, frames.MessageReceived)
    assert not to_ben.frame.client_message_id, "the recipient is not told the sender's id"


@pytest.mark.parametrize("client_id", [None, uuid4()])
def test_the_same_event_again_changes_nothing_but_is_told_again(client_id: UUID | None) -> None:
    chat = conversation()
    event = send(chat, client_id=client_id)
    rules.send(event, chat, GRANTED, Decisions())
    again = Decisions()
    rules.send(event, chat, GRANTED, again)
    assert (again.writes, again.changed, chat.head) == ([], {}, 2)
    assert len(again.announcements) == 2
    assert len(again.answers) == 1


def test_a_further_try_is_only_answered_with_the_first_ones_ids() -> None:
    chat, client_id = conversation(), uuid4()
    first, second = send(chat, client_id=client_id), send(chat, client_id=client_id)
    rules.send(first, chat, GRANTED, Decisions())
    decided = Decisions()
    rules.send(second, chat, GRANTED, decided)
    assert (decided.writes, decided.announcements, decided.duplicates) == ([], [], 1)
    [answer] = decided.answers
    assert isinstance(answer.frame, frames.MessageSent)
    assert answer.frame.message_id == first.try_id
    assert (answer.try_id, answer.session_id) == (second.try_id, second.session_id)


def test_both_users_may_choose_the_same_client_id() -> None:
    chat, client_id, decided = conversation(), uuid4(), Decisions()
    rules.send(send(chat, ANNA, client_id), chat, GRANTED, decided)
    rules.send(send(chat, BEN, client_id), chat, GRANTED, decided)
    assert [write.seq for write in decided.writes if isinstance(write, writes.InsertMessage)] == [
        2,
        3,
    ]


def test_who_may_not_send() -> None:
    chat = conversation()
    decided = Decisions()
    rules.send(send(chat), None, GRANTED, decided)
    assert refusal(decided) == "CONVERSATION_NOT_FOUND"
    decided = Decisions()
    rules.send(send(chat, uuid4()), chat, GRANTED, decided)
    assert refusal(decided) == "NOT_PARTICIPANT"
    chat.archived_at = 7
    decided = Decisions()
    rules.send(send(chat), chat, GRANTED, decided)
    assert refusal(decided) == "CONVERSATION_ARCHIVED"


def test_a_message_of_before_the_archiving_is_still_answered() -> None:
    chat = conversation()
    event = send(chat, client_id=uuid4())
    rules.send(event, chat, GRANTED, Decisions())
    chat.archived_at = 7
    decided = Decisions()
    rules.send(event, chat, GRANTED, decided)
    assert isinstance(decided.answers[0].frame, frames.MessageSent)


def sent(chat: Conversation, count: int) -> list[UUID]:
    events = [send(chat) for _ in range(count)]
    for event in events:
        rules.send(event, chat, GRANTED, Decisions())
    return [event.try_id for event in events]


def test_delivered_is_one_entry_for_all_that_rose() -> None:
    chat, decided = conversation(), Decisions()
    ids = sent(chat, 3)
    rules.delivered(Delivered(chat.conversation_id, BEN, ids[::-1], 9), chat, decided)
    [write] = decided.writes
    assert isinstance(write, writes.MarkDelivered)
    assert (write.seq, chat.head) == (5, 5)
    assert {entry.user_id for entry in decided.announcements} == {ANNA, BEN}
    frame = decided.announcements[0].frame
    assert isinstance(frame, frames.MessageDelivered)
    assert (frame.message_ids, frame.message_id) == (ids, ids[-1])


def test_a_second_device_delivers_nothing_more() -> None:
    chat = conversation()
    ids = sent(chat, 2)
    rules.delivered(Delivered(chat.conversation_id, BEN, ids, 9), chat, Decisions())
    decided = Decisions()
    rules.delivered(Delivered(chat.conversation_id, BEN, ids, 10), chat, decided)
    assert (decided.writes, decided.announcements) == ([], [])


def test_the_same_delivery_again_is_told_again_under_its_number() -> None:
    chat = conversation()
    event = Delivered(chat.conversation_id, BEN, sent(chat, 2), 9)
    rules.delivered(event, chat, Decisions())
    decided = Decisions()
    rules.delivered(event, chat, decided)
    assert decided.writes == []
    assert [entry.seq for entry in decided.announcements] == [4, 4]


@pytest.mark.parametrize("by", [ANNA, uuid4()])
def test_nobody_but_the_recipient_delivers(by: UUID) -> None:
    chat, decided = conversation(), Decisions()
    ids = sent(chat, 1)
    rules.delivered(Delivered(chat.conversation_id, by, ids, 9), chat, decided)
    assert decided.writes == []


def test_status_never_sinks() -> None:
    chat = conversation()
    [message_id] = sent(chat, 1)
    message = chat.message(message_id)
    assert message is not None
    message.status = Status.READ
    rules.delivered(Delivered(chat.conversation_id, BEN, [message_id], 9), chat, Decisions())
    assert message.status is Status.READ


def create(user1: UUID, user2: UUID, reply_to: ReplyTo | None) -> CreateConversation:
    return CreateConversation(uuid4(), uuid4(), user1, user2, 5, reply_to)


def test_a_match_makes_one_conversation() -> None:
    event = create(ANNA, BEN, ReplyTo("queue", "1"))
    decided = Decisions()
    made = rules.create(event, None, decided)
    assert made is not None
    assert decided.replies == [("queue", ConversationReady("1", event.conversation_id, True))]
    assert {entry.user_id for entry in decided.announcements} == {ANNA, BEN}
    later = Decisions()
    assert rules.create(create(BEN, ANNA, ReplyTo("queue", "2")), made, later) is made
    assert (later.writes, later.announcements) == ([], [])
    assert later.replies == [("queue", ConversationReady("2", event.conversation_id, False))]


def test_the_same_creation_again_is_told_again() -> None:
    event = create(ANNA, BEN, ReplyTo("queue", "1"))
    made = rules.create(event, None, Decisions())
    decided = Decisions()
    rules.create(event, made, decided)
    assert (decided.writes, len(decided.announcements)) == ([], 2)
    assert decided.replies == [("queue", ConversationReady("1", event.conversation_id, True))]


@pytest.mark.parametrize(
    ("users", "error"), [((ANNA, ANNA), "SAME_USER"), ((ANNA, uuid4()), "MATCH_CONFLICT")]
)
def test_impossible_matches_are_refused(users: tuple[UUID, UUID], error: str) -> None:
    decided = Decisions()
    event = create(*users, ReplyTo("queue", "1"))
    assert rules.create(event, conversation(), decided) is None
    assert decided.replies == [("queue", Refused("1", error))]
    assert decided.writes == []
    with pytest.raises(rules.ImpossibleMatch, match=error):
        rules.create(create(*users, None), conversation(), decided)


def test_what_is_forgotten_is_perhaps_known_and_what_is_new_is_not() -> None:
    chat = conversation()
    ids = sent(chat, REMEMBERED + 5_000)
    chat.forget_oldest()
    assert chat.message(ids[0]) is None
    assert chat.message(ids[-1]) is not None
    assert all(chat.perhaps_older(ANNA, known) for known in ids[:5_000])
    chance = sum(chat.perhaps_older(ANNA, uuid4()) for _ in range(10_000))
    assert chance < 200, "2 % at the most: it grows with the conversation"


def test_a_long_backlog_is_looked_through_a_few_times_not_once_an_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would hold up the loop for minutes: entries times messages."""
    chat, decided = conversation(), Decisions()
    for seq in range(2, 2_002):
        chat.look_up(Message(uuid4(), ANNA, None, seq, created_at=5))
    chat.head, chat.unread[chat.place(BEN)] = 2_001, 2_000
    looks = 0
    messages_to = Conversation.messages_to

    def counted(self: Conversation, user_id: UUID) -> list[Message]:
        nonlocal looks
        looks += 1
        return messages_to(self, user_id)

    monkeypatch.setattr(Conversation, "messages_to", counted)
    event = MarkRead(chat.conversation_id, BEN, [], 2_001, 7)
    rules.mark_read(event, chat, decided)
    assert len(decided.writes) == 40
    assert chat.unread[chat.place(BEN)] == 0
    assert chat.read_up_to[chat.place(BEN)] >= 2_001
    assert looks < 5
