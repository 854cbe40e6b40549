"""What waits for PostgreSQL keeps its order, and is acknowledged when all of it is decided."""

from collections import defaultdict
from typing import cast
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from libs.common.asking import Asking
from libs.common.protocol.events import Delivered, Send
from services.router.conversation import REMEMBERED, Conversation, Message
from services.router.memory import Found, Memory
from services.router.store import Store
from services.router.waiting import Arrival, Unacknowledged, Waiting, events

USER = uuid4()
CONVERSATIONS = [uuid4() for _ in range(4)]


def send(conversation: UUID) -> Send:
    return Send(conversation, USER, uuid4(), None, "hi", 1, uuid4(), "gateway")


def fresh_memory() -> Memory:
    """Of nothing; it asks nobody."""
    return Memory(cast("Store", None), cast("Asking", None), 0, 100)


def found(*conversations: UUID) -> Found:
    return Found([Conversation(one, uuid4(), USER, uuid4(), 1) for one in conversations], [])


Step = list[list[int]] | None
"""AMQP messages, each the conversations of its events; None: what was being loaded has come."""

steps = st.lists(st.none() | st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=3))


@given(steps)
def test_each_conversation_keeps_its_order_and_nothing_is_acknowledged_early(
    taken: list[Step],
) -> None:
    memory, waiting, unacknowledged = fresh_memory(), Waiting(), Unacknowledged()
    came: defaultdict[UUID, list[Send]] = defaultdict(list)
    decided: defaultdict[UUID, list[Send]] = defaultdict(list)
    undecided: defaultdict[int, int] = defaultdict(int)
    acknowledged: list[int] = []
    tag, loading = 0, list[Arrival]()
    for step in [*taken, None, None]:
        if step is None:
            memory.take_in(found(*{memory.place(arrival.event) for arrival in loading}))
            ready = waiting.release(len(loading), memory)
            loading = []
        else:
            arrivals: list[Arrival] = []
            for conversations in step:
                tag += 1
                sends = [send(CONVERSATIONS[number]) for number in conversations]
                for one in sends:
                    came[one.conversation_id].append(one)
                unacknowledged.came(tag, len(sends))
                undecided[tag] = len(sends)
                arrivals += [Arrival(one, tag, is_again=False) for one in sends]
            ready = list(waiting.admit(arrivals, memory))
        loading = loading or waiting.snapshot()
        for arrival in ready:
            decided[memory.place(arrival.event)].append(cast("Send", arrival.event))
            undecided[arrival.tag] -= 1
        unacknowledged.decided(ready)
        up_to, scattered = unacknowledged.take_finished()
        told = [] if up_to is None else [t for t in undecided if t <= up_to]
        assert all(undecided[one] == 0 for one in (*told, *scattered))
        acknowledged += [*(one for one in told if one not in acknowledged), *scattered]
    assert decided == came
    assert sorted(acknowledged) == list(range(1, tag + 1))


def test_others_go_on() -> None:
    """Of one AMQP message, one event waits and one doesn't; what follows the first waits too."""
    known, unknown = CONVERSATIONS[:2]
    memory, waiting = fresh_memory(), Waiting()
    memory.take_in(found(known))
    first = [Arrival(send(unknown), 1, False), Arrival(send(known), 1, False)]
    assert waiting.admit(first, memory) == first[1:]
    # Known by now, but what came before it is not decided.
    memory.take_in(found(unknown))
    second = [Arrival(send(unknown), 2, False)]
    assert waiting.admit(second, memory) == []
    assert waiting.release(1, memory) == [first[0], *second]
    assert events(waiting.snapshot()) == []


def test_a_waiting_conversation_forgets_nothing() -> None:
    """What a waiting DELIVERED names besides the missing is not loaded, so it must stay at hand
    although the batch before it has brought newer messages."""
    memory, waiting = fresh_memory(), Waiting()
    missing, *at_hand = (Message(uuid4(), USER, None, seq, 1) for seq in range(1, REMEMBERED + 2))
    newer = Message(uuid4(), USER, None, REMEMBERED + 2, 1)
    memory.take_in(found(CONVERSATIONS[0]))
    conversation = memory.conversation(CONVERSATIONS[0])
    assert conversation is not None
    for message in at_hand:
        conversation.remember(message)
    named = [missing.message_id, at_hand[0].message_id]
    delivered = Delivered(CONVERSATIONS[0], conversation.other(USER), named, 2)
    assert waiting.admit([Arrival(delivered, 1, False)], memory) == []

    conversation.remember(newer)
    memory.trim([conversation], waiting.places)
    memory.take_in(Found([conversation], [(CONVERSATIONS[0], missing)]))
    [arrival] = waiting.release(1, memory)
    assert not memory.lacks([arrival.event])
    # Once it is decided, nothing keeps them.
    memory.trim([], waiting.places)
    assert memory.lacks([arrival.event])
    assert conversation.message(newer.message_id)
