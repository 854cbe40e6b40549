"""Which keys of an issuer are known, and when its list is asked for."""

from libs.common.domain.trust import (
    COOLDOWN_S,
    KEY_ID_MOST,
    REFRESH_S,
    STALE_S,
    UNKNOWN_MOST,
    Trust,
    Unknown,
)


def informed(now: float = 0.0, **keys: str) -> Trust[str]:
    trust: Trust[str] = Trust()
    trust.fetched(keys or {"a": "key a"}, now)
    return trust


def test_nothing_is_known_at_first() -> None:
    trust: Trust[str] = Trust()
    assert trust.due_in(0) == 0
    assert not trust.is_known(0)
    assert trust.find("a", 0) is Unknown.PENDING


def test_a_key_by_its_id() -> None:
    assert informed().find("a", 1) == "key a"


def test_a_token_without_an_id_means_the_only_key() -> None:
    assert informed().find(None, 1) == "key a"
    assert informed(a="key a", b="key b").find(None, 1) is Unknown.ABSENT


def test_the_list_is_fetched_again_in_time() -> None:
    trust = informed()
    assert trust.due_in(1) == REFRESH_S - 1
    assert trust.due_in(REFRESH_S + 1) == 0


def test_an_unknown_key_is_asked_for_once() -> None:
    trust = informed()
    assert trust.find("b", 1) is Unknown.PENDING
    assert trust.due_in(1) == COOLDOWN_S - 1
    trust.fetched({"a": "key a"}, COOLDOWN_S)
    assert trust.find("b", COOLDOWN_S) is Unknown.ABSENT
    assert trust.due_in(COOLDOWN_S) == REFRESH_S, "nobody makes us ask for the same one again"


def test_a_rotated_key_is_found() -> None:
    trust = informed()
    assert trust.find("b", 1) is Unknown.PENDING
    trust.fetched({"b": "key b"}, COOLDOWN_S)
    assert trust.find("b", COOLDOWN_S) == "key b"
    assert trust.find("a", COOLDOWN_S) is Unknown.PENDING, "withdrawn: asked for once more"


def test_a_stranger_of_before_is_found_once_it_is_listed() -> None:
    trust = informed()
    trust.find("b", 1)
    trust.fetched({"a": "key a"}, 10)
    assert trust.find("b", 11) is Unknown.ABSENT
    trust.fetched({"a": "key a", "b": "key b"}, 310)
    assert trust.find("b", 311) == "key b"


def test_strangers_can_not_make_us_ask_more_often_or_remember_more() -> None:
    trust = informed()
    for number in range(3 * UNKNOWN_MOST):
        assert trust.find(f"stranger {number}", 1) is Unknown.PENDING
    assert trust.due_in(1) == COOLDOWN_S - 1
    trust.fetched({"a": "key a"}, COOLDOWN_S)
    forgotten = f"stranger {0}"
    assert trust.find(forgotten, COOLDOWN_S) is Unknown.PENDING
    assert trust.due_in(COOLDOWN_S) == COOLDOWN_S


def test_an_issuer_that_is_away_is_asked_again_and_what_we_know_goes_on() -> None:
    trust = informed()
    trust.failed(REFRESH_S)
    assert trust.find("a", REFRESH_S) == "key a"
    assert trust.due_in(REFRESH_S) == COOLDOWN_S
    assert trust.is_known(STALE_S)
    assert not trust.is_known(STALE_S + 1)
    assert trust.find("a", STALE_S + 1) is Unknown.PENDING, "not for ever"


def test_a_long_id_is_neither_asked_for_nor_remembered() -> None:
    listed = "a" * (KEY_ID_MOST + 1)
    trust = informed(0, **{listed: "key a"})
    assert trust.find(listed, 1) == "key a"
    assert trust.find("b" * (KEY_ID_MOST + 1), 1) is Unknown.ABSENT
    assert trust.due_in(1) == REFRESH_S - 1
    assert trust.find("b" * KEY_ID_MOST, 1) is Unknown.PENDING


def test_an_issuer_is_confirmed_by_its_last_answer() -> None:
    assert not Trust[str]().is_confirmed
    assert informed().is_confirmed
    away = informed()
    away.failed(10)
    assert not away.is_confirmed
