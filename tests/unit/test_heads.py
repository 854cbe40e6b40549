"""What Redis says about how far the logs have come."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.heads import (
    ARCHIVED,
    COMPLETE,
    LOADING,
    head_in,
    heads_in,
    is_behind,
    told_in,
)

logs = st.dictionaries(st.uuids(), st.tuples(st.integers(1, 2**53), st.booleans()), max_size=8)


def fields(known: dict[UUID, tuple[int, bool]], marks: set[bytes]) -> dict[bytes, bytes]:
    found = {
        str(key).encode(): str(head).encode() + ARCHIVED * archived
        for key, (head, archived) in known.items()
    }
    return found | dict.fromkeys(marks, b"1f")


@given(logs, st.sets(st.sampled_from((COMPLETE, LOADING))))
def test_heads_come_out_as_they_went_in(
    known: dict[UUID, tuple[int, bool]], marks: set[bytes]
) -> None:
    hash_ = fields(known, marks)
    assert heads_in(hash_) == {key: head for key, (head, _) in known.items()}
    assert told_in(hash_) == (
        {key: head for key, (head, archived) in known.items() if not archived},
        COMPLETE in marks,
    )


@given(logs, st.booleans())
def test_what_cannot_be_read_tells_nothing(
    known: dict[UUID, tuple[int, bool]], archived: bool
) -> None:
    """An archived one, too: REST reads those as well."""
    spoiled = {str(UUID(int=7)).encode(): b"no head" + ARCHIVED * archived}
    assert told_in(fields(known, {COMPLETE}) | spoiled) is None
    assert told_in(fields(known, {COMPLETE}) | {b"no id": b"7"}) is None


@given(st.integers(1, 2**53), st.booleans())
def test_an_archived_head_is_the_same_number(head: int, archived: bool) -> None:
    assert head_in(str(head).encode() + ARCHIVED * archived) == head


@pytest.mark.parametrize(
    ("told", "stored", "warm", "behind"),
    [
        (7, 7, True, False),
        (7, 7, False, False),
        (7, 8, True, False),
        (8, 7, True, True),
        (1, None, True, True),
        (None, 7, True, False),
        (None, 7, False, True),
        (None, None, True, False),
        (None, None, False, True),
    ],
)
def test_when_postgresql_may_lack_something(
    told: int | None, stored: int | None, warm: bool, behind: bool
) -> None:
    """Redis that knows the head is believed; one that doesn't is believed while it is warm."""
    assert is_behind(told, stored, warm=warm) is behind
