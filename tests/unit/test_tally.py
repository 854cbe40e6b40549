"""What one loop counts, held against prometheus_client's own histogram."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from libs.common.tally import Tally

BOUNDS = (0.001, 0.5, 1.0, 300.0)
SECONDS = st.lists(
    st.floats(min_value=0, max_value=1000) | st.sampled_from((0.0, *BOUNDS)), max_size=40
)


def exported(registry: CollectorRegistry) -> list[tuple[str, float]]:
    """Its samples, but for the time of its making."""
    lines = generate_latest(registry).decode().splitlines()
    rows = [line.rsplit(" ", 1) for line in lines if line[0] != "#" and "_created" not in line]
    return [(name, round(float(value), 6)) for name, value in rows]


@given(SECONDS, SECONDS)
def test_it_exports_what_a_histogram_would(one_by_one: list[float], at_once: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally("chat_x_seconds", "X", BOUNDS, registry=ours)
    histogram = Histogram("chat_x_seconds", "X", buckets=BOUNDS, registry=theirs)
    for value in one_by_one:
        tally.observe(value)
    tally.observe_all(at_once)
    for value in (*one_by_one, *at_once):
        histogram.observe(value)
    assert exported(ours) == exported(theirs)
    assert b"# TYPE chat_x_seconds histogram" in generate_latest(ours)


def test_a_clock_that_is_ahead_makes_no_negative_time() -> None:
    registry = CollectorRegistry()
    tally = Tally("chat_x_seconds", "X", BOUNDS, registry=registry)
    tally.observe(-3)
    tally.observe_all([-1, 2])
    assert dict(exported(registry))["chat_x_seconds_sum"] == 2
    assert dict(exported(registry))['chat_x_seconds_bucket{le="0.001"}'] == 2
