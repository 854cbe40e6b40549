"""How far the user has read, told until it is acknowledged (libs/client/readings.py)."""

from uuid import uuid4

from libs.client.answers import ANSWER_S
from libs.client.readings import Readings

C, D = uuid4(), uuid4()


def test_what_is_no_news_is_not_told_again() -> None:
    readings = Readings()
    readings.mark(C, 5)
    assert readings.take(1.0) == [(C, 5)]
    readings.mark(C, 5)
    readings.answered(C, is_empty=True)
    readings.mark(C, 5)
    readings.mark(C, 4)
    assert readings.take(2.0) == []
    assert readings.due_at is None
    readings.mark(C, 6)
    assert readings.take(3.0) == [(C, 6)]


def test_what_gets_no_answer_is_told_again_and_so_is_what_is_refused_for_a_while() -> None:
    readings = Readings()
    readings.mark(C, 5)
    readings.mark(D, 7)
    assert readings.take(1.0) == [(C, 5), (D, 7)]
    readings.put_off(D, 3.0)
    assert readings.due_at == 3.0
    assert readings.take(2.9) == []
    assert readings.take(3.0) == [(D, 7)]
    assert readings.due_at == 1.0 + ANSWER_S
    assert readings.take(1.0 + ANSWER_S) == [(C, 5)]


def test_on_a_new_connection_what_has_no_answer_is_told_again() -> None:
    readings = Readings()
    readings.mark(C, 5)
    readings.mark(D, 7)
    readings.take(1.0)
    readings.answered(D, is_empty=False)
    readings.land()
    assert readings.take(1.1) == [(C, 5)]


def test_what_is_refused_for_good_is_given_up_until_the_user_reads_again() -> None:
    readings = Readings()
    readings.mark(C, 5)
    readings.take(1.0)
    readings.refused(C)
    assert readings.due_at is None
    readings.mark(C, 5)
    assert readings.take(2.0) == [(C, 5)]


def test_the_answer_to_an_earlier_reading_is_not_the_newest_ones() -> None:
    readings = Readings()
    readings.mark(C, 5)
    assert readings.take(1.0) == [(C, 5)]
    readings.mark(C, 7)
    assert readings.take(1.1) == [], "one at a time"
    readings.answered(C, is_empty=False)
    assert readings.take(1.2) == [(C, 7)]
    readings.land()
    assert readings.take(2.0) == [(C, 7)]


def test_what_gets_no_answer_is_repeated_as_it_was() -> None:
    """Or the late answer to the first would be taken for the second's."""
    readings = Readings()
    readings.mark(C, 5)
    readings.take(1.0)
    readings.mark(C, 7)
    assert readings.take(1.0 + ANSWER_S) == [(C, 5)]
    readings.answered(C, is_empty=True)
    assert readings.take(2.0 + ANSWER_S) == [(C, 7)]


def test_what_is_put_off_is_told_whatever_another_device_reads() -> None:
    readings = Readings()
    readings.mark(C, 7)
    readings.take(1.0)
    readings.put_off(C, 3.0)
    readings.answered(C, is_empty=False)
    readings.mark(C, 8)
    assert readings.take(2.9) == []
    assert readings.take(3.0) == [(C, 8)]


def test_what_is_looked_at_again_is_told_again_unless_nothing_is_left_to_read() -> None:
    readings = Readings()
    readings.mark(C, 7)
    readings.take(1.0)
    readings.answered(C, is_empty=False)  # it may have been another device's
    readings.land()
    assert readings.take(2.0) == []
    readings.mark(C, 7)
    assert readings.take(2.0) == [(C, 7)]
    readings.answered(C, is_empty=True)
    readings.mark(C, 7)
    assert readings.due_at is None
