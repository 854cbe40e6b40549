"""What a client knows to have of a log (libs/client/log.py)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.client.log import Log


def test_a_gap_closes_when_what_is_missing_comes_in_any_order() -> None:
    log = Log(1)
    for seq in (2, 5, 4):
        log.add(seq)
    assert log.known == 2
    assert log.has_gap
    log.add(3)
    assert log.known == 5
    assert not log.has_gap


def test_a_sync_closes_a_gap_and_what_is_older_changes_nothing() -> None:
    log = Log(3)
    log.add(9)
    log.reach(8)
    assert log.known == 9
    log.add(2)
    log.reach(4)
    assert log.known == 9
    assert not log.has_gap


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["add", "reach"]), st.integers(0, 20)), max_size=40),
    st.integers(0, 5),
)
def test_known_is_the_end_of_what_came_without_a_gap(
    happened: list[tuple[str, int]], first: int
) -> None:
    log, had = Log(first), set(range(first + 1))
    for what, seq in happened:
        before = log.known
        if what == "add":
            log.add(seq)
            had.add(seq)
        else:
            log.reach(seq)
            had |= set(range(seq + 1))
        missing = next(number for number in range(100) if number not in had)
        assert log.known == missing - 1 >= before
        assert log.has_gap == (max(had) > missing)
