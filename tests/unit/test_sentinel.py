"""Addresses of sentinels."""

import pytest

from libs.common.sentinel import Sentinels


def test_an_address_of_several_sentinels() -> None:
    url = "redis+sentinel://chat:p%40ss@one:1,two,[::1]:3/mymaster/4"
    assert Sentinels.of(url) == Sentinels(
        addresses=(("one", 1), ("two", 26379), ("::1", 3)),
        service="mymaster",
        username="chat",
        password="p@ss",
        database=4,
    )


def test_what_may_be_left_out() -> None:
    assert Sentinels.of("redis+sentinel://one/mymaster") == Sentinels(
        addresses=(("one", 26379),), service="mymaster", username=None, password=None, database=0
    )
    with_password = Sentinels.of("redis+sentinel://:secret@one/mymaster")
    assert with_password is not None
    assert (with_password.username, with_password.password) == (None, "secret")


def test_other_addresses_are_none_of_its_business() -> None:
    assert Sentinels.of("redis://127.0.0.1:6379/0") is None


@pytest.mark.parametrize("rest", ["one", "one/", "/mymaster", "one/mymaster/first", "a@b@one/m"])
def test_what_cannot_be_read_is_refused(rest: str) -> None:
    with pytest.raises(ValueError, match="not of the form"):
        Sentinels.of(f"redis+sentinel://{rest}")
