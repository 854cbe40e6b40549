"""How often it is told that the user types (libs/client/typing_signals.py)."""

from uuid import uuid4

from libs.client.typing_signals import TELL_S, TypingSignals

C, D = uuid4(), uuid4()


def test_every_key_is_asked_and_few_are_told() -> None:
    typing = TypingSignals()
    keys = [number / 10 for number in range(61)]
    told = [at for at in keys if typing.is_news(C, True, at)]
    assert told == [0.0, TELL_S, 2 * TELL_S]
    assert typing.is_news(D, True, 0.1), "another conversation"


def test_giving_up_is_told_once_and_only_after_a_start() -> None:
    typing = TypingSignals()
    assert not typing.is_news(C, False, 0.0)
    assert typing.is_news(C, True, 0.1)
    assert typing.is_news(C, False, 0.2)
    assert not typing.is_news(C, False, 0.3)
    assert typing.is_news(C, True, 0.4), "at once, after a stop"


def test_a_message_ends_typing_without_a_word() -> None:
    typing = TypingSignals()
    assert typing.is_news(C, True, 0.0)
    typing.ended(C)
    assert not typing.is_news(C, False, 0.1)
    assert typing.is_news(C, True, 0.2)
