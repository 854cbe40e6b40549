"""What a device shows must not depend on the way by which it came to know (promise 6)."""

from random import Random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.evidence import Frame
from tests.chaos.view import View
from tests.unit.chaos_world import Talk, World, lively

ANNA = UUID(int=1)
CONVERSATION = UUID(int=2)
DRAFT = UUID(int=3)


def received(seq: int, **more: object) -> Frame:
    return {
        "type": "MESSAGE_RECEIVED",
        "conversationId": str(CONVERSATION),
        "messageId": f"m{seq}",
        "senderId": "ben",
        "content": f"content {seq}",
        "timestamp": "t",
        "seq": seq,
        **more,
    }


def receipt(kind: str, seq: int, *about: int, **more: object) -> Frame:
    ids = [f"m{number}" for number in about]
    frame = {"type": kind, "conversationId": str(CONVERSATION), "messageIds": ids, "seq": seq}
    return {**frame, "deliveredAt": "d", "readAt": "r", **more}


def begun() -> View:
    """It knows of the conversation's creation."""
    view = View(CONVERSATION, ANNA)
    created = {"type": "CONVERSATION_CREATED", "conversationId": str(CONVERSATION), "seq": 1}
    assert view.take(created)
    return view


def test_what_comes_in_order_moves_the_head() -> None:
    view = begun()
    assert view.take(received(2))
    assert view.take(receipt("MESSAGE_DELIVERED", 3, 2))
    assert view.head == 3
    assert view.shown()["m2"]["status"] == "DELIVERED"
    assert view.shown()["m2"]["changedSeq"] == 3


def test_an_entry_beyond_the_next_is_a_gap_until_the_missing_one_comes() -> None:
    view = begun()
    assert not view.take(received(3))
    assert view.head == 1
    assert "m3" in view.shown(), "applied all the same"
    assert not view.take({"type": "PONG", "timestamp": "t"}), "still a gap"
    assert view.take(received(2))
    assert view.head == 3


def test_an_entry_told_again_changes_nothing() -> None:
    view = begun()
    view.take(received(2))
    view.take(receipt("MESSAGE_READ", 3, 2))
    shown = view.shown()
    assert view.take(received(2))
    assert view.shown() == shown


def test_a_head_above_what_is_known_is_a_gap() -> None:
    view = begun()
    assert view.take({"type": "CONNECT_SUCCESS", "heads": {str(CONVERSATION): 1}})
    assert not view.take({"type": "CONNECT_SUCCESS", "heads": {str(CONVERSATION): 2}})
    assert view.head == 1


def test_the_answer_that_nothing_was_left_to_read_is_no_entry() -> None:
    view = begun()
    assert view.take(receipt("MESSAGE_READ", 1))
    assert not view.take(receipt("MESSAGE_READ", 2)), "but it tells where the head is"
    assert view.head == 1


def test_other_conversations_and_what_does_not_last_are_nothing_to_it() -> None:
    view = begun()
    assert view.take(received(7, conversationId=str(ANNA)))
    assert view.take({"type": "TYPING_START", "conversationId": str(CONVERSATION)})
    assert (view.head, view.shown()) == (1, {})


def test_an_own_message_has_the_content_that_was_sent() -> None:
    view = begun()
    sent = received(2, type="MESSAGE_SENT", clientMessageId=str(DRAFT), content=None)
    assert not view.take(sent), "unknown what it said: SYNC tells"
    view.sending(DRAFT, " hi ")
    assert view.take(sent)
    assert view.shown()["m2"]["content"] == "hi"
    assert view.shown()["m2"]["senderId"] == str(ANNA)


def test_a_deleted_content_does_not_come_back_by_a_slower_sync() -> None:
    view = begun()
    view.take(receipt("MESSAGE_DELETED", 3, messageId="m2", deletedAt="x"))
    old = received(2, status="SENT", deliveredAt=None, readAt=None, deletedAt=None, changedSeq=2)
    assert view.synced({"messages": [old], "head": 2, "complete": True})
    assert view.head == 3, "the deletion was the next"
    assert view.shown()["m2"]["content"] is None
    assert view.shown()["m2"]["deletedAt"] == "x"


def test_a_page_that_is_not_all_is_known_up_to_its_last_change() -> None:
    view = begun()
    page = received(2, status="READ", deliveredAt=None, readAt="r", deletedAt=None, changedSeq=5)
    assert not view.synced({"messages": [page], "head": 9, "complete": False})
    assert view.head == 5
    assert view.gap


def test_what_comes_live_does_not_end_a_sync_that_is_not_complete() -> None:
    """m2 was delivered at 4, which was missed, and is deleted at 6: it comes in the last page."""
    view = begun()
    view.take(received(2))
    view.take(receipt("MESSAGE_DELETED", 6, messageId="m2", deletedAt="x"))
    third = received(3, status="READ", deliveredAt=None, readAt="r", deletedAt=None, changedSeq=5)
    assert not view.synced({"messages": [third], "head": 6, "complete": False})
    assert view.head == 5, "though 6 has come"
    fourth = received(2, status="DELIVERED", deliveredAt="d", readAt=None, deletedAt="x")
    assert view.synced({"messages": [fourth | {"changedSeq": 6}], "head": 6, "complete": True})
    assert (view.head, view.shown()["m2"]["status"]) == (6, "DELIVERED")


@given(st.integers(0, 10_000), st.data())
def test_any_order_any_losses_then_a_sync_show_what_is_true(seed: int, data: st.DataObject) -> None:
    """Frames lost, doubled and shuffled, pages of SYNC among them: the end is a fresh snapshot."""
    world = lively(seed)
    talk, random = world.talks[0], Random(seed)
    view = View(talk.conversation, world.anna)
    for operation in world.operations:
        if operation.client_message_id:
            view.sending(operation.client_message_id, operation.content)
    frames = [frame for frame in world.live("a1", talk) if frame["type"] != "SYNC_RESULT"]
    kept = [frame for frame in frames * 2 if random.random() < 0.7]
    if data.draw(st.booleans()):
        random.shuffle(kept)
    for frame in kept:
        view.take(frame)
    while view.head < talk.head:
        view.synced(page_after(world, talk, view.head, data.draw(st.sampled_from((1, 3, 200)))))
    assert not view.gap
    fresh = View(talk.conversation, world.anna)
    fresh.synced(page_after(world, talk, 0, 10_000))
    assert view.shown() == fresh.shown()
    assert view.head == fresh.head == talk.head


def page_after(world: World, talk: Talk, after: int, limit: int) -> Frame:
    """As the service answers SYNC."""
    asking = world.devices["a1"]
    asking.views[talk.conversation] = View(talk.conversation, world.anna)
    asking.views[talk.conversation].head = after
    world.sync("a1", talk, limit)
    return world.heard[-1].frame
