"""What a batch needs, and what the router's memory brings for it."""

from typing import cast
from uuid import UUID, uuid4

from libs.common.asking import Asking
from libs.common.protocol.events import Send
from services.router.conversation import Conversation
from services.router.memory import Memory
from services.router.store import Store
from services.router.worker import new_messages

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
