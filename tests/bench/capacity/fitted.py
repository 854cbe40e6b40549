"""Cost = a for each AMQP message + b for each event, by role, from two measured points. Pure.

The points say what a message cost; how many AMQP messages carried it is known of the fixed rate.
Of the closed loop RabbitMQ's own CPU time tells: its work is AMQP messages and nothing else, at
the fixed rate 0.30 ms each (0.18 in DESIGN.md, section 9, where it had more to do at once).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from tests.bench.capacity.costs import CLOSED_LOOP, FIXED_RATE, Point, Role
from tests.bench.capacity.traffic import Amqp, Busy, Rates

BUSY_MOST_S = 1.0


@dataclass(frozen=True, slots=True)
class Unit:
    """CPU milliseconds of one role."""

    amqp_ms: float
    """For each AMQP message that the role takes or gives (`handled`)."""
    event_ms: float
    """For each event or signal."""


def handled(role: Role, amqp: Amqp) -> float:
    """AMQP messages/s that cost this role something; of Redis, round trips of routers.

    These are three a batch (docs/architecture.md) and two a signal (the key; who listens).
    """
    match role:
        case "gateway" | "edge":
            return amqp.all - amqp.writes
        case "persister" | "postgresql":
            return amqp.writes
        case "redis":
            return 3 * amqp.writes + 2 * amqp.signals
        case "router" | "rabbitmq":
            return amqp.all


def cores(role: Role, rates: Rates, amqp: Amqp) -> float:
    """CPU seconds per second."""
    unit = units()[role]
    items = rates.events + rates.signals
    return (unit.amqp_ms * handled(role, amqp) + unit.event_ms * items) / 1000


@cache
def units() -> Mapping[Role, Unit]:
    return {role: _unit(role) for role in FIXED_RATE.cpu_ms}


def at(point: Point) -> Amqp:
    """What carried a point's messages, as the model has it."""
    rates = Rates.of_bench(point.messages_per_s)
    return Amqp.of(rates, point.gateways, point.partitions, busy(point))


@cache
def _measured_amqp_per_s() -> Mapping[str, float]:
    assert FIXED_RATE.amqp_per_s is not None
    each_ms = FIXED_RATE.cpu_ms["rabbitmq"] * FIXED_RATE.messages_per_s / FIXED_RATE.amqp_per_s
    closed = CLOSED_LOOP.cpu_ms["rabbitmq"] * CLOSED_LOOP.messages_per_s / each_ms
    return {
        FIXED_RATE.source: FIXED_RATE.amqp_per_s,
        CLOSED_LOOP.source: CLOSED_LOOP.amqp_per_s or closed,
    }


def busy(point: Point) -> Busy:
    """How long everybody must have been busy with a batch, for so many AMQP messages.

    Longer than the pacing: both points were measured on a full machine.
    """
    rates = Rates.of_bench(point.messages_per_s)
    wanted = _measured_amqp_per_s()[point.source]
    low, high = 0.0, BUSY_MOST_S
    for _ in range(50):
        middle = (low + high) / 2
        amqp = Amqp.of(rates, point.gateways, point.partitions, Busy(middle, middle))
        if amqp.all > wanted:
            low = middle
        else:
            high = middle
    return Busy(high, high)


def _unit(role: Role) -> Unit:
    """Through both points; where that would make one part negative, through their middle."""
    a, b = (_per_message(point, role) for point in (FIXED_RATE, CLOSED_LOOP))
    amqp_ms = (a.cpu_ms - b.cpu_ms) / (a.amqp - b.amqp)
    event_ms = (b.cpu_ms - amqp_ms * b.amqp) / b.events
    if role == "postgresql" or amqp_ms < 0:
        # Rows cost the same however they came.
        return Unit(0.0, (a.cpu_ms / a.events + b.cpu_ms / b.events) / 2)
    if event_ms < 0:
        return Unit(a.cpu_ms / a.amqp, 0.0)
    return Unit(amqp_ms, event_ms)


@dataclass(frozen=True, slots=True)
class _PerMessage:
    cpu_ms: float
    amqp: float
    events: float


def _per_message(point: Point, role: Role) -> _PerMessage:
    rates = Rates.of_bench(point.messages_per_s)
    amqp = handled(role, at(point)) / point.messages_per_s
    return _PerMessage(point.cpu_ms[role], amqp, rates.events / point.messages_per_s)
