"""The checker finds each planted mistake by its rule, and none where none was made."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.chaos import checking_reads
from tests.chaos.checker import RULES, check
from tests.chaos.evidence import (
    DeadLetter,
    Evidence,
    Frame,
    Heard,
    Operation,
    Row,
)
from tests.chaos.indexed import messages_in
from tests.unit.chaos_world import World, lively

Mistake = Callable[[Evidence], None]
"""Makes exactly one, in correct evidence."""


def story() -> Evidence:
    """A short one, in which everything happens: Anna and Ben; Cleo is silent."""
    world = World()
    talk = world.talks[0]
    for name in world.devices:
        world.connect(name)
    world.send("a1", talk, "one")
    world.send("a1", talk, "two")
    world.deliver(talk, world.ben)
    world.look("b1", talk)
    world.look("a1", talk)
    world.read("b1", talk)
    world.look("b1", talk)
    world.disconnect("a2")
    world.send("b1", talk, "three")
    world.send("a1", talk, "four", outcome="unknown")
    world.refused("a1", talk)
    world.deliver(talk, world.anna)
    world.delete("a1", talk)
    world.read("b1", talk)
    world.read("b1", talk)
    world.send("a1", talk, "five")
    world.connect("a2")
    world.sync("a2", talk, limit=1)
    world.look("a2", talk)
    world.send("a1", talk, "six")
    return msgspec.json.decode(msgspec.json.encode(world.evidence()), type=Evidence)


# ------------------------------------------------------------------ finding one's way in it


def place_of(rows: list[Row], content: str) -> int:
    [place] = [place for place, row in enumerate(rows) if row.content == content]
    return place


def row_of(evidence: Evidence, content: str) -> Row:
    return evidence.rows[place_of(evidence.rows, content)]


def change_row(evidence: Evidence, text: str, /, **changes: Any) -> None:
    """Of the message with this text."""
    place = place_of(evidence.rows, text)
    evidence.rows[place] = replace(evidence.rows[place], **changes)


def deleted(evidence: Evidence) -> Row:
    [row] = [row for row in evidence.rows if row.deleted_at]
    return row


def operations(evidence: Evidence, kind: str, **fields: Any) -> Iterator[int]:
    """Their places."""
    for place, operation in enumerate(evidence.operations):
        if operation.kind == kind and all(
            getattr(operation, name) == value for name, value in fields.items()
        ):
            yield place


def change_operation(evidence: Evidence, place: int, **changes: Any) -> None:
    evidence.operations[place] = replace(evidence.operations[place], **changes)


def heard(evidence: Evidence, kind: str, device: str | None = None) -> list[Heard]:
    return [
        item
        for item in evidence.heard
        if item.frame["type"] == kind and device in (None, item.device)
    ]


def answer_of(evidence: Evidence, place: int) -> Frame:
    answer = evidence.operations[place].answer
    assert answer is not None
    return answer


# ------------------------------------------------------------------ the mistakes


def a_row_is_lost(evidence: Evidence) -> None:
    del evidence.rows[place_of(evidence.rows, "two")]


def a_content_is_another(evidence: Evidence) -> None:
    change_row(evidence, "two", content="too")


def an_answer_names_another_number(evidence: Evidence) -> None:
    [place] = operations(evidence, "send", content="two")
    answer_of(evidence, place)["seq"] += 1


def a_refused_one_is_stored(evidence: Evidence) -> None:
    [place] = operations(evidence, "send", content="four")
    change_operation(evidence, place, outcome="failed")


def a_row_is_there_twice(evidence: Evidence) -> None:
    row = row_of(evidence, "two")
    evidence.rows.append(replace(row, message_id=uuid4(), seq=99))


def two_tries_are_told_apart(evidence: Evidence) -> None:
    [place] = operations(evidence, "send", content="two")
    again = evidence.operations[place]
    assert again.answer is not None
    answer = again.answer | {"messageId": str(uuid4())}
    evidence.operations.append(replace(again, device="a2", answer=answer))


def nobody_sent_it(evidence: Evidence) -> None:
    change_row(evidence, "four", client_message_id=uuid4())


def nobody_sent_it_here(evidence: Evidence) -> None:
    [place] = operations(evidence, "send", content="four")
    change_operation(evidence, place, conversation=evidence.conversations[1].conversation)


def without_an_id_it_is_there_twice(evidence: Evidence) -> None:
    [place] = operations(evidence, "send", content="four")
    change_operation(evidence, place, client_message_id=None)
    change_row(evidence, "four", client_message_id=None)
    evidence.rows.append(replace(row_of(evidence, "four"), message_id=uuid4(), seq=99))


def a_try_is_answered_twice(evidence: Evidence) -> None:
    item = heard(evidence, "MESSAGE_SENT", "a1")[0]
    evidence.heard.append(replace(item, at=item.at + 1))


def two_of_a_session_change_places(evidence: Evidence) -> None:
    one, two = (next(operations(evidence, "send", content=text)) for text in ("one", "two"))
    first, second = (evidence.operations[place].order for place in (one, two))
    change_operation(evidence, one, order=second)
    change_operation(evidence, two, order=first)


def a_conversation_is_lost(evidence: Evidence) -> None:
    del evidence.conversations[0]


def one_was_heard_that_is_not_stored(evidence: Evidence) -> None:
    del evidence.rows[place_of(evidence.rows, "four")]


def one_was_heard_with_another_number(evidence: Evidence) -> None:
    heard(evidence, "MESSAGE_RECEIVED", "b1")[-1].frame["seq"] += 1


def one_was_heard_with_another_content(evidence: Evidence) -> None:
    heard(evidence, "MESSAGE_RECEIVED", "b1")[-1].frame["content"] = "sex"


def a_deleted_one_was_heard_with_another_content(evidence: Evidence) -> None:
    heard(evidence, "MESSAGE_RECEIVED", "b1")[0].frame["content"] = "won"


def the_recipient_was_told_the_client_message_id(evidence: Evidence) -> None:
    heard(evidence, "MESSAGE_RECEIVED", "b1")[0].frame["clientMessageId"] = str(uuid4())


def sync_shows_another_sender(evidence: Evidence) -> None:
    heard(evidence, "SYNC_RESULT", "a2")[0].frame["messages"][0]["senderId"] = str(uuid4())


def a_page_shows_a_status_without_its_time(evidence: Evidence) -> None:
    place = next(operations(evidence, "history"))
    item = answer_of(evidence, place)["items"][0]
    assert item["status"] == "DELIVERED"
    item["status"] = "SENT"


def a_page_shows_what_nobody_stored(evidence: Evidence) -> None:
    place = next(operations(evidence, "history"))
    answer_of(evidence, place)["items"][0]["messageId"] = str(uuid4())


def a_page_shows_a_deleted_content(evidence: Evidence) -> None:
    place = list(operations(evidence, "history"))[-1]
    for item in answer_of(evidence, place)["items"]:
        if item["deletedAt"]:
            item["content"] = "one"


def two_come_live_in_the_wrong_order(evidence: Evidence) -> None:
    one, other, *_ = heard(evidence, "MESSAGE_RECEIVED", "b1")
    evidence.heard[evidence.heard.index(one)] = replace(one, at=other.at)
    evidence.heard[evidence.heard.index(other)] = replace(other, at=one.at)


def one_comes_live_twice(evidence: Evidence) -> None:
    item = heard(evidence, "MESSAGE_RECEIVED", "b1")[-1]
    evidence.heard.append(replace(item, at=item.at + 1))


def an_entry_is_another_thing_to_another_user(evidence: Evidence) -> None:
    item = heard(evidence, "MESSAGE_DELIVERED", "b1")[0]
    item.frame["type"] = "MESSAGE_READ"
    item.frame["readerId"], item.frame["readAt"] = str(item.user), "t"


def an_entry_has_a_message_s_number(evidence: Evidence) -> None:
    for item in heard(evidence, "MESSAGE_DELIVERED"):
        item.frame["seq"] = row_of(evidence, "two").seq


def the_oldest_is_named_as_the_newest(evidence: Evidence) -> None:
    frame = heard(evidence, "MESSAGE_DELIVERED", "a1")[0].frame
    frame["messageId"] = frame["messageIds"][0]
    assert len(frame["messageIds"]) == 2


def a_status_heard_is_not_stored(evidence: Evidence) -> None:
    change_row(evidence, "two", status="DELIVERED", read_at=None)


def a_sender_has_read(evidence: Evidence) -> None:
    for item in heard(evidence, "MESSAGE_READ"):
        item.frame["readerId"] = str(row_of(evidence, "two").sender)


def two_have_one_number(evidence: Evidence) -> None:
    change_row(evidence, "four", seq=row_of(evidence, "three").seq)


def the_head_is_too_low(evidence: Evidence) -> None:
    evidence.conversations[0] = replace(
        evidence.conversations[0], head=evidence.conversations[0].head - 1
    )


def the_head_is_too_high(evidence: Evidence) -> None:
    evidence.conversations[0] = replace(
        evidence.conversations[0], head=evidence.conversations[0].head + 1
    )


def a_number_is_left_out(evidence: Evidence) -> None:
    """Cleo's conversation has but its creation."""
    evidence.conversations[1] = replace(evidence.conversations[1], head=2)


def a_hole_that_no_change_explains(evidence: Evidence) -> None:
    """The last has the next number but one. Nothing lies over the number that is left out."""
    row = row_of(evidence, "six")
    change_row(evidence, "six", seq=row.seq + 1, changed_seq=row.seq + 1)
    evidence.conversations[0] = replace(evidence.conversations[0], head=row.seq + 1)
    evidence.heard[:] = [item for item in evidence.heard if item.frame.get("seq", 0) < row.seq]
    for messages in all_messages(evidence):
        messages.clear()


def delivered_before_it_was_heard(evidence: Evidence) -> None:
    delivered = heard(evidence, "MESSAGE_DELIVERED", "a1")[0]
    for place, item in enumerate(evidence.heard):
        if item.frame["type"] == "MESSAGE_RECEIVED" and item.device == "b1":
            evidence.heard[place] = replace(item, at=item.at + delivered.at)


def delivered_in_the_end_but_never_heard(evidence: Evidence) -> None:
    """Anna was told so by nobody live."""
    evidence.heard[:] = [item for item in evidence.heard if item.device != "b1"]
    evidence.heard[:] = [
        item
        for item in evidence.heard
        if item.frame["type"] not in ("MESSAGE_DELIVERED", "SYNC_RESULT")
    ]


def delivered_only_by_a_sync_that_says_so(evidence: Evidence) -> None:
    evidence.heard[:] = [
        item
        for item in evidence.heard
        if item.device != "b1" or item.frame["type"] != "MESSAGE_RECEIVED"
    ]


def a_look_shows_a_lower_status(evidence: Evidence) -> None:
    place = list(operations(evidence, "look", device="b1"))[-1]
    lowered(answer_of(evidence, place))


def a_page_shows_a_lower_status(evidence: Evidence) -> None:
    place = list(operations(evidence, "history", device="b1"))[-1]
    for item in answer_of(evidence, place)["items"]:
        lowered(item)


def a_sync_shows_a_lower_status(evidence: Evidence) -> None:
    place = list(operations(evidence, "sync", device="b1"))[-1]
    answer = answer_of(evidence, place)
    [two] = [one for one in evidence.histories[0].messages if one["content"] == "two"]
    answer["messages"].append(dict(two))
    lowered(answer["messages"][-1])


def lowered(message: Frame) -> None:
    assert message["status"] == "READ"
    message |= {"status": "DELIVERED", "readAt": None, "changedSeq": message["changedSeq"] - 1}


def a_look_shows_what_is_deleted(evidence: Evidence) -> None:
    place = list(operations(evidence, "history", device="a2"))[-1]
    for item in answer_of(evidence, place)["items"]:
        item["deletedAt"], item["content"] = None, item["content"] or "one"


def a_page_lacks_what_was_told(evidence: Evidence) -> None:
    place = list(operations(evidence, "history", device="a2"))[-1]
    del answer_of(evidence, place)["items"][1]


def a_page_ends_too_early(evidence: Evidence) -> None:
    place = list(operations(evidence, "history", device="a2"))[-1]
    answer_of(evidence, place)["items"].pop()


def the_newest_page_lacks_the_newest(evidence: Evidence) -> None:
    place = list(operations(evidence, "history", device="a2"))[-1]
    del answer_of(evidence, place)["items"][0]


def a_sync_lacks_what_was_told(evidence: Evidence) -> None:
    place = next(operations(evidence, "sync", device="a2"))
    answer = answer_of(evidence, place)
    assert not answer["complete"]
    answer["messages"].clear()
    answer["complete"] = True


def what_was_told_is_not_found(evidence: Evidence) -> None:
    place = list(operations(evidence, "look", device="b1"))[-1]
    named = UUID(answer_of(evidence, place)["messageId"])
    problem = {"status": 404, "code": "MESSAGE_NOT_FOUND"}
    change_operation(evidence, place, outcome="failed", answer=problem, message_ids=[named])


def a_new_session_is_told_an_old_head(evidence: Evidence) -> None:
    place = list(operations(evidence, "connect", device="a2"))[-1]
    name = str(evidence.conversations[0].conversation)
    change_operation(evidence, place, answer={"heads": {name: 3}})


def a_new_session_is_not_told_of_a_conversation(evidence: Evidence) -> None:
    place = list(operations(evidence, "connect", device="a2"))[-1]
    answer_of(evidence, place)["heads"].clear()


def a_sync_names_an_old_head(evidence: Evidence) -> None:
    answer_of(evidence, next(operations(evidence, "sync", device="b1")))["head"] -= 1


def a_history_lacks_one(evidence: Evidence) -> None:
    del evidence.histories[0].messages[1]


def a_history_is_not_in_order(evidence: Evidence) -> None:
    evidence.histories[0].messages.reverse()


def a_history_shows_another_time(evidence: Evidence) -> None:
    evidence.histories[0].messages[1]["readAt"] = "2026-01-01T00:00:00.000Z"


def a_history_has_one_twice(evidence: Evidence) -> None:
    evidence.histories[0].messages.append(evidence.histories[0].messages[-1])


def the_newest_page_is_old(evidence: Evidence) -> None:
    del evidence.histories[0].newest[0]


def the_newest_page_is_too_short(evidence: Evidence) -> None:
    evidence.histories[0].newest.pop()


def a_history_s_head_is_old(evidence: Evidence) -> None:
    evidence.histories[0] = replace(evidence.histories[0], head=evidence.histories[0].head - 1)


def a_sync_in_the_end_lacks_one(evidence: Evidence) -> None:
    del evidence.synced[0].messages[0]


def a_sync_in_the_end_shows_an_old_one(evidence: Evidence) -> None:
    [last] = [
        one for one in evidence.synced if one.after == one.head and one.user == anna(evidence)
    ][:1]
    last.messages.append(evidence.histories[0].messages[0])


def a_sync_in_the_end_is_not_in_order(evidence: Evidence) -> None:
    evidence.synced[0].messages.reverse()


def a_device_shows_less(evidence: Evidence) -> None:
    name, shown = next(iter(evidence.snapshots[0].shown.items()))
    assert shown["status"] != "SENT"
    evidence.snapshots[0].shown[name] = shown | {"status": "SENT"}


def a_device_lacks_one(evidence: Evidence) -> None:
    del evidence.snapshots[0].shown[str(row_of(evidence, "six").message_id)]


def a_device_is_behind(evidence: Evidence) -> None:
    evidence.snapshots[0] = replace(evidence.snapshots[0], head=evidence.snapshots[0].head - 1)


def anna(evidence: Evidence) -> UUID:
    return row_of(evidence, "two").sender


def unread_is_off_by_one(evidence: Evidence) -> None:
    evidence.histories[1] = replace(evidence.histories[1], unread=evidence.histories[1].unread + 1)


def unread_of_all_is_off_by_one(evidence: Evidence) -> None:
    [place] = [n for n, one in enumerate(evidence.unread) if one.total == 1][:1]
    evidence.unread[place] = replace(evidence.unread[place], total=2)


def unread_forgets_a_conversation(evidence: Evidence) -> None:
    for place, unread in enumerate(evidence.unread):
        evidence.unread[place] = replace(unread, total=0, conversations={})


def a_reading_is_forgotten(evidence: Evidence) -> None:
    change_row(evidence, "two", status="DELIVERED", read_at=None)


def a_reading_by_id_is_forgotten(evidence: Evidence) -> None:
    place = next(operations(evidence, "read", device="b1"))
    two = row_of(evidence, "two").message_id
    change_operation(evidence, place, up_to_seq=None, message_ids=[two])
    a_reading_is_forgotten(evidence)


def an_archiving_is_another_entry(evidence: Evidence) -> None:
    name = str(evidence.conversations[0].conversation)
    frame = {"type": "CONVERSATION_ARCHIVED", "conversationId": name, "seq": 3, "archivedAt": "t"}
    evidence.heard.append(replace(evidence.heard[-1], frame=frame))


def a_deletion_is_forgotten(evidence: Evidence) -> None:
    row = deleted(evidence)
    place = evidence.rows.index(row)
    evidence.rows[place] = replace(row, deleted_at=None, content="one")


def a_deleted_content_is_stored(evidence: Evidence) -> None:
    row = deleted(evidence)
    evidence.rows[evidence.rows.index(row)] = replace(row, content="one")


def a_deleted_content_is_told(evidence: Evidence) -> None:
    for message in evidence.histories[0].messages:
        if message["deletedAt"]:
            message["content"] = "one"


def a_deleted_content_is_shown(evidence: Evidence) -> None:
    evidence.snapshots[0].shown[str(deleted(evidence).message_id)]["content"] = "one"


def something_stays_in_a_queue(evidence: Evidence) -> None:
    evidence.queued["chat.writes.0"] = 1


def a_dead_letter(evidence: Evidence, *, is_explained: bool = False) -> None:
    letter = DeadLetter(source="chat.writes.0", reason="why", body="", is_explained=is_explained)
    evidence.dead.append(letter)


def a_session_begins_with_something_else(evidence: Evidence) -> None:
    evidence.heard.remove(heard(evidence, "CONNECT_SUCCESS", "a2")[-1])


def a_client_is_turned_away_for_good(evidence: Evidence) -> None:
    place = next(operations(evidence, "connect"))
    change_operation(evidence, place, outcome="failed", answer={"code": 4401})


def a_session_is_closed_that_no_fault_touched(evidence: Evidence) -> None:
    evidence.injections[0].untouched_closed.append("b1/0")


MISTAKES: Final[dict[str, tuple[Mistake, ...]]] = {
    "acknowledged_is_stored": (
        *(a_row_is_lost, a_content_is_another, an_answer_names_another_number),
    ),
    "refused_is_not_stored": (a_refused_one_is_stored,),
    "one_message_once": (a_row_is_there_twice, two_tries_are_told_apart),
    "nothing_out_of_thin_air": (
        *(nobody_sent_it, nobody_sent_it_here, without_an_id_it_is_there_twice),
    ),
    "one_answer_a_try": (a_try_is_answered_twice,),
    "a_session_keeps_its_order": (two_of_a_session_change_places,),
    "what_is_talked_in_is_stored": (a_conversation_is_lost,),
    "messages_heard_are_stored": (
        *(one_was_heard_that_is_not_stored, one_was_heard_with_another_number),
        *(one_was_heard_with_another_content, a_deleted_one_was_heard_with_another_content),
        the_recipient_was_told_the_client_message_id,
    ),
    "messages_shown_are_the_rows": (
        *(sync_shows_another_sender, a_page_shows_a_status_without_its_time),
        *(a_page_shows_what_nobody_stored, a_page_shows_a_deleted_content),
    ),
    "live_messages_come_in_order": (two_come_live_in_the_wrong_order, one_comes_live_twice),
    "an_entry_is_one_thing": (
        *(an_entry_is_another_thing_to_another_user, an_entry_has_a_message_s_number),
        *(a_status_heard_is_not_stored, a_sender_has_read, an_archiving_is_another_entry),
        the_oldest_is_named_as_the_newest,
    ),
    "numbers_are_dense": (
        *(two_have_one_number, the_head_is_too_low, the_head_is_too_high),
        *(a_number_is_left_out, a_hole_that_no_change_explains),
    ),
    "delivered_means_heard": (
        *(delivered_before_it_was_heard, delivered_in_the_end_but_never_heard),
        delivered_only_by_a_sync_that_says_so,
    ),
    "reads_never_show_less": (
        *(a_look_shows_a_lower_status, a_page_shows_a_lower_status),
        *(a_sync_shows_a_lower_status, a_look_shows_what_is_deleted),
    ),
    "what_was_told_is_there": (
        *(a_page_lacks_what_was_told, a_page_ends_too_early),
        *(the_newest_page_lacks_the_newest, a_sync_lacks_what_was_told),
    ),
    "what_was_told_is_found": (what_was_told_is_not_found,),
    "heads_never_fall": (
        *(a_new_session_is_told_an_old_head, a_new_session_is_not_told_of_a_conversation),
        a_sync_names_an_old_head,
    ),
    "histories_are_the_rows": (
        *(a_history_lacks_one, a_history_is_not_in_order, a_history_shows_another_time),
        *(a_history_has_one_twice, a_history_s_head_is_old),
        *(the_newest_page_is_old, the_newest_page_is_too_short),
    ),
    "syncs_are_the_rows": (
        *(a_sync_in_the_end_lacks_one, a_sync_in_the_end_shows_an_old_one),
        a_sync_in_the_end_is_not_in_order,
    ),
    "snapshots_are_the_rows": (a_device_shows_less, a_device_lacks_one, a_device_is_behind),
    "unread_is_true": (
        *(unread_is_off_by_one, unread_of_all_is_off_by_one, unread_forgets_a_conversation),
    ),
    "confirmed_readings_are_kept": (a_reading_is_forgotten, a_reading_by_id_is_forgotten),
    "confirmed_deletions_are_kept": (a_deletion_is_forgotten,),
    "deleted_content_is_gone": (
        *(a_deleted_content_is_stored, a_deleted_content_is_told, a_deleted_content_is_shown),
    ),
    "queues_are_empty": (something_stays_in_a_queue,),
    "dead_letters_are_explained": (a_dead_letter,),
    "sessions_begin_with_connect_success": (
        *(a_session_begins_with_something_else, a_client_is_turned_away_for_good),
    ),
    "untouched_sessions_live": (a_session_is_closed_that_no_fault_touched,),
}


def test_each_rule_has_its_mistakes() -> None:
    rules = [rule.__name__ for rule in RULES] + [rule.__name__ for rule in checking_reads.RULES]
    assert sorted(MISTAKES) == sorted(rules)


@pytest.mark.parametrize(
    ("rule", "mistake"),
    [
        pytest.param(rule, mistake, id=f"{rule}-{mistake.__name__}")
        for rule, mistakes in MISTAKES.items()
        for mistake in mistakes
    ],
)
def test_a_mistake_is_found(rule: str, mistake: Mistake) -> None:
    evidence = story()
    assert check(evidence) == []
    mistake(evidence)
    found = check(evidence)
    assert rule in {violation.rule for violation in found}, found


@given(st.integers(0, 1 << 32), st.integers(0, 150), st.booleans())
def test_where_no_mistake_was_made_none_is_found(seed: int, steps: int, archives: bool) -> None:
    world = lively(seed, steps)
    if archives:
        world.archive(world.talks[0])
    assert check(world.evidence()) == []


# ------------------------------------------------------------------ what is no mistake


def test_a_repeated_message_may_stand_later_than_what_was_sent_after_it() -> None:
    evidence = story()
    two_of_a_session_change_places(evidence)
    place = next(operations(evidence, "send", content="one"))
    change_operation(evidence, place, sessions=[0, 0])
    assert check(evidence) == []


def test_what_two_devices_sent_may_be_refused_to_one() -> None:
    evidence = story()
    place = next(operations(evidence, "send", content="two"))
    refused = replace(evidence.operations[place], device="a2", outcome="failed", answer=None)
    evidence.operations.append(refused)
    assert check(evidence) == []


def test_a_message_without_an_id_is_known_by_its_content() -> None:
    evidence = story()
    row = row_of(evidence, "four")
    change_row(evidence, "four", client_message_id=None)
    [place] = operations(evidence, "send", content="four")
    change_operation(evidence, place, client_message_id=None, content=" four ")
    for messages in all_messages(evidence):
        for message in messages:
            if message["messageId"] == str(row.message_id) and "clientMessageId" in message:
                message["clientMessageId"] = None
    for item in heard(evidence, "MESSAGE_RECEIVED"):
        if item.frame["messageId"] == str(row.message_id):
            item.frame.pop("clientMessageId", None)
    assert check(evidence) == []


def all_messages(evidence: Evidence) -> Iterator[list[Frame]]:
    """All that anybody was told by REST and SYNC."""
    yield from (one.messages for one in evidence.histories)
    yield from (one.messages for one in evidence.synced)
    yield from (item.frame["messages"] for item in heard(evidence, "SYNC_RESULT"))
    yield from (messages_in(operation) for operation in evidence.operations)


def test_a_delivery_that_nobody_heard_of_before_the_reading_is_no_hole() -> None:
    """A router died between the two, after it had stored both: only the later is told again."""
    world = World()
    talk = world.talks[0]
    world.connect("a1")
    world.connect("b1")
    world.send("a1", talk)
    world.deliver(talk, world.ben)
    delivery = talk.head
    world.read("b1", talk)
    evidence = world.evidence()
    evidence.heard[:] = [item for item in evidence.heard if item.frame.get("seq") != delivery]
    assert check(evidence) == []


def test_what_came_while_a_session_opened_is_recorded_late() -> None:
    evidence = story()
    delivered_before_it_was_heard(evidence)
    place = next(operations(evidence, "connect", device="b1"))
    change_operation(evidence, place, ended=1000.0)
    assert "delivered_means_heard" not in {violation.rule for violation in check(evidence)}


def test_an_entry_told_again_may_name_fewer_messages() -> None:
    evidence = story()
    again = heard(evidence, "MESSAGE_DELIVERED", "a1")[0]
    ids = again.frame["messageIds"]
    assert len(ids) == 2
    again.frame["messageIds"] = ids[1:]
    assert check(evidence) == []


def test_a_read_under_way_may_show_less_than_came_meanwhile() -> None:
    evidence = story()
    place = list(operations(evidence, "look", device="b1"))[-1]
    reading = next(n for n in operations(evidence, "read", device="b1"))
    change_operation(evidence, place, began=evidence.operations[reading].began)
    answer = answer_of(evidence, place)
    first = next(operations(evidence, "look", device="b1"))
    change_operation(evidence, place, answer=answer_of(evidence, first))
    assert answer["status"] == "READ"
    assert answer_of(evidence, first)["status"] == "DELIVERED"
    assert check(evidence) == []


def test_what_one_was_told_the_other_may_not_see_yet() -> None:
    evidence = story()
    page = next(operations(evidence, "history", device="b1"))
    newest = answer_of(evidence, page)["items"][0]
    assert newest["content"] == "two"
    # As if none of his devices had heard of it before he asked.
    began = heard(evidence, "MESSAGE_RECEIVED", "b1")[1].at - 0.0001
    change_operation(evidence, next(operations(evidence, "look", device="b1")), began=began)
    change_operation(evidence, page, began=began)
    answer_of(evidence, page)["items"].remove(newest)
    assert check(evidence) == []


def test_a_reading_after_a_doubtful_one_of_its_device_may_be_another_device_s() -> None:
    evidence = story()
    first, second, *_ = operations(evidence, "read", device="b1")
    change_operation(evidence, first, outcome="unknown")
    a_reading_is_forgotten(evidence)
    rules = {violation.rule for violation in check(evidence)}
    assert "confirmed_readings_are_kept" not in rules
    change_operation(evidence, second, device="b2")
    rules = {violation.rule for violation in check(evidence)}
    assert "confirmed_readings_are_kept" in rules


def test_an_explained_dead_letter_is_none() -> None:
    evidence = story()
    a_dead_letter(evidence, is_explained=True)
    assert check(evidence) == []


@pytest.mark.parametrize("seed", range(20))
def test_one_row_that_is_lost_is_found_in_any_world(seed: int) -> None:
    evidence = lively(seed, 100).evidence()
    lost = evidence.rows.pop(Random(seed).randrange(len(evidence.rows)))
    found = check(evidence)
    assert any(str(lost.message_id) in violation.detail for violation in found)
    assert {violation.conversation for violation in found} <= {lost.conversation, None}


def test_what_was_never_written_is_not_stored() -> None:
    evidence = story()
    operation = Operation(
        user=anna(evidence),
        device="a1",
        kind="send",
        conversation=evidence.conversations[0].conversation,
        began=1.0,
        ended=2.0,
        outcome="failed",
        client_message_id=uuid4(),
        content="never",
    )
    evidence.operations.append(operation)
    assert check(evidence) == []
