"""Messages without an answer (libs/client/outbox.py)."""

from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from libs.client.answers import ANSWER_S
from libs.client.outbox import Item, Outbox
from libs.common.domain.text import InvalidContent

C, D = UUID(int=1), UUID(int=2)


def item(conversation_id: UUID = C, content: str = "hi") -> Item:
    return Item(uuid4(), conversation_id, content)


def filled(*items: Item) -> Outbox:
    outbox = Outbox()
    for one in items:
        outbox.add(one)
    return outbox


def test_one_message_of_a_conversation_is_on_its_way_at_a_time_in_order() -> None:
    a, b, x = item(), item(), item(D)
    outbox = filled(a, b, x)
    assert outbox.take(0) == [a, x]
    assert outbox.take(0) == []
    outbox.land()
    assert outbox.take(0) == [a, x], "no answer: the same again, not the next"
    assert outbox.remove(a.client_message_id) == a
    assert outbox.take(0) == [b]
    assert outbox.remove(a.client_message_id) is None


def test_what_got_no_answer_is_due_again_as_the_same_message() -> None:
    a = item()
    outbox = filled(a)
    assert Outbox().due_at is None
    assert outbox.take(5) == [a]
    assert outbox.due_at == 5 + ANSWER_S
    assert outbox.take(4.9 + ANSWER_S) == []
    assert outbox.take(5 + ANSWER_S) == [a]
    assert outbox.due_at == 5 + 2 * ANSWER_S


def test_what_is_put_off_holds_up_its_own_conversation_only() -> None:
    a, b, x = item(), item(), item(D)
    outbox = filled(a, b, x)
    outbox.take(0)
    outbox.put_off(a.client_message_id, until=0.8)
    outbox.remove(x.client_message_id)
    outbox.add(y := item(D))
    assert outbox.take(0.7) == [y]
    assert outbox.due_at == 0.8
    assert outbox.take(0.8) == [a]


def test_an_answer_to_an_earlier_try_puts_off_nothing() -> None:
    a, b = item(), item()
    outbox = filled(a, b)
    outbox.take(0)
    outbox.remove(a.client_message_id)
    outbox.take(0)
    assert not outbox.is_flying(a.client_message_id)
    outbox.put_off(a.client_message_id, until=100)
    assert outbox.due_at == ANSWER_S


def test_what_is_refused_for_good_waits_for_its_user_and_holds_up_nobody() -> None:
    a, b = item(), item()
    outbox = filled(a, b)
    outbox.take(0)
    outbox.fail(a.client_message_id, "CONVERSATION_ARCHIVED")
    assert outbox.items[0].error == "CONVERSATION_ARCHIVED"
    assert outbox.take(0) == [b]
    outbox.remove(b.client_message_id)
    assert outbox.take(0) == []
    outbox.retry(a.client_message_id)
    assert outbox.take(0) == [a]


def test_what_was_kept_over_a_restart_is_there_again() -> None:
    a, b = item(), item()
    outbox = filled(a, b)
    outbox.take(0)
    outbox.fail(a.client_message_id, "NOT_PARTICIPANT")
    again = Outbox(outbox.items)
    assert [one.error for one in again.items] == ["NOT_PARTICIPANT", None]
    assert again.take(0) == [b]


def test_content_has_1_to_4000_characters_of_which_an_emoji_is_one() -> None:
    outbox = filled(item(content=" " + "🦊" * 4000 + "\n"))
    assert outbox.items[0].content == "🦊" * 4000
    for content, reason in (("🦊" * 4001, "CONTENT_TOO_LONG"), (" \n ", "CONTENT_EMPTY")):
        with pytest.raises(InvalidContent, match=reason):
            outbox.add(item(content=content))
    assert len(outbox.items) == 1


class Sender(RuleBasedStateMachine):
    """A client on a line that loses frames, and a service that keeps, once, or refuses for now."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox()
        self.now = 0.0
        self.written: dict[UUID, list[UUID]] = {C: [], D: []}
        self.kept: dict[UUID, list[UUID]] = {C: [], D: []}
        self.answers: list[tuple[UUID, bool]] = []

    @rule(conversation=st.sampled_from([C, D]))
    def write(self, conversation: UUID) -> None:
        self.outbox.add(one := item(conversation))
        self.written[conversation].append(one.client_message_id)

    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        for one in self.outbox.take(self.now):
            self._receive(one, data.draw(st.sampled_from(["kept", "lost", "refused"])))

    def _receive(self, one: Item, fate: str) -> None:
        if fate == "lost":
            return
        log = self.kept[one.conversation_id]
        if fate == "kept" and one.client_message_id not in log:
            log.append(one.client_message_id)
        self.answers.append((one.client_message_id, fate == "kept"))

    @precondition(lambda self: self.answers)
    @rule()
    def answer(self) -> None:
        client_message_id, is_kept = self.answers.pop(0)
        if is_kept:
            self.outbox.remove(client_message_id)
        else:
            self.outbox.put_off(client_message_id, self.now + 1)

    @rule()
    def break_off(self) -> None:
        self.answers.clear()
        self.outbox.land()

    @rule(seconds=st.floats(0, 2 * ANSWER_S))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def keeps_the_order(self) -> None:
        for conversation, written in self.written.items():
            kept = self.kept[conversation]
            assert kept == written[: len(kept)]

    def teardown(self) -> None:
        """In the end the line holds, and nothing is left behind."""
        self.break_off()
        for _ in range(len(self.outbox.items)):
            for one in self.outbox.take(self.now):
                self._receive(one, "kept")
            while self.answers:
                self.answer()
        assert self.outbox.items == ()
        assert self.kept == self.written


TestSender = Sender.TestCase
TestSender.settings = settings(deadline=None)
