"""Slots and waves: nobody's return makes a storm, and the last has left in time."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ws_gateway.departures import (
    EARLIEST,
    SLACK,
    WAVE_S,
    Departure,
    at_once,
    departures,
    lifetime,
    pace,
    spread,
)
from tests.bench.rates import fullest_second

CLIENTS = st.integers(0, 3_000)
RATES = st.integers(10, 1_000)


def drained(clients: int, per_second: float, within_s: float = 60.0) -> list[Departure]:
    return list(departures(clients, pace(clients, per_second, within_s)))


@given(CLIENTS, RATES)
def test_everyone_leaves_once_in_order(clients: int, per_second: int) -> None:
    assert [one.number for one in drained(clients, per_second)] == list(range(clients))


@given(st.integers(1, 3_000), RATES)
def test_no_second_has_more_returns_than_the_rate(clients: int, per_second: int) -> None:
    """Where the bound leaves the time for it."""
    leaving = drained(clients, per_second, within_s=1e6)
    assert fullest_second([one.back_at for one in leaving]) <= per_second


@given(CLIENTS, RATES)
def test_a_client_is_closed_shortly_before_its_slot(clients: int, per_second: int) -> None:
    for one in drained(clients, per_second):
        assert 0 <= one.back_at - one.at <= WAVE_S + 1 / per_second / SLACK


@given(CLIENTS, RATES, st.floats(1, 120))
def test_the_last_has_left_in_time(clients: int, per_second: int, within_s: float) -> None:
    assert all(one.at <= within_s for one in drained(clients, per_second, within_s))


def test_waves_come_jittered() -> None:
    waves = sorted({one.at for one in drained(2_000, 100)})
    pauses = [after - before for before, after in pairwise(waves)]
    assert all(EARLIEST * WAVE_S <= pause <= WAVE_S for pause in pauses)
    assert len({round(pause, 3) for pause in pauses}) > len(pauses) / 2


@given(CLIENTS, st.floats(0.1, 10))
def test_who_is_closed_at_once_comes_back_one_by_one(clients: int, over_s: float) -> None:
    waits = spread(clients, over_s)
    assert len(waits) == clients
    assert all(0 <= wait <= over_s for wait in waits)
    assert fullest_second(waits) <= clients / over_s + 2


def test_slots_are_in_no_order() -> None:
    """Who came first is not the first to be disturbed, gateway after gateway."""
    assert list(waits := spread(100, 5)) != sorted(waits)


def test_the_oldest_leave_within_the_rate() -> None:
    assert at_once(0.5, 200) == 80
    assert at_once(0.5, 10) >= 1


def test_ages_differ() -> None:
    ages = Counter(round(lifetime(3_600) / 60) for _ in range(3_000))
    assert min(ages) >= 30
    assert max(ages) <= 60
    assert len(ages) == 31


def test_no_age_is_for_ever() -> None:
    assert lifetime(0) == pytest.approx(float("inf"))
