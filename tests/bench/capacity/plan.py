"""How many processes and servers one deployment needs for a load, and what would break. Pure."""

from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from typing import Final

from libs.common.domain import partition
from tests.bench.capacity.costs import (
    COSTS,
    HEARTBEAT_S,
    RABBITMQ_CLUSTERS,
    REGISTERED_WITHIN_S,
    SWEEP_S,
)
from tests.bench.capacity.fitted import cores, units
from tests.bench.capacity.traffic import DAY_S, Amqp, Busy, Load, Rates

PARTITIONS_LEAST: Final = 4
COPIES: Final = 2
"""A primary and a replica: of PostgreSQL, and of Redis where there are shards."""
QUORUM: Final = 3
"""Replicas of a quorum queue, each of which is taken to cost RabbitMQ what one costs here."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator decides."""

    connections_a_gateway: int = 20_000
    """Of the 65,536 files that it may open: as many reconnect when it dies."""
    utilisation: float = 0.6
    """What of a core, or of a server's capacity, may be used at the peak."""
    busy: Busy = field(default_factory=Busy)
    partitions: int | None = None
    """None: as many as leave each router half of its core to grow into, 4 to 256."""


DEFAULTS: Final = Options()


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of process or server. Memory and network in all, at the peak."""

    name: str
    count: int
    cores: float
    gib: float
    mbit_s: float = 0.0
    tb_year: float = 0.0
    note: str = ""


class Plan:
    """One deployment."""

    def __init__(self, load: Load, options: Options = DEFAULTS) -> None:
        self.load = load
        self.options = options
        self.rates = Rates.of(load)

    # --- processes ---------------------------------------------------------------------------

    @cached_property
    def gateways(self) -> int:
        """Enough for the connections; then for the frames, which need the gateways' number."""
        count = max(2, ceil(self.load.connections / self.options.connections_a_gateway))
        while (needed := self._processes(self._gateway_cores(count, self._split(count)))) > count:
            count = needed
        return count

    @cached_property
    def partitions(self) -> int:
        return self._split(self.gateways)

    @cached_property
    def amqp(self) -> Amqp:
        return self._amqp(self.gateways, self.partitions)

    @cached_property
    def router_cores(self) -> float:
        return self._router_cores(self.gateways, self.partitions)

    @property
    def routers(self) -> int:
        return max(2, self._processes(self.router_cores))

    @property
    def persisters(self) -> int:
        writes = self.rates.events / COSTS.flush_items_per_s.value
        return max(2, self._processes(max(cores("persister", self.rates, self.amqp), writes)))

    @property
    def rests(self) -> int:
        return max(2, self._processes(self._rest_cores))

    def _processes(self, needed_cores: float) -> int:
        return ceil(needed_cores / self.options.utilisation)

    def _amqp(self, gateways: int, partitions: int) -> Amqp:
        return Amqp.of(self.rates, gateways, partitions, self.options.busy)

    def _split(self, gateways: int) -> int:
        if self.options.partitions is not None:
            return self.options.partitions
        count = PARTITIONS_LEAST
        while count < partition.MOST and (
            self._router_cores(gateways, count) / count > self.options.utilisation / 2
        ):
            count *= 2
        return count

    @property
    def _connect_cores(self) -> float:
        """Of gateways, and as much of routers: how they share it was not measured."""
        return self.rates.connects * COSTS.connect_ms.value / 1000 / 2

    def _gateway_cores(self, gateways: int, partitions: int) -> float:
        each_ms = COSTS.heartbeat_ms.value / HEARTBEAT_S + COSTS.sweep_ms.value / SWEEP_S
        idle = self.load.connections * each_ms / 1000
        chat = cores("gateway", self.rates, self._amqp(gateways, partitions))
        return chat + idle + self._connect_cores

    def _router_cores(self, gateways: int, partitions: int) -> float:
        chat = cores("router", self.rates, self._amqp(gateways, partitions))
        return chat + self._connect_cores

    @property
    def _rest_cores(self) -> float:
        calls = self.load.at_peak(self.load.calls_per_user_day)
        return calls * COSTS.rest_ms.value / 1000

    # --- servers -----------------------------------------------------------------------------

    @property
    def rabbitmq_clusters(self) -> tuple[int, int]:
        """How many, of how many nodes: the smallest that carries it, or several of the largest."""
        wanted = self.amqp.all / self.options.utilisation
        for nodes, most in RABBITMQ_CLUSTERS:
            if wanted <= most:
                return 1, nodes
        nodes, most = RABBITMQ_CLUSTERS[-1]
        return ceil(wanted / most), nodes

    @cached_property
    def redis_cores(self) -> float:
        return cores("redis", self.rates, self.amqp)

    @property
    def redis_gib(self) -> float:
        a_user = (
            COSTS.user_kib.value * 1024
            + self.load.conversations_per_user * COSTS.conversation_bytes.value
        )
        return self.load.users * a_user / 2**30

    @property
    def redis_shards(self) -> int:
        memory = self.redis_gib / COSTS.redis_gib.value
        share = self.options.utilisation
        return max(1, ceil(max(self.redis_cores / share, memory / share, self.registering)))

    @property
    def registering(self) -> float:
        """After a FLUSHALL: what of the time that there is for it, on one Redis."""
        commands = self.load.users * COSTS.registration_commands.value
        return commands / COSTS.redis_commands_per_s.value / REGISTERED_WITHIN_S

    @cached_property
    def postgresql_cores(self) -> float:
        return cores("postgresql", self.rates, self.amqp)

    @property
    def tb_year(self) -> float:
        """Of one copy: means count here, not peaks."""
        messages = self.load.messages_per_s / self.load.peak * DAY_S * 365
        return messages * (COSTS.row_bytes.value + self.load.characters) / 1e12

    @property
    def postgresql_shards(self) -> int:
        most = COSTS.postgresql_cores.value
        disk = self.tb_year * self.load.kept_years / COSTS.postgresql_tb.value
        return max(1, ceil(max(self.postgresql_cores / most, disk) / self.options.utilisation))

    # --- what it needs -----------------------------------------------------------------------

    def rows(self) -> list[Row]:
        load = self.load
        clusters, nodes = self.rabbitmq_clusters
        edge_cores = cores("edge", self.rates, self.amqp)
        return [
            Row(
                "gateway",
                self.gateways,
                self._gateway_cores(self.gateways, self.partitions),
                self.gateways * COSTS.gateway_mib.value / 1024
                + load.connections * COSTS.connection_kib.value / 2**20,
                self._client_mbit_s,
                note=f"{load.connections / self.gateways:,.0f} connections each",
            ),
            Row(
                "router",
                self.routers,
                self.router_cores,
                self.routers * COSTS.router_mib.value / 1024
                + load.active_conversations * COSTS.remembered_kib.value / 2**20,
                note=f"{self.partitions} partitions",
            ),
            Row(
                "persister",
                self.persisters,
                cores("persister", self.rates, self.amqp),
                self.persisters * COSTS.persister_mib.value / 1024,
            ),
            Row(
                "rest_api",
                self.rests,
                self._rest_cores,
                self.rests * COSTS.rest_mib.value / 1024,
            ),
            Row(
                "edge",
                max(2, self._processes(edge_cores)),
                edge_cores,
                0.0,
                self._client_mbit_s,
                note="nginx, without TLS",
            ),
            Row(
                "RabbitMQ node",
                clusters * nodes,
                units()["rabbitmq"].amqp_ms
                / 1000
                * (self.amqp.all + (QUORUM - 1) * self.amqp.lasting),
                clusters * nodes * COSTS.rabbitmq_gib.value,
                self._broker_mbit_s,
                note=f"{clusters} × {nodes} nodes of 16 vCPU; {self.amqp.all:,.0f} msg/s",
            ),
            Row(
                "Redis node",
                self.redis_shards * COPIES,
                self.redis_cores * COPIES,
                self.redis_gib * COPIES,
                note=f"{self.redis_shards} shards with a replica each",
            ),
            Row(
                "PostgreSQL node",
                self.postgresql_shards * COPIES,
                self.postgresql_cores * COPIES,
                0.0,
                tb_year=self.tb_year * COPIES,
                note=f"{self.postgresql_shards} shards with a replica each; "
                f"{load.kept_years:g} years kept",
            ),
        ]

    @property
    def _client_mbit_s(self) -> float:
        """Frames, pings and pongs of receipts, contents, heartbeats."""
        rates, online = self.rates, self.load.recipient_online
        from_clients = rates.sends + rates.reads + rates.signals
        to_clients = rates.destinations + rates.notes
        pings = rates.receipts + self.load.connections / HEARTBEAT_S
        frames = from_clients + to_clients + 2 * pings
        contents = rates.sends * (1 + online) * self.load.characters
        return (frames * COSTS.frame_bytes.value + contents) * 8 / 1e6

    @property
    def _broker_mbit_s(self) -> float:
        """In, out, and to the other nodes of a quorum queue."""
        each, content = COSTS.amqp_bytes.value, self.load.characters
        lasting = 2 * (self.rates.events * each + self.rates.sends * content)
        passing = (self.rates.destinations + self.rates.notes + self.rates.signals) * (
            each + COSTS.frame_bytes.value
        ) + self.rates.sends * self.load.recipient_online * content
        return ((QUORUM + 1) * lasting + 2 * passing) * 8 / 1e6

    @property
    def latency_ms(self) -> tuple[float, float]:
        """Delivery p50 and p95, by the busiest role: see `delivery_ms`."""
        busiest = max(
            self._gateway_cores(self.gateways, self.partitions) / self.gateways,
            self.router_cores / self.routers,
        )
        return delivery_ms(busiest)


def delivery_ms(utilisation: float) -> tuple[float, float]:
    """p50 and p95 of a delivery: what it takes idle, longer by 1/(1 - utilisation).

    An M/M/1 queue's factor, taken for all that waits together. docs/scaling.md shows how far off
    it is.
    """
    factor = 1 / (1 - min(utilisation, 0.99))
    return COSTS.idle_p50_ms.value * factor, COSTS.idle_p95_ms.value * factor
