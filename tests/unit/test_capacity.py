"""The capacity model: its batching against a simulation, its costs against what was measured."""

import re
from dataclasses import fields, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench.capacity.__main__ import main
from tests.bench.capacity.batching import batches_per_s, gateways_of_a_batch
from tests.bench.capacity.compared import Comparison, costs_compared, latency_compared
from tests.bench.capacity.costs import CLOSED_LOOP, COSTS, FIXED_RATE
from tests.bench.capacity.fitted import at, units
from tests.bench.capacity.limits import breaking_points, cells, limits
from tests.bench.capacity.plan import Options, Plan
from tests.bench.capacity.traffic import Amqp, Busy, Load, Rates

RATES = st.floats(0.01, 1e5)
LOADS = st.builds(
    Load,
    connections=st.floats(100, 1e8),
    messages_per_user_day=st.floats(1, 1_000),
    recipient_online=st.floats(0, 1),
    typing_per_message=st.floats(0, 4),
    connects_per_user_day=st.floats(0, 200),
)


def simulated_batches_per_s(
    urgent_per_s: float, busy_s: float, patient_per_s: float, patience_s: float
) -> float:
    """`Outbox` with Poisson arrivals, event by event."""
    random = Random(1)
    rate = urgent_per_s + patient_per_s
    time, batches, free_at, leaves_at = 0.0, 0, 0.0, float("inf")
    for _ in range(100_000):
        time += random.expovariate(rate)
        while leaves_at <= time:  # What waits leaves, before this one comes.
            batches, free_at, leaves_at = batches + 1, leaves_at + busy_s, float("inf")
        is_urgent = random.random() * rate < urgent_per_s
        if time < free_at:
            leaves_at = free_at
        else:
            leaves_at = min(leaves_at, time if is_urgent else time + patience_s)
    return batches / time


@pytest.mark.parametrize(
    ("urgent", "busy_s", "patient", "patience_s"),
    [
        (500, 0.002, 0, 0),
        (5_000, 0.002, 0, 0),
        (20, 0.005, 0, 0),
        (250, 0.002, 250, 0.02),
        (10, 0.002, 40, 0.02),
        (0, 0.004, 100, 0.02),
    ],
)
def test_as_many_batches_as_an_outbox_sends(
    urgent: float, busy_s: float, patient: float, patience_s: float
) -> None:
    simulated = simulated_batches_per_s(urgent, busy_s, patient, patience_s)
    assert batches_per_s(
        urgent, busy_s, patient_per_s=patient, patience_s=patience_s
    ) == pytest.approx(simulated, rel=0.02)


@given(RATES, st.floats(0.0001, 1), RATES, st.floats(0, 0.1))
def test_a_batch_for_each_item_at_most_and_one_a_busy_time(
    urgent: float, busy_s: float, patient: float, patience_s: float
) -> None:
    batches = batches_per_s(urgent, busy_s, patient_per_s=patient, patience_s=patience_s)
    assert 0 < batches <= min(urgent + patient, 1 / busy_s) * (1 + 1e-9)


@given(st.floats(1, 1e6), st.integers(1, 10_000))
def test_a_batch_goes_to_no_more_gateways_than_it_has_deliveries(
    destinations: float, gateways: int
) -> None:
    assert gateways_of_a_batch(destinations, gateways) <= min(destinations, gateways) * (1 + 1e-9)


@given(st.floats(1, 1e6), st.floats(1, 3), st.integers(1, 1_000), st.integers(1, 256))
def test_more_messages_mean_more_amqp_messages_and_fewer_for_each(
    messages: float, more: float, gateways: int, partitions: int
) -> None:
    few, many = (
        Amqp.of(Rates.of_bench(rate), gateways, partitions, Busy()).all
        for rate in (messages, messages * more)
    )
    assert few <= many * (1 + 1e-9)
    assert many / (messages * more) <= few / messages * (1 + 1e-9)


# ---------------------------------------------------------------- what was measured


@pytest.mark.parametrize("compared", costs_compared(), ids=lambda compared: compared.what)
def test_costs_are_those_measured(compared: Comparison) -> None:
    """docs/scaling.md says by how much each is off."""
    most = 1.02 if compared.is_fitted else 1.5
    assert 1 / most <= compared.factor <= most


@pytest.mark.parametrize("compared", latency_compared(), ids=lambda compared: compared.what)
def test_latencies_are_within_a_factor_of_two(compared: Comparison) -> None:
    assert 1 / 2 <= compared.factor <= 2


def test_as_many_amqp_messages_as_were_measured() -> None:
    assert at(FIXED_RATE).all == pytest.approx(FIXED_RATE.amqp_per_s)
    assert at(CLOSED_LOOP).all < at(FIXED_RATE).all


def test_every_cost_says_where_it_was_measured_or_that_it_is_assumed() -> None:
    for field in fields(COSTS):
        cost = getattr(COSTS, field.name)
        assert cost.value > 0
        assert cost.unit
        assert re.match(r"assumption|docs/|DESIGN|services/|gist\.", cost.source)
    assert FIXED_RATE.source != CLOSED_LOOP.source
    assert all(unit.amqp_ms >= 0 and unit.event_ms >= 0 for unit in units().values())


# ---------------------------------------------------------------- plans


@settings(deadline=None)
@given(LOADS, st.floats(1, 10))
def test_more_connections_never_need_fewer_processes(load: Load, more: float) -> None:
    few = Plan(load).rows()
    many = Plan(replace(load, connections=load.connections * more)).rows()
    for less, rather_more in zip(few, many, strict=True):
        assert less.count <= rather_more.count
        assert less.cores <= rather_more.cores * (1 + 1e-9)


@settings(deadline=None)
@given(LOADS)
def test_no_process_is_fuller_than_it_may_be(load: Load) -> None:
    options = Options()
    for row in Plan(load, options).rows():
        if row.name in ("gateway", "router", "persister", "rest_api"):
            assert row.cores / row.count <= options.utilisation * (1 + 1e-9)


def test_longer_pacing_saves_amqp_messages() -> None:
    load = Load(connections=1e6)
    quick = Plan(load, Options(partitions=16)).amqp.all
    slow = Plan(load, Options(partitions=16, busy=Busy(0.01, 0.01))).amqp.all
    assert slow < quick


def test_more_partitions_and_gateways_cost_amqp_messages() -> None:
    load = Load(connections=1e6)
    few = Plan(load, Options(partitions=8)).amqp.all
    assert few < Plan(load, Options(partitions=64)).amqp.all
    assert few < Plan(load, Options(partitions=8, connections_a_gateway=2_000)).amqp.all


@pytest.mark.parametrize("connections", [1e4, 1e6, 1e8])
def test_in_that_many_cells_nothing_is_too_full_and_in_fewer_something_is(
    connections: float,
) -> None:
    def too_full(count: int) -> bool:
        cell = Plan(Load(connections=connections / count))
        return any(limit.used > 1 and not limit.is_setting for limit in limits(cell))

    count = cells(Load(connections=connections))
    assert not too_full(count)
    assert count == 1 or too_full(count - 1)


def test_a_limit_is_full_where_it_is_said_to_break_and_not_before() -> None:
    def used(connections: float, name: str) -> float:
        plan = Plan(Load(connections=connections))
        return next(limit.used for limit in limits(plan) if limit.name == name)

    for name, connections in breaking_points(Load()).items():
        assert used(connections, name) > 1
        assert used(connections / 1.02, name) <= 1


def test_a_reader_changes_the_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["capacity", "--connections", "1e6", "--cells", "7"])
    main()
    out = capsys.readouterr().out
    assert "one deployment: 1,000,000 connections" in out
    assert "each of 7 cells: 142,857 connections" in out
    assert "\nfirst: " in out
