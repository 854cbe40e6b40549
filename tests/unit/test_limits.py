"""The rate limit's pure parts; the script is tested with Redis."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.permit import Permit
from libs.common.limits import Limit, permits


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 2**53))))
def test_each_try_gets_its_own_answer(answers: list[tuple[bool, int]]) -> None:
    flat = [number for refused, value in answers for number in (int(refused), value)]
    assert permits(flat) == [
        Permit(None, value) if refused else Permit(value) for refused, value in answers
    ]


def test_half_an_answer_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        permits([0, 5, 1])


@given(st.uuids(), st.lists(st.binary(min_size=16, max_size=16), max_size=12))
def test_the_script_gets_one_key_and_every_try(user_id: UUID, tries: list[bytes]) -> None:
    _, key, *arguments = Limit("messages", 10).command(user_id, tries)
    assert key == f"rate:messages:{user_id}"
    assert (arguments[0], arguments[1]) == (10, 1_000_000)
    assert arguments[4:] == tries


def test_kinds_and_users_have_limits_of_their_own() -> None:
    first, second = uuid4(), uuid4()
    keys = {
        Limit(kind, 10).command(user, [])[1]
        for kind in ("messages", "connects")
        for user in (first, second)
    }
    assert len(keys) == 4
