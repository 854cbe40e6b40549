"""Which partitions a replica subscribes to, by what it saw of the members."""

from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.partition import fair_share
from libs.common.ownership import Share

ALL = frozenset(range(4))


def test_alone_it_takes_everything_at_once() -> None:
    assert Share("a", 4).saw(("a",)) == ALL


def test_it_gives_up_nothing_before_two_answers_agree() -> None:
    share = Share("a", 4)
    share.saw(("a",))
    assert share.saw(("a", "b")) == ALL
    assert share.saw(("a", "b")) == {0, 2}


def test_it_takes_over_at_once() -> None:
    share = Share("a", 4)
    share.saw(("a", "b"))
    share.saw(("a", "b"))
    assert share.saw(("a",)) == ALL


def test_one_short_list_costs_nothing() -> None:
    """After a FLUSHALL each member finds itself alone for a beat."""
    share = Share("b", 4)
    share.saw(("a", "b"))
    share.saw(("a", "b"))
    assert share.saw(("b",)) == ALL
    assert share.saw(("a", "b")) == ALL
    assert share.saw(("a", "b")) == {1, 3}


def test_a_list_that_wavers_releases_nothing() -> None:
    share = Share("a", 4)
    for members in [("a",), ("a", "b"), ("a", "b", "c"), ("a", "b")]:
        assert share.saw(members) == ALL


@given(
    st.sets(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=9), st.integers(1, 64)
)
def test_settled_members_share_all_partitions_evenly(names: set[str], partitions: int) -> None:
    members = tuple(sorted(names))
    owned = []
    for name in members:
        share = Share(name, partitions)
        share.saw((name,))
        share.saw(members)
        owned.append(share.saw(members))
    assert sorted(partition for part in owned for partition in part) == list(range(partitions))
    assert max(map(len, owned)) - min(map(len, owned)) <= 1
    assert owned == [fair_share(name, members, partitions) for name in members]
