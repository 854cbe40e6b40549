"""What was measured, and where it stands: the only figures of the model that are facts.

To update after a new `make bench`: put each role's ms per message into CLOSED_LOOP and FIXED_RATE,
and the AMQP messages/s of the fixed rate beside them. Everything else follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["gateway", "router", "persister", "rabbitmq", "redis", "postgresql", "edge"]


@dataclass(frozen=True, slots=True)
class Cost:
    """One figure with its unit, and what it rests on: where it was measured, or `assumption`."""

    value: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement of the whole system: CPU ms per message (and its receipt) by role."""

    messages_per_s: float
    gateways: int
    partitions: int
    amqp_per_s: float | None
    """None: by RabbitMQ's CPU time, compared with the other point's."""
    cpu_ms: Mapping[Role, float]
    source: str


FIXED_RATE: Final = Point(
    messages_per_s=1_000,
    gateways=2,
    partitions=2,
    amqp_per_s=1_580,
    cpu_ms={
        "gateway": 0.293,
        "router": 0.350,
        "persister": 0.046,
        "rabbitmq": 0.477,
        "redis": 0.105,
        "postgresql": 0.046,
        "edge": 0.086,
    },
    source="docs/performance.md, «Where it stands»; AMQP messages: «Where the time goes»",
)

CLOSED_LOOP: Final = Point(
    messages_per_s=8_714,
    gateways=2,
    partitions=2,
    amqp_per_s=None,
    cpu_ms={
        "gateway": 0.043,
        "router": 0.056,
        "persister": 0.013,
        "rabbitmq": 0.020,
        "redis": 0.013,
        "postgresql": 0.036,
        "edge": 0.013,
    },
    source="docs/performance.md, «Where it stands», the closed loop of the same sitting",
)


@dataclass(frozen=True, slots=True)
class Costs:
    """What else the model multiplies with."""

    connect_ms: Cost = Cost(
        1.3,
        "CPU ms",
        "docs/performance.md, «Where it stands»: 1,508 connections/s on 2 full cores, so at most "
        "2/1,508 s, the client's share included",
    )
    connection_kib: Cost = Cost(7.9, "KiB", "docs/performance.md, «Scale»: 10,000 held by one")
    heartbeat_ms: Cost = Cost(
        0.008, "CPU ms", "DESIGN.md, section 9: an echo by ServerProtocol; one each 30 s"
    )
    sweep_ms: Cost = Cost(
        0.0004,
        "CPU ms",
        "docs/scaling.md: what sweep.check takes for an idle connection, twice a second",
    )
    gateway_mib: Cost = Cost(47, "MiB", "docs/performance.md, «Overload»: most in overload")
    router_mib: Cost = Cost(78, "MiB", "docs/performance.md, «Overload»: most in overload")
    persister_mib: Cost = Cost(45, "MiB", "docs/performance.md, «Overload»: most in overload")
    remembered_kib: Cost = Cost(
        150, "KiB", "docs/operations.md, «Capacity»: a long conversation in a router's memory"
    )
    rest_ms: Cost = Cost(
        3.1,
        "CPU ms",
        "docs/performance.md, targets: p50 of a page of history, a bound of its CPU time",
    )
    flush_items_per_s: Cost = Cost(
        20_000,
        "writes/s",
        "services/persister/store.py: a full batch of 2,000 takes 0.1 s; one at a time",
    )
    idle_p50_ms: Cost = Cost(3.9, "ms", "docs/performance.md, «Where it stands»: make demo")
    idle_p95_ms: Cost = Cost(7.0, "ms", "docs/performance.md, «Where it stands»: make demo")
    redis_commands_per_s: Cost = Cost(
        310_000,
        "commands/s",
        "gist.github.com/antirez/1892983: SET, 16 a pipeline, the slower of two machines",
    )
    registration_commands: Cost = Cost(
        5, "commands", "services/ws_gateway/session_keys.py: of a user registered anew"
    )
    # Put your own here.
    rest_mib: Cost = Cost(150, "MiB", "assumption: a REST process with 32 threads")
    user_kib: Cost = Cost(
        2, "KiB", "assumption: a connected user's keys in Redis, without conversations"
    )
    conversation_bytes: Cost = Cost(
        300, "bytes", "assumption: a conversation of a connected user in Redis (heads, unread)"
    )
    row_bytes: Cost = Cost(
        420,
        "bytes",
        "assumption, reckoned from migrations/: a row of messages without its content (about 190, "
        "at fillfactor 85) and its four indexes (about 200)",
    )
    frame_bytes: Cost = Cost(
        250, "bytes", "assumption: a frame without its content, TCP and TLS included"
    )
    amqp_bytes: Cost = Cost(
        150,
        "bytes",
        "assumption of services/ws_gateway/publishing.py: an event without its content",
    )
    rabbitmq_gib: Cost = Cost(32, "GiB", "assumption: memory of a RabbitMQ node, a c5.4xlarge's")
    redis_gib: Cost = Cost(32, "GiB", "assumption: memory of one Redis node")
    postgresql_cores: Cost = Cost(32, "cores", "assumption: of one PostgreSQL primary")
    postgresql_tb: Cost = Cost(8, "TB", "assumption: disk of one PostgreSQL primary")


COSTS: Final = Costs()

RABBITMQ_CLUSTERS: Final = ((3, 37_000), (5, 53_000), (7, 65_000))
"""Nodes of 16 vCPU, and AMQP messages/s (1 KiB, persistent, 3 replicas, 100 quorum queues) that
they carried at most: «Cluster Sizing Case Study - Quorum Queues Part 1», rabbitmq.com/blog, 2020.
Deliveries are transient and cheaper; the model counts them alike."""

REGISTERED_WITHIN_S: Final = 5.0
"""services/router/steps.py: so long after a FLUSHALL every gateway gets every entry."""
OPENED_WITHIN_S: Final = 15.0
"""services/ws_gateway/sweep.py: who is not told CONNECT_SUCCESS for so long is closed."""
HEARTBEAT_S: Final = 30.0
"""`CHAT_HEARTBEAT_SECONDS`."""
SWEEP_S: Final = 0.5
"""services/ws_gateway/sweep.py"""
RECONNECT_SPREAD_S: Final = 5.0
"""`CHAT_RECONNECT_SPREAD_MS`."""
PATIENCE_S: Final = 0.100
"""`CHAT_RECEIPT_PATIENCE_MS`."""
CONVERSATIONS_A_PARTITION: Final = 2_000
"""`CHAT_ROUTER_CONVERSATIONS`."""
