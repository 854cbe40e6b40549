"""Who gets what."""

from uuid import UUID, uuid4

from libs.common.protocol import frames
from libs.common.protocol.deliveries import Answer, ToUser
from services.router.fan_out import fan_out
from services.router.rules.decisions import Announcement, Answered

ANNA, BEN, CONVERSATION = uuid4(), uuid4(), uuid4()


def entry(user: UUID, seq: int, *, without: UUID | None = None) -> Announcement:
    frame = frames.MessageDelivered(CONVERSATION, uuid4(), [], "now", seq)
    return Announcement(user, CONVERSATION, seq, frame, except_session_id=without)


def answer(gateway: str, session: UUID, seq: int) -> Answered:
    frame = frames.MessageSent(None, uuid4(), CONVERSATION, seq, "now")
    return Answered(gateway, session, uuid4(), frame)


def test_a_session_never_sees_a_greater_number_first() -> None:
    phone = uuid4()
    notices: list[Announcement | Answered] = [
        entry(ANNA, 6),
        answer("g1", phone, 7),
        entry(ANNA, 8),
    ]
    first, second, third = fan_out(notices, {ANNA: {phone: "g1"}})["g1"]
    assert isinstance(first, ToUser)
    assert isinstance(second, Answer)
    assert isinstance(third, ToUser)
    assert (first.seq, third.seq) == (6, 8)


def test_each_gateway_gets_an_entry_once_however_many_sessions_it_holds() -> None:
    listeners = {ANNA: {uuid4(): "g1", uuid4(): "g1", uuid4(): "g2"}}
    deliveries = fan_out([entry(ANNA, 2)], listeners)
    assert {gateway: len(batch) for gateway, batch in deliveries.items()} == {"g1": 1, "g2": 1}


def test_nobody_listens_nothing_is_sent() -> None:
    phone = uuid4()
    listeners: dict[UUID, dict[UUID, str]] = {ANNA: {phone: "g1"}, BEN: {}}
    assert fan_out([entry(BEN, 2), entry(ANNA, 2, without=phone)], listeners) == {}


def test_the_session_that_asked_is_answered_and_its_other_devices_are_told() -> None:
    phone, laptop, tablet = uuid4(), uuid4(), uuid4()
    listeners = {ANNA: {phone: "g1", laptop: "g1", tablet: "g2"}, BEN: {}}
    notices: list[Announcement | Answered] = [
        answer("g1", phone, 7),
        entry(ANNA, 7, without=phone),
        entry(BEN, 7),
    ]
    deliveries = fan_out(notices, listeners)
    own, others = deliveries["g1"]
    assert isinstance(own, Answer)
    assert own.session_id == phone
    assert isinstance(others, ToUser)
    assert others.except_session_id == phone
    assert deliveries["g2"] == [others]


def test_an_answer_needs_nobody_to_listen() -> None:
    """The session's own gateway is named by its event, whatever Redis knows."""
    phone = uuid4()
    [delivery] = fan_out([answer("g1", phone, 2)], {})["g1"]
    assert isinstance(delivery, Answer)


def test_only_the_recipient_gets_what_makes_it_delivered() -> None:
    frame = frames.MessageReceived(uuid4(), CONVERSATION, ANNA, "hi", "now", 2)
    notices = [
        Announcement(BEN, CONVERSATION, 2, frame, message_id=frame.message_id),
        Announcement(ANNA, CONVERSATION, 2, frame),
    ]
    deliveries = fan_out(notices, {ANNA: {uuid4(): "g1"}, BEN: {uuid4(): "g2"}})
    [to_anna], [to_ben] = deliveries["g1"], deliveries["g2"]
    assert isinstance(to_anna, ToUser)
    assert isinstance(to_ben, ToUser)
    assert (to_ben.user_id, to_ben.message_id) == (BEN, frame.message_id)
    assert (to_anna.user_id, to_anna.message_id) == (ANNA, None)


def test_while_redis_may_not_know_every_gateway_gets_every_entry() -> None:
    phone = uuid4()
    notices: list[Announcement | Answered] = [
        entry(ANNA, 2),
        answer("g1", phone, 3),
        entry(BEN, 3),
    ]
    deliveries = fan_out(notices, {ANNA: {phone: "g1"}, BEN: {}}, {"g1", "g2"})
    assert [type(delivery) for delivery in deliveries["g1"]] == [ToUser, Answer, ToUser]
    assert [type(delivery) for delivery in deliveries["g2"]] == [ToUser, ToUser]
