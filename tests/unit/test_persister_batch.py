"""When the persister flushes."""

from services.persister.batch import Pending


def pending() -> Pending[str]:
    return Pending(flush_s=0.1, flush_size=10, urgent_s=0.005)


def test_nothing_is_due_while_nothing_is_held() -> None:
    assert pending().due() is None


def test_a_flush_is_due_after_its_first_item() -> None:
    waiting = pending()
    waiting.add("a", 1, now=5.0)
    waiting.add("b", 1, now=5.09)
    assert waiting.due() == 5.1


def test_a_full_batch_is_due_at_once() -> None:
    waiting = pending()
    waiting.add("a", 10, now=5.0)
    due = waiting.due()
    assert due is not None
    assert due <= 5.0


def test_a_batch_takes_whole_items_up_to_its_size_in_order() -> None:
    waiting = pending()
    for item in "abcd":
        waiting.add(item, 4, now=5.0)
    assert waiting.take(5.0) == ["a", "b", "c"]
    assert waiting.take(5.0) == ["d"]
    assert waiting.due() is None


def test_one_item_beyond_the_size_still_goes() -> None:
    waiting = pending()
    waiting.add("a", 5_000, now=5.0)
    assert waiting.take(5.0) == ["a"]


def test_what_is_left_is_due_by_its_own_age() -> None:
    waiting = pending()
    waiting.add("a", 10, now=5.0)
    waiting.add("b", 1, now=5.05)
    waiting.take(5.06)
    assert waiting.due() == 5.05 + 0.1


def test_an_urgent_item_is_due_at_once() -> None:
    waiting = pending()
    waiting.add("a", 1, now=5.0, urgent=True)
    due = waiting.due()
    assert due is not None
    assert due <= 5.0


def test_urgent_items_share_a_flush_within_five_milliseconds() -> None:
    waiting = pending()
    waiting.add("a", 1, now=5.0, urgent=True)
    waiting.take(5.0)
    waiting.add("b", 1, now=5.001, urgent=True)
    assert waiting.due() == 5.005


def test_urgency_ends_with_the_urgent_item() -> None:
    waiting = pending()
    waiting.add("a", 10, now=5.0, urgent=True)
    waiting.add("b", 1, now=5.0)
    waiting.take(5.0)
    assert waiting.due() == 5.1


def test_dropped_items_are_not_taken_and_do_not_count() -> None:
    waiting = pending()
    waiting.add("a", 6, now=5.0, urgent=True)
    waiting.add("b", 6, now=5.05)
    waiting.drop(lambda item: item == "a")
    waiting.add("c", 1, now=5.06)
    assert waiting.take(5.2) == ["b", "c"]
    assert waiting.due() is None
