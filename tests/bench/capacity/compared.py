"""The model beside what was measured. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.bench.capacity.costs import CLOSED_LOOP, FIXED_RATE
from tests.bench.capacity.fitted import busy, cores, units
from tests.bench.capacity.plan import delivery_ms
from tests.bench.capacity.traffic import Amqp, Busy, Rates

MACHINE_CORES: Final = 2
PROTOTYPE_MS: Final = (1.3, 0.7)
"""CPU per message at 1,000/s with 2 and with 10 ms pacing: DESIGN.md, section 9."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measurement with its range, and what the model says."""

    what: str
    unit: str
    low: float
    high: float
    model: float
    source: str
    is_fitted: bool = False

    @property
    def factor(self) -> float:
        """How many times too much (or, below 1, how little) beyond the range; 1 within it."""
        if self.model > self.high:
            return self.model / self.high
        return min(1.0, self.model / self.low)


def costs_compared() -> Sequence[Comparison]:
    """CPU time of all processes and servers."""
    performance = "docs/performance.md, "
    return (
        Comparison(
            "1,000/s",
            "ms a message",
            1.386,
            1.425,
            _ms_a_message(FIXED_RATE.messages_per_s, 2, busy(FIXED_RATE)),
            FIXED_RATE.source,
            is_fitted=True,
        ),
        Comparison(
            "closed loop, 8,714/s",
            "ms a message",
            0.193,
            0.203,
            _ms_a_message(CLOSED_LOOP.messages_per_s, 2, busy(CLOSED_LOOP)),
            CLOSED_LOOP.source,
            is_fitted=True,
        ),
        Comparison(
            "closed loop, 7,064/s, the evening before",
            "ms a message",
            0.248,
            0.248,
            _ms_a_message(7_064, 2, busy(CLOSED_LOOP)),
            performance + "«Where it stands»",
        ),
        Comparison(
            "200/s, receipts that wait up to 100 ms",
            "ms a message",
            3.53,
            4.5,
            _ms_a_message(200, 2, Busy()),
            performance + "«What was changed», and a busier hour",
        ),
        Comparison(
            "the prototype, 200/s",
            "ms a message",
            4.7,
            4.7,
            _prototype_ms(),
            "DESIGN.md, section 9; its own a and b from its two points at 1,000/s",
        ),
    )


def latency_compared() -> Sequence[Comparison]:
    """Delivery, p95, by how full the whole machine was."""
    stands = "docs/performance.md, «Where it stands»"
    at_1000 = _ms_a_message(1_000, 2, busy(FIXED_RATE)) / MACHINE_CORES
    at_200 = _ms_a_message(200, 2, Busy()) * 200 / 1000 / MACHINE_CORES
    return (
        Comparison("1,000/s, p50", "ms", 10.9, 14, delivery_ms(at_1000)[0], stands),
        Comparison("1,000/s, p95", "ms", 20, 32, delivery_ms(at_1000)[1], stands),
        Comparison("200/s, p95", "ms", 4.2, 9.3, delivery_ms(at_200)[1], stands),
    )


def _ms_a_message(messages_per_s: float, partitions: int, busy: Busy) -> float:
    rates = Rates.of_bench(messages_per_s)
    amqp = Amqp.of(rates, 2, partitions, busy)
    return sum(cores(role, rates, amqp) for role in units()) / messages_per_s * 1000


def _prototype_ms() -> float:
    """It had no patience with receipts. Its confirms are taken to be as slow as ours."""
    slow = busy(FIXED_RATE).gateway_s

    def amqp_a_message(messages_per_s: float, busy_s: float) -> float:
        rates = Rates.of_bench(messages_per_s)
        busy = Busy(busy_s, busy_s)
        return Amqp.of(rates, 2, 2, busy, patience_s=0).all / messages_per_s

    at_2, at_10 = amqp_a_message(1_000, slow), amqp_a_message(1_000, 0.010)
    amqp_ms = (PROTOTYPE_MS[0] - PROTOTYPE_MS[1]) / (at_2 - at_10)
    rest_ms = PROTOTYPE_MS[0] - amqp_ms * at_2
    return rest_ms + amqp_ms * amqp_a_message(200, slow)
