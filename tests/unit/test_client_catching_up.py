"""What a client asks for by SYNC, and when (libs/client/catching_up.py)."""

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.client.answers import ANSWER_S
from libs.client.catching_up import GAP_S, CatchingUp

C, D = UUID(int=1), UUID(int=2)


def following(known: int = 1) -> CatchingUp:
    catching_up = CatchingUp()
    catching_up.begin({C: known}, now=0)
    catching_up.follow(C, known, now=0)
    return catching_up


def test_a_higher_head_is_asked_for_at_once_and_once() -> None:
    catching_up = following(3)
    catching_up.begin({C: 9, D: 4}, now=1)
    assert catching_up.take(1) == [(C, 3)], "and nothing of what nobody follows"
    assert catching_up.take(1) == []
    catching_up.synced(C, 9, complete=True, now=1)
    assert catching_up.known(C) == 9
    assert catching_up.due_at is None


def test_what_is_followed_later_is_asked_for_by_the_head_that_was_told() -> None:
    catching_up = CatchingUp()
    catching_up.begin({C: 9}, now=0)
    assert catching_up.take(0) == []
    catching_up.follow(C, 9, now=0)
    assert catching_up.take(0) == []
    catching_up.entered(D, 5, now=0)
    catching_up.follow(D, 2, now=0)
    assert catching_up.take(0) == [(D, 2)]


def test_a_gap_is_given_a_second_to_close() -> None:
    catching_up = following()
    catching_up.entered(C, 3, now=0)
    assert catching_up.take(GAP_S - 0.01) == []
    catching_up.entered(C, 2, now=0.5)
    assert catching_up.take(GAP_S) == []
    catching_up.entered(C, 5, now=2)
    assert catching_up.due_at == 2 + GAP_S
    catching_up.entered(C, 6, now=2.9)
    assert catching_up.take(2 + GAP_S) == [(C, 3)], "more of what is beyond puts nothing off"


def test_a_head_that_rest_tells_of_is_asked_for_unless_it_comes_by_itself() -> None:
    catching_up = following()
    catching_up.told(C, 2, now=0)
    catching_up.entered(C, 2, now=0.5)
    assert catching_up.take(GAP_S) == []
    catching_up.told(C, 4, now=2)
    catching_up.told(C, 3, now=2.5)
    catching_up.told(D, 9, now=2.5)
    assert catching_up.take(2 + GAP_S - 0.01) == []
    assert catching_up.take(2 + GAP_S) == [(C, 2)], "and nothing of what nobody follows"
    catching_up.synced(C, 4, complete=True, now=4)
    assert catching_up.due_at is None


def test_page_by_page_until_it_is_complete() -> None:
    catching_up = following()
    catching_up.begin({C: 500}, now=0)
    asked = []
    for reached, complete in ((200, False), (400, False), (510, True)):
        asked += catching_up.take(0)
        catching_up.synced(C, reached, complete, now=0)
    assert asked == [(C, 1), (C, 200), (C, 400)]
    assert catching_up.known(C) == 510
    assert catching_up.take(100) == []


def test_a_gap_that_stays_after_a_sync_is_asked_for_again_but_not_at_once() -> None:
    catching_up = following()
    catching_up.entered(C, 3, now=0)
    catching_up.take(GAP_S)
    catching_up.entered(C, 9, now=1.5)
    catching_up.synced(C, 4, complete=True, now=2)
    assert catching_up.take(2) == []
    assert catching_up.take(2 + GAP_S) == [(C, 4)]


def test_no_answer_is_asked_again_and_a_new_connection_asks_anew() -> None:
    catching_up = following()
    catching_up.begin({C: 2}, now=0)
    assert catching_up.take(0) == [(C, 1)]
    assert catching_up.take(ANSWER_S - 1) == []
    assert catching_up.take(ANSWER_S) == [(C, 1)]
    catching_up.begin({C: 2}, now=ANSWER_S + 1)
    assert catching_up.take(ANSWER_S + 1) == [(C, 1)]


def test_an_error_puts_it_off_or_ends_it() -> None:
    catching_up = following()
    catching_up.begin({C: 2}, now=0)
    catching_up.take(0)
    catching_up.put_off(C, until=3)
    assert catching_up.take(2.9) == []
    assert catching_up.take(3) == [(C, 1)]
    catching_up.refused(C)
    assert catching_up.take(3 + ANSWER_S) == []


def test_a_head_that_a_sync_does_not_confirm_is_not_asked_for_without_end() -> None:
    catching_up = following()
    catching_up.begin({C: 9}, now=0)
    catching_up.take(0)
    catching_up.synced(C, 5, complete=True, now=0)
    assert catching_up.due_at is None


@settings(deadline=None)
@given(st.data())
def test_whatever_the_line_loses_a_client_gets_all(data: st.DataObject) -> None:
    """Entries and answers get lost, links end; then the line holds, and `due_at` is heeded."""
    catching_up, head, now = following(), 1, 0.0
    for fate in data.draw(st.lists(st.sampled_from(["live", "lost", "sync", "link"]), max_size=30)):
        now += data.draw(st.floats(0, 2))
        if fate == "link":
            catching_up.begin({C: head}, now)
        elif fate == "sync":
            for _, after_seq in catching_up.take(now):
                if data.draw(st.booleans()):
                    reached = data.draw(st.integers(after_seq, head))
                    catching_up.synced(C, reached, reached == head, now)
        else:
            head += 1
            if fate == "live":
                catching_up.entered(C, head, now)
    catching_up.begin({C: head}, now)
    for _ in range(3):
        now = max(now, catching_up.due_at or now)
        for _ in catching_up.take(now):
            catching_up.synced(C, head, complete=True, now=now)
    assert catching_up.known(C) == head
    assert catching_up.due_at is None
