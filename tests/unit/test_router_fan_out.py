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
