"""What one deployment, as it is built, has one of; what breaks first, and what then. Pure."""

from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from tests.bench.capacity.costs import (
    CONVERSATIONS_A_PARTITION,
    COSTS,
    OPENED_WITHIN_S,
    RABBITMQ_CLUSTERS,
    RECONNECT_SPREAD_S,
    REGISTERED_WITHIN_S,
)
from tests.bench.capacity.fitted import cores, units
from tests.bench.capacity.plan import DEFAULTS, Options, Plan
from tests.bench.capacity.traffic import Load

CONNECTIONS_LEAST: Final = 100.0
CONNECTIONS_MOST: Final = 1e10


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that one deployment, as it is built, has one of."""

    name: str
    used: float
    """Of 1."""
    why: str
    then: str
    """What to do about it."""
    is_setting: bool = False
    """A setting moves it; nothing need be added or built."""


def limits(plan: Plan) -> list[Limit]:
    """All of one deployment, fullest first."""
    groups = (_settings, _routers_and_persisters, _rabbitmq, _redis, _postgresql)
    everything = (limit for group in groups for limit in group(plan))
    return sorted(everything, key=lambda limit: -limit.used)


def _settings(plan: Plan) -> tuple[Limit, ...]:
    load = plan.load
    # How gateways and routers share the work of a connect was not measured: half each.
    connecting_s = load.connections * COSTS.connect_ms.value / 1000 / 2
    back_s = connecting_s / min(plan.gateways, plan.routers)
    remembered = ceil(load.active_conversations / plan.partitions)
    return (
        Limit(
            "conversations in routers' memory",
            remembered / CONVERSATIONS_A_PARTITION,
            f"{remembered:,} active conversations a partition, "
            f"{CONVERSATIONS_A_PARTITION:,} remembered; the others' messages each wait for a "
            "barrier and PostgreSQL",
            f"CHAT_ROUTER_CONVERSATIONS={remembered}, and the memory for it",
            is_setting=True,
        ),
        Limit(
            "everybody reconnects (RabbitMQ restarts)",
            back_s / OPENED_WITHIN_S,
            f"{load.connections:,.0f} connects take {back_s:,.0f} s of every gateway or router",
            f"CHAT_RECONNECT_SPREAD_MS={max(back_s, RECONNECT_SPREAD_S) * 1000:.0f}; smaller cells",
            is_setting=True,
        ),
    )


def _routers_and_persisters(plan: Plan) -> tuple[Limit, ...]:
    partitions, share = plan.partitions, plan.options.utilisation
    return (
        Limit(
            "one router a partition",
            plan.router_cores / partitions / share,
            f"{plan.router_cores / partitions:.2f} of a core for each of "
            f"{partitions} partitions, which are fixed for a deployment",
            "more partitions from the beginning, 256 at most; then cells",
        ),
        Limit(
            "one persister a partition",
            max(
                cores("persister", plan.rates, plan.amqp),
                plan.rates.events / COSTS.flush_items_per_s.value,
            )
            / partitions
            / share,
            "one connection and one transaction at a time",
            "as for routers",
        ),
    )


def _rabbitmq(plan: Plan) -> tuple[Limit, ...]:
    amqp, carried = plan.amqp, RABBITMQ_CLUSTERS[-1][1]
    # While Redis fills again each of a router's batches goes to every gateway.
    everywhere = amqp.writes * plan.gateways
    told_anyhow = amqp.all - amqp.deliveries
    a_gateway = amqp.writes * units()["gateway"].amqp_ms / 1000
    batch = plan.rates.events / amqp.events if amqp.events else 0.0
    return (
        Limit(
            "RabbitMQ, one cluster",
            amqp.all / carried / plan.options.utilisation,
            f"{amqp.all:,.0f} AMQP messages/s of {carried:,}: {plan.gateways} gateways "
            f"by {plan.partitions} partitions leave batches of "
            f"{batch:.1f} events",
            "longer pacing, fewer and larger gateways; then cells, each with a cluster",
        ),
        Limit(
            "RabbitMQ while Redis fills again",
            (told_anyhow + everywhere) / carried,
            f"{amqp.writes:,.0f} batches/s go to all {plan.gateways} gateways "
            f"for {REGISTERED_WITHIN_S:.0f} s: {everywhere:,.0f} AMQP messages/s",
            "a Redis replica that takes over full, longer router pacing; then cells",
        ),
        Limit(
            "a gateway while Redis fills again",
            a_gateway,
            f"each gateway takes {amqp.writes:,.0f} batches/s: {a_gateway:.1f} cores of "
            "its one; its queue drops beyond 10,000",
            "as for RabbitMQ",
        ),
    )


def _redis(plan: Plan) -> tuple[Limit, ...]:
    share = plan.options.utilisation
    return (
        Limit(
            "Redis, one thread",
            plan.redis_cores / share,
            f"{plan.redis_cores:.2f} of its one core",
            "Redis Cluster: no script has keys of two users or conversations, but "
            "libs/common/cache.py speaks to one server; or cells",
        ),
        Limit(
            "sessions registered anew",
            plan.registering,
            f"{plan.load.users:,.0f} users, {COSTS.registration_commands.value:.0f} commands each, "
            f"in {REGISTERED_WITHIN_S:.0f} s; after that who is missing gets nothing live",
            "as for Redis",
        ),
        Limit(
            "Redis, memory",
            plan.redis_gib / COSTS.redis_gib.value / share,
            f"{plan.redis_gib:.1f} GiB of {COSTS.redis_gib.value:g}",
            "a larger node; as for Redis",
        ),
    )


def _postgresql(plan: Plan) -> tuple[Limit, ...]:
    load, share = plan.load, plan.options.utilisation
    return (
        Limit(
            "PostgreSQL, cores",
            plan.postgresql_cores / COSTS.postgresql_cores.value / share,
            f"{plan.postgresql_cores:.1f} of {COSTS.postgresql_cores.value:g}",
            "Citus by conversation, or cells",
        ),
        Limit(
            "PostgreSQL, disk",
            plan.tb_year * load.kept_years / COSTS.postgresql_tb.value / share,
            f"{plan.tb_year:.2f} TB a year, {load.kept_years:g} kept, "
            f"{COSTS.postgresql_tb.value:g} TB a node",
            "partitions by time and a retention; Citus by conversation, or cells",
        ),
    )


def cells(load: Load, options: Options = DEFAULTS) -> int:
    """The fewest equal deployments of which none exceeds what no setting moves."""

    def suffice(count: int) -> bool:
        plan = Plan(replace(load, connections=load.connections / count), options)
        return all(limit.used <= 1 for limit in limits(plan) if not limit.is_setting)

    high = 1
    while not suffice(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffice(middle) else (middle, high)
    return high


def breaking_points(load: Load, options: Options = DEFAULTS) -> dict[str, float]:
    """How many connections fill each limit first, all else as in `load`; to 2 %, up to 10^10."""
    found: dict[str, float] = {}
    connections = CONNECTIONS_LEAST
    while connections < CONNECTIONS_MOST:
        for limit in limits(Plan(replace(load, connections=connections), options)):
            if limit.used > 1:
                found.setdefault(limit.name, connections)
        connections *= 1.02
    return found
