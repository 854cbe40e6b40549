"""The rules that roles share."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.moment import milliseconds, rfc3339
from libs.common.domain.partition import fair_share, id_beside, partition_of
from libs.common.domain.text import InvalidContent, clean_content


@given(st.uuids(), st.integers(1, 64))
def test_a_partition_is_one_of_them(key: UUID, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions


def test_partitions_never_change_between_releases() -> None:
    key = UUID("0193a3a0-7b1c-7000-8000-0123456789ab")
    assert [partition_of(key, partitions) for partitions in (2, 4, 16, 64)] == [1, 3, 7, 7]


@given(st.uuids(), st.integers(1, 32))
def test_a_conversation_lives_beside_its_match(match: UUID, partitions: int) -> None:
    assert partition_of(id_beside(match, uuid4, partitions), partitions) == partition_of(
        match, partitions
    )


@given(st.sets(st.text(min_size=1), min_size=1, max_size=9), st.integers(1, 64))
def test_shares_are_even_and_cover_all(members: set[str], partitions: int) -> None:
    shares = [fair_share(member, sorted(members), partitions) for member in members]
    assert sorted(partition for share in shares for partition in share) == list(range(partitions))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(0, 4_102_444_800_000))
def test_moments_go_there_and_back(ms: int) -> None:
    text = rfc3339(ms)
    assert len(text) == len("2025-11-24T16:00:00.123Z")
    assert milliseconds(datetime.fromisoformat(text)) == ms
    assert milliseconds(datetime.fromtimestamp(ms // 1000, UTC)) == ms // 1000 * 1000


@given(st.text(min_size=1, max_size=4_000))
def test_whatever_is_accepted_can_be_stored(text: str) -> None:
    try:
        content = clean_content(text)
    except InvalidContent:
        return
    assert content == content.strip()
    assert 1 <= len(content) <= 4_000
    assert "\0" not in content
    assert content.encode().decode() == content


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "CONTENT_EMPTY"),
        (" \n", "CONTENT_EMPTY"),
        ("x" * 4_001, "CONTENT_TOO_LONG"),
        ("\ud83d", "CONTENT_NOT_STORABLE"),
        ("a\0", "CONTENT_NOT_STORABLE"),
    ],
)
def test_refused_content(text: str, reason: str) -> None:
    with pytest.raises(InvalidContent) as refused:
        clean_content(text)
    assert refused.value.reason == reason


def test_white_space_around_does_not_count() -> None:
    assert clean_content(" " + "x" * 4_000 + "\n") == "x" * 4_000
