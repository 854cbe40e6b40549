"""When a read needs a barrier before PostgreSQL may answer it."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.heads import heads_in, is_behind
from libs.common.domain.partition import partition_of
from services.rest_api.freshness import partitions_behind

heads = st.dictionaries(st.uuids(), st.integers(0, 50), max_size=10)


@pytest.mark.parametrize(
    ("told", "stored", "warm", "behind"),
    [
        (None, None, True, False),  # unknown to both: it does not exist
        (None, None, False, True),  # Redis may have forgotten it
        (None, 7, True, False),
        (None, 7, False, True),
        (7, 7, True, False),
        (7, 7, False, False),  # what Redis does know needs no word of the partition's
        (7, 9, True, False),
        (8, 7, True, True),
        (8, 7, False, True),
        (1, None, True, True),  # born, but not stored yet
    ],
)
def test_behind(told: int | None, stored: int | None, warm: bool, behind: bool) -> None:
    assert is_behind(told, stored, warm=warm) is behind


def test_heads_without_the_routers_own_fields() -> None:
    known = UUID(int=5)
    for head in (b"12", b"12!"):
        assert heads_in({b"*": b"1", b"?": b"a3f0", str(known).encode(): head}) == {known: 12}


@given(told=heads, stored=heads, warm=st.lists(st.booleans(), min_size=1, max_size=8))
def test_partitions_are_those_of_their_conversations(
    told: dict[UUID, int], stored: dict[UUID, int], warm: list[bool]
) -> None:
    behind = partitions_behind(told, stored, warm)
    for partition in range(len(warm)):
        own = {c: head for c, head in told.items() if partition_of(c, len(warm)) == partition}
        late = any(is_behind(head, stored.get(c), warm=True) for c, head in own.items())
        assert (partition in behind) == (late or not warm[partition])


def test_nothing_is_asked_when_all_is_stored() -> None:
    conversation = uuid4()
    assert partitions_behind({conversation: 3}, {conversation: 3}, [True] * 4) == frozenset()
