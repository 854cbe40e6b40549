"""How fast one session may ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ws_gateway.allowance import Allowance, Kind

NOW = 1_764_000_000.0


def taken(allowance: Allowance[Kind], times: list[float], per_second: int) -> list[float]:
    """When one was granted."""
    return [now for now in times if allowance.take("typing", per_second, now) == 0]


@pytest.mark.parametrize("per_second", [1, 3, 10, 20])
def test_so_many_at_once_and_no_more(per_second: int) -> None:
    allowance: Allowance[Kind] = Allowance()
    assert len(taken(allowance, [NOW] * 50, per_second)) == per_second


@pytest.mark.parametrize("per_second", [1, 3, 10, 20])
def test_after_the_wait_it_said_there_is_one(per_second: int) -> None:
    allowance: Allowance[Kind] = Allowance()
    taken(allowance, [NOW] * 50, per_second)
    wait_ms = allowance.take("typing", per_second, NOW)
    assert 0 < wait_ms <= 1000
    assert allowance.take("typing", per_second, NOW + wait_ms / 1000 - 0.002) > 0
    assert allowance.take("typing", per_second, NOW + wait_ms / 1000) == 0
    assert allowance.take("typing", per_second, NOW + wait_ms / 1000) > 0


def test_each_kind_has_its_own() -> None:
    allowance: Allowance[Kind] = Allowance()
    assert allowance.take("typing", 1, NOW) == 0
    assert allowance.take("typing", 1, NOW) > 0
    assert allowance.take("reads", 1, NOW) == 0
    assert allowance.take("syncs", 1, NOW) == 0


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    allowance: Allowance[Kind] = Allowance()
    taken(allowance, [NOW] * 50, 10)
    assert allowance.take("typing", 10, NOW - 3600) == 0


@given(
    st.integers(1, 30),
    st.lists(st.floats(0, 0.2, allow_nan=False), min_size=1, max_size=200),
)
def test_over_any_time_no_more_than_the_rate_and_one_bucket(
    per_second: int, steps: list[float]
) -> None:
    now, times = NOW, list[float]()
    for step in steps:
        now += step
        times.append(now)
    granted = taken(Allowance(), times, per_second)
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            most = per_second * (1 + granted[last] - granted[first])
            assert last - first + 1 <= most + 0.01
