"""What a batch needs, and what the router's memory brings for it."""

from typing import cast
from uuid import UUID, uuid4

from libs.common.asking import Asking
from libs.common.protocol import frames, writes
from libs.common.protocol.events import DeleteMessage, MarkRead, Send
from services.router import rules
from services.router.conversation import Conversation
from services.router.deciding import new_messages
from services.router.known_ids import KnownIds
from services.router.memory import Memory
from services.router.rules.decisions import Decisions
from services.router.store import Store
from tests.unit.model.router import at_once
from tests.unit.model.tables import ModelStore, Tables

ANNA, BEN, EVE = uuid4(), uuid4(), uuid4()


def memory(*chats: Conversation) -> Memory:
    """That asks nobody."""
    made = Memory(cast("Store", None), cast("Asking", None), 0, 10)
    for chat in chats:
        made.keep(chat)
    return made


def conversation() -> Conversation:
    return Conversation(uuid4(), uuid4(), ANNA, BEN, created_at=1, head=1)


def send(to: Conversation, sender: UUID, client_id: UUID | None) -> Send:
    return Send(to.conversation_id, sender, uuid4(), client_id, "hi", 5, uuid4(), "gateway")


def test_tries_of_one_message_want_one_permit() -> None:
    chat, client_id = conversation(), uuid4()
    first, second = send(chat, ANNA, client_id), send(chat, ANNA, client_id)
    assert new_messages([first, second], memory(chat)) == {
        ANNA: {(chat.conversation_id, client_id): first}
    }


def test_one_client_id_in_two_conversations_wants_two_permits() -> None:
    one, other, client_id = conversation(), conversation(), uuid4()
    sends = [send(one, ANNA, client_id), send(other, ANNA, client_id)]
    assert list(new_messages(sends, memory(one, other))[ANNA].values()) == sends


def test_what_is_refused_wants_none() -> None:
    chat, archived = conversation(), conversation()
    archived.archived_at = 7
    sends = [send(chat, EVE, None), send(archived, ANNA, None), send(conversation(), ANNA, None)]
    assert new_messages(sends, memory(chat, archived)) == {}


class Barriers:
    """All is stored."""

    def __init__(self) -> None:
        self.asked = 0

    async def ask_barrier(self, partition: int) -> None:
        self.asked += 1


def test_a_reading_up_to_a_number_is_told_again_whole() -> None:
    """Of a dead router's 8 readings only the newest are loaded with the conversation."""
    tables, chat = Tables(), uuid4()
    tables.apply(writes.InsertConversation(chat, 1, uuid4(), ANNA, BEN, 1))
    ids = [uuid4() for _ in range(20)]
    for seq, message_id in enumerate(ids, 2):
        tables.apply(writes.InsertMessage(chat, seq, message_id, ANNA, None, "hi", seq))
    tables.apply(writes.MarkRead(chat, 22, ids[:8], 50, (0, 9)))
    successor = Memory(cast("Store", ModelStore(tables)), cast("Asking", Barriers()), 0, 10)
    event, decided = MarkRead(chat, BEN, [], 9, 50), Decisions()
    successor.take_in(at_once(successor.load([event], [event])))
    rules.mark_read(event, successor.conversation(chat), decided)
    assert decided.writes == []
    for entry in decided.announcements:
        assert isinstance(entry.frame, frames.MessageRead)
        assert (entry.seq, entry.frame.message_ids) == (22, ids[:8])
    assert {entry.user_id for entry in decided.announcements} == {ANNA, BEN}
    assert list(decided.recounted) == [(BEN, chat)]


def test_what_was_idle_since_the_last_barrier_needs_none() -> None:
    tables, chats, barriers = Tables(), [uuid4() for _ in range(4)], Barriers()
    for chat in chats:
        tables.apply(writes.InsertConversation(chat, 1, uuid4(), ANNA, BEN, 1))
    made = Memory(cast("Store", ModelStore(tables)), cast("Asking", barriers), 0, 2)

    def use(chat: UUID, *, changes: bool) -> int:
        """How many barriers it takes."""
        before = barriers.asked
        sent = Send(chat, ANNA, uuid4(), None, "hi", 5, uuid4(), "gateway")
        made.take_in(at_once(made.load([sent])))
        used = made.conversation(chat)
        assert used is not None
        made.trim([used] if changes else [])
        return barriers.asked - before

    assert use(chats[0], changes=False) == 1, "after the takeover"
    assert use(chats[1], changes=True) == 0
    assert use(chats[2], changes=False) == 0, "only what never changed was forgotten"
    assert use(chats[3], changes=False) == 0
    assert use(chats[0], changes=False) == 1, "what has changed since the barrier was forgotten"
    assert use(chats[1], changes=False) == 0, "no more since"


def test_a_reading_loads_no_more_than_it_reads() -> None:
    """Of 200 unread messages 64 are at hand."""
    tables, chat = Tables(), uuid4()
    tables.apply(writes.InsertConversation(chat, 1, uuid4(), ANNA, BEN, 1))
    for seq in range(2, 202):
        tables.apply(writes.InsertMessage(chat, seq, uuid4(), ANNA, None, "hi", seq))
    made = Memory(cast("Store", ModelStore(tables)), cast("Asking", Barriers()), 0, 10)

    def read(up_to: int) -> list[int]:
        """Numbers of what was loaded."""
        event = MarkRead(chat, BEN, [], up_to, 500)
        found = at_once(made.load([event]))
        made.take_in(found)
        known = made.conversation(chat)
        assert known is not None
        decided = Decisions()
        rules.mark_read(event, known, decided)
        for write in decided.writes:
            tables.apply(write)
        made.trim([known])
        return [message.seq for _, message in found.messages]

    assert read(0) == []
    assert read(11) == list(range(2, 12))
    for again in (0, 5, 11):
        assert not made.lacks([MarkRead(chat, BEN, [], again, 501)]), again
    assert read(13) == [12, 13]
    assert read(201) == list(range(14, 202))


def test_a_stranger_costs_no_look_up() -> None:
    """Else the time that a refusal takes would tell which messages are in the conversation."""
    chat = conversation()
    here, unknown = memory(chat), [uuid4()]
    for user, costs in ((ANNA, True), (BEN, True), (EVE, False)):
        read = MarkRead(chat.conversation_id, user, unknown, None, 9)
        delete = DeleteMessage(chat.conversation_id, user, unknown[0], 9)
        assert here.lacks([read]) is here.lacks([delete]) is costs
    chat.older_ids = KnownIds()
    chat.older_ids.add_everything()
    assert here.lacks([send(chat, ANNA, None)])
    assert not here.lacks([send(chat, EVE, None)])
